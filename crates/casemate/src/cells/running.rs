//! A server's process, and whoever sees it to its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use casemate_gateway::upstream::report::CellReport;
use casemate_gateway::upstream::{Exit, Overrun, ProcessHandle, Soon};
use casemate_net::egress::{self, Doorway, Rules};
use casemate_sandbox::{CellHandle, Figures};
use casemate_toolkit::system::provider::{self, Sockets};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Design;
use super::story::Story;

/// How often the connections of a server are added up and told.
const SETTLE_TIME: Duration = Duration::from_secs(600);

/// A process that runs. Dropping it kills the whole tree.
#[derive(Debug)]
pub struct Running {
    handle: Arc<CellHandle>,
    report: CellReport,
    blamed: Arc<OnceLock<Overrun>>,
}

impl Running {
    /// Its cell.
    pub fn cell(&self) -> &CellHandle {
        &self.handle
    }
}

/// What is needed to see a cell to its end.
pub(super) struct Attendant {
    pub(super) handle: Arc<CellHandle>,
    pub(super) design: Design,
    pub(super) story: Arc<Story>,
    /// Its network, when it has one.
    pub(super) network: Option<(Doorway, Rules)>,
    /// Where it asks about the host, when it may.
    pub(super) figures: Option<Figures>,
}

impl Attendant {
    /// Begins to look after the cell, and gives its owner a handle.
    pub(super) fn attend(self, tracker: &TaskTracker, report: CellReport) -> Running {
        let blamed = Arc::default();
        let running = Running { handle: Arc::clone(&self.handle), report, blamed: Arc::clone(&blamed) };
        let tasks = tracker.clone();
        tracker.spawn(async move { self.run(&tasks, &blamed).await });
        running
    }

    async fn run(self, tracker: &TaskTracker, blamed: &OnceLock<Overrun>) {
        let stop = CancellationToken::new();
        let network =
            self.network.map(|(doorway, rules)| tracker.spawn(egress::serve(doorway, rules, stop.clone())));
        if let Some(Figures { file_systems, interfaces }) = self.figures {
            let stop = stop.clone();
            tracker.spawn(async move {
                if let Err(error) = provider::serve(Sockets { file_systems, interfaces }, stop).await {
                    tracing::error!(%error, "nobody tells a cell about the host");
                }
            });
        }
        let mut settle = interval(SETTLE_TIME);
        settle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = async { _ = self.handle.wait().await };
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => break,
                _ = settle.tick() => self.story.settle(),
            }
        }
        stop.cancel();
        if let Some(network) = network
            && let Err(error) = network.await
        {
            tracing::error!(%error, "the network of a cell failed");
        }
        let exit = exit(&self.handle).await;
        let overrun = exit.overrun.or_else(|| blamed.get().cloned());
        self.story.ended(&Exit { overrun, ..exit });
        // A scratch folder goes when nothing is left that could write there.
        drop(self.design);
    }
}

/// How the program ended.
async fn exit(handle: &CellHandle) -> Exit {
    Exit { how: handle.wait().await.to_string(), overrun: None }
}

impl ProcessHandle for Running {
    fn pid(&self) -> Option<u32> {
        Some(self.handle.pid())
    }

    fn report(&self) -> CellReport {
        self.report.clone()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(exit(&self.handle))
    }

    fn blame(&self, overrun: &Overrun) {
        _ = self.blamed.set(overrun.clone());
    }

    fn terminate(&self, grace: Duration) -> Soon<'_, ()> {
        Box::pin(async move { _ = self.handle.terminate(grace).await })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.kill();
    }
}
