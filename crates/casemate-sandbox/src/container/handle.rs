//! A running container as its owner sees it.

use std::sync::Arc;
use std::time::Duration;

use casemate_net::egress::Doorway;
use tokio::net::unix::{OwnedWriteHalf, pipe};
use tokio::sync::watch;

use super::report::ContainerReport;
use crate::exit::Exit;
use crate::overrun::Overrun;

/// A server running in a container. Dropping it kills and removes the container.
#[derive(Debug)]
pub struct Container {
    /// What is written here the server reads, by way of the engine; how much of it, nobody can tell. Dropping it is the
    /// polite way to ask a server to end.
    pub stdin: OwnedWriteHalf,
    /// What the server writes to standard output.
    pub stdout: pipe::Receiver,
    /// What the server writes to standard error. Somebody must read both, or both stall once 64 KiB of one are waiting.
    pub stderr: pipe::Receiver,
    /// Its network, for one that was asked for with [`crate::Network::Ports`], as that of a [`crate::Cell`].
    pub doorway: Option<Doorway>,
    /// Its life.
    pub handle: ContainerHandle,
}

/// The life of a container. Dropping it kills and removes the container without further ado.
#[derive(Debug)]
pub struct ContainerHandle {
    pub(super) id: String,
    pub(super) report: Arc<ContainerReport>,
    pub(super) wish: watch::Sender<Wish>,
    pub(super) ended: watch::Receiver<Option<Ended>>,
}

/// What the owner wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// That it runs.
    Run,
    /// That it ends when it likes to.
    Terminate,
    /// That it is gone.
    Kill,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// The limit that ended it, if one did.
    pub(super) overrun: Option<Overrun>,
}

impl ContainerHandle {
    /// The engine's id of the container.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is in force around it.
    pub fn report(&self) -> &ContainerReport {
        &self.report
    }

    /// How the server ended, if it has. An engine passes on one number alone: 129 to 159 count as a signal, as in a shell.
    pub fn exit(&self) -> Option<Exit> {
        self.ended.borrow().map(|ended| ended.exit)
    }

    /// The limit that ended the server, if it has ended and one did.
    pub fn overrun(&self) -> Option<Overrun> {
        self.ended.borrow().and_then(|ended| ended.overrun)
    }

    /// Kills the container at once. Returns before it is gone; [`ContainerHandle::wait`] tells when it is.
    pub fn kill(&self) {
        self.wish(Wish::Kill);
    }

    /// Asks the server to end with SIGTERM and, when it has not after `grace`, kills the container. Close its standard
    /// input first: most servers need no more.
    pub async fn terminate(&self, grace: Duration) -> Exit {
        self.wish(Wish::Terminate);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => {
                self.kill();
                self.wait().await
            }
        }
    }

    /// Waits until the server has ended and the container is removed. Any number of tasks may wait, and a dropped wait
    /// loses nothing.
    pub async fn wait(&self) -> Exit {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await.ok().and_then(|ended| *ended);
        // Its keeper is gone only if the whole runtime is.
        ended.map_or(Exit::KILLED, |ended| ended.exit)
    }

    fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|current| {
            let grows = *current < wish;
            *current = wish.max(*current);
            grows
        });
    }
}

impl Drop for ContainerHandle {
    fn drop(&mut self) {
        self.kill();
    }
}
