//! A server's process, and whoever sees it to its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use casemate_gateway::upstream::report::CellReport;
use casemate_gateway::upstream::{Exit, Overrun, ProcessHandle, Soon};
use casemate_net::egress::{self, Doorway, Rules};
use casemate_sandbox::container::ContainerHandle;
use casemate_sandbox::{self as sandbox, CellHandle, Certainty};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Design;
use super::story::Story;

/// How often the connections of a server are added up and told.
const SETTLE_TIME: Duration = Duration::from_secs(600);

/// What was started: a cell, or a container.
pub(super) trait Life: Send + Sync + 'static {
    /// Its process id, if it has one here.
    fn pid(&self) -> Option<u32>;
    /// Waits until nothing of it is left.
    fn wait(&self) -> impl Future<Output = sandbox::Exit> + Send;
    /// Which limit has ended it, as far as that is known.
    fn overrun(&self) -> Option<sandbox::Overrun>;
    /// Asks it to end, and kills it when it has not after `grace`.
    fn terminate(&self, grace: Duration) -> impl Future<Output = sandbox::Exit> + Send;
    /// Kills it.
    fn kill(&self);
}

/// A process that runs. Dropping it kills the whole tree.
#[derive(Debug)]
#[expect(private_bounds, reason = "what can be run is decided here")]
pub struct Running<L: Life = CellHandle> {
    handle: Arc<L>,
    report: Arc<CellReport>,
    blamed: Arc<OnceLock<Overrun>>,
}

impl Running {
    /// Its cell.
    pub fn cell(&self) -> &CellHandle {
        &self.handle
    }
}

/// What is needed to see a cell to its end.
pub(super) struct Attendant<L> {
    pub(super) handle: Arc<L>,
    /// What it was made of, and still uses.
    pub(super) design: Option<Design>,
    pub(super) story: Arc<Story>,
    /// Its network, when it has one.
    pub(super) network: Option<(Doorway, Rules)>,
}

impl<L: Life> Attendant<L> {
    /// Begins to look after the cell, and gives its owner a handle.
    pub(super) fn attend(self, tracker: &TaskTracker, report: CellReport) -> Running<L> {
        let running =
            Running { handle: Arc::clone(&self.handle), report: Arc::new(report), blamed: Arc::default() };
        let (report, blamed) = (Arc::clone(&running.report), Arc::clone(&running.blamed));
        let tasks = tracker.clone();
        tracker.spawn(async move {
            let Attendant { handle, design, story, network } = self;
            follow(&tasks, &*handle, &story, network).await;
            let exit = exit(&*handle, &report).await;
            let overrun = exit.overrun.or_else(|| blamed.get().cloned());
            story.ended(&Exit { overrun, ..exit });
            // A scratch folder goes when nothing is left that could write there.
            drop(design);
        });
        running
    }
}

/// Serves the network of a cell until the cell has ended.
async fn follow(tracker: &TaskTracker, handle: &impl Life, story: &Story, network: Option<(Doorway, Rules)>) {
    let stop = CancellationToken::new();
    let network = network.map(|(doorway, rules)| tracker.spawn(egress::serve(doorway, rules, stop.clone())));
    let mut settle = interval(SETTLE_TIME);
    settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = handle.wait();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            _ = &mut ended => break,
            _ = settle.tick() => story.settle(),
        }
    }
    stop.cancel();
    if let Some(network) = network
        && let Err(error) = network.await
    {
        tracing::error!(%error, "the network of a cell failed");
    }
}

/// How the program ended. A limit that may or may not have been the cause is named, and not blamed.
async fn exit(handle: &impl Life, report: &CellReport) -> Exit {
    let how = handle.wait().await.to_string();
    match handle.overrun() {
        None => Exit { how, overrun: None },
        Some(overrun) if overrun.certainty == Certainty::Likely => {
            Exit { how: format!("{how}; {overrun}"), overrun: None }
        }
        Some(overrun) => {
            let setting = overrun.limit.setting();
            let value = report.limits.iter().find(|limit| limit.setting == setting);
            let value = value.map(|limit| limit.value.clone()).unwrap_or_default();
            Exit { how, overrun: Some(Overrun { setting, value }) }
        }
    }
}

impl Life for CellHandle {
    fn pid(&self) -> Option<u32> {
        Some(CellHandle::pid(self))
    }

    fn wait(&self) -> impl Future<Output = sandbox::Exit> + Send {
        CellHandle::wait(self)
    }

    fn overrun(&self) -> Option<sandbox::Overrun> {
        CellHandle::overrun(self)
    }

    fn terminate(&self, grace: Duration) -> impl Future<Output = sandbox::Exit> + Send {
        CellHandle::terminate(self, grace)
    }

    fn kill(&self) {
        CellHandle::kill(self);
    }
}

impl Life for ContainerHandle {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn wait(&self) -> impl Future<Output = sandbox::Exit> + Send {
        ContainerHandle::wait(self)
    }

    fn overrun(&self) -> Option<sandbox::Overrun> {
        ContainerHandle::overrun(self)
    }

    fn terminate(&self, grace: Duration) -> impl Future<Output = sandbox::Exit> + Send {
        ContainerHandle::terminate(self, grace)
    }

    fn kill(&self) {
        ContainerHandle::kill(self);
    }
}

impl<L: Life> ProcessHandle for Running<L> {
    fn pid(&self) -> Option<u32> {
        self.handle.pid()
    }

    fn report(&self) -> CellReport {
        CellReport::clone(&self.report)
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(exit(&*self.handle, &self.report))
    }

    fn blame(&self, overrun: &Overrun) {
        _ = self.blamed.set(overrun.clone());
    }

    fn terminate(&self, grace: Duration) -> Soon<'_, ()> {
        Box::pin(async move { _ = self.handle.terminate(grace).await })
    }
}

impl<L: Life> Drop for Running<L> {
    fn drop(&mut self) {
        self.handle.kill();
    }
}
