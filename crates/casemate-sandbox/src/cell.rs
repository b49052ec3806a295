//! A running cell as its owner sees it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use casemate_net::egress::Doorway;
use rustix::net::Shutdown;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::containment::{Containment, Report};
use crate::exit::Exit;
use crate::figures::Figures;
use crate::overrun::Overrun;

/// A program running in a cell. Dropping it kills the whole tree.
#[derive(Debug)]
pub struct Cell {
    /// Its standard streams.
    pub io: CellIo,
    /// Its life.
    pub handle: CellHandle,
    /// Its network, for one that was asked for with [`crate::Network::Ports`]. While nobody serves it, connections to
    /// the granted ports wait; dropped, they are refused. It keeps the cell's network namespace, so whoever takes it
    /// has to drop it when the cell has ended.
    pub doorway: Option<Doorway>,
    /// Where it asks for figures of the host, for a full cell with [`crate::HostStats::Shown`]. As with the doorway, whoever
    /// takes it has to drop it when the cell has ended.
    pub figures: Option<Figures>,
}

impl Cell {
    /// Takes it apart, so that the streams can move into tasks of their own. A doorway that was not taken before is
    /// closed.
    pub fn split(self) -> (CellIo, CellHandle) {
        (self.io, self.handle)
    }
}

/// The standard streams of a program, our ends of three pipes.
#[derive(Debug)]
pub struct CellIo {
    /// What is written here the program reads; dropping it is the polite way to ask a server to end.
    pub stdin: pipe::Sender,
    /// What the program writes to standard output.
    pub stdout: pipe::Receiver,
    /// What the program writes to standard error. Somebody must read it, or the program stalls once 64 KiB
    /// are waiting.
    pub stderr: pipe::Receiver,
}

/// The life of a cell. Dropping it kills the whole tree, which is reaped without further ado.
#[derive(Debug)]
pub struct CellHandle {
    pub(crate) pid: u32,
    pub(crate) report: Arc<Report>,
    pub(crate) ropes: Ropes,
    pub(crate) ended: watch::Receiver<Option<End>>,
}

/// The end of a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    pub(crate) overrun: Option<Overrun>,
}

/// What a cell hangs by: its first process, and the socket whose end means that casemate has let go.
#[derive(Debug, Clone)]
pub(crate) struct Ropes {
    pub(crate) pidfd: Arc<OwnedFd>,
    pub(crate) control: Arc<OwnedFd>,
    pub(crate) containment: Containment,
}

impl Ropes {
    /// Brings down the whole tree. Neither call can hit another process, even long after the end.
    pub(crate) fn cut(&self) {
        let _ = match self.containment {
            Containment::PidNamespace | Containment::UserNamespace => {
                pidfd_send_signal(&self.pidfd, Signal::KILL)
            }
            // The reaper must live, to kill the others.
            Containment::Reaper => rustix::net::shutdown(&self.control, Shutdown::Write),
        };
    }
}

impl CellHandle {
    /// The id of the cell's first process, as this process counts. Killing it kills the whole tree.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What is really enforced for this cell.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// How the program ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.ended.borrow().map(|end| end.exit)
    }

    /// Which limit has ended the program, or may have. Nothing as long as it runs, and nothing after an orderly end.
    pub fn overrun(&self) -> Option<Overrun> {
        self.ended.borrow().and_then(|end| end.overrun)
    }

    /// Kills the whole tree at once. Returns before it is gone; [`CellHandle::wait`] tells when it is.
    pub fn kill(&self) {
        self.ropes.cut();
    }

    /// Sends a signal to the program, by its number: the cell's first process passes it on. Not for those that no
    /// program can catch, which would hit that first process alone: [`CellHandle::kill`] ends everything.
    pub fn signal(&self, number: i32) {
        let signal = Signal::from_named_raw(number);
        if let Some(signal) = signal.filter(|signal| *signal != Signal::KILL && *signal != Signal::STOP) {
            let _ = pidfd_send_signal(&self.ropes.pidfd, signal);
        }
    }

    /// Asks the program to end with SIGTERM and, when it has not after `grace`, kills the tree. Whatever the
    /// program leaves behind is killed in either case. Close its standard input first: most servers need no more.
    pub async fn terminate(&self, grace: Duration) -> Exit {
        let _ = pidfd_send_signal(&self.ropes.pidfd, Signal::TERM);
        match tokio::time::timeout(grace, self.wait()).await {
            Ok(exit) => exit,
            Err(_) => {
                self.kill();
                self.wait().await
            }
        }
    }

    /// Waits until the program has ended and everything that it started is gone. Any number of tasks may wait,
    /// and a dropped wait loses nothing.
    pub async fn wait(&self) -> Exit {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        // The spawner's thread ends after its last cell, so the channel cannot close before an end is known.
        end.map_or(Exit::KILLED, |end| end.exit)
    }
}

impl Drop for CellHandle {
    fn drop(&mut self) {
        self.kill();
    }
}
