//! The other side of a cell: tells a server inside what it cannot see there. Casemate runs this outside, as a task.
//!
//! Whoever connects is told, and the connection is closed. Nothing is ever read from one, so there is nothing to
//! misunderstand, and what is told does not depend on who asks.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use super::procfs::Procfs;
use super::{Fault, disk};

/// How long an answer may take to be taken.
const TAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// The pause after an answer: who asks without end gets so many, and keeps nobody busy. Looking twice in the shortest
/// interval that a tool offers is possible.
const PAUSE: Duration = Duration::from_millis(25);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    FileSystems,
    Interfaces,
}

impl Question {
    /// The name of the socket.
    pub(super) fn name(self) -> &'static str {
        match self {
            Question::FileSystems => super::FILE_SYSTEMS,
            Question::Interfaces => super::INTERFACES,
        }
    }

    async fn answer(self, host: &Procfs) -> Result<String, Fault> {
        match self {
            Question::FileSystems => disk::told(host).await,
            Question::Interfaces => host.read("self/net/dev", |text| Some(text.to_owned())),
        }
    }
}

/// The sockets of a cell, at which it asks for figures. They must not block.
#[derive(Debug)]
pub struct Sockets {
    /// Asks what file systems there are, and how full.
    pub file_systems: UnixListener,
    /// Asks what the network interfaces are doing.
    pub interfaces: UnixListener,
}

/// Tells a cell about the machine that we run on, for as long as it is polled. It ends by itself only with the host's
/// error, when the sockets cannot be watched.
pub async fn serve(sockets: Sockets) -> io::Error {
    tell(sockets, &Procfs::Whole(PathBuf::from("/proc"))).await
}

pub(super) async fn tell(sockets: Sockets, host: &Procfs) -> io::Error {
    let watched = |listener| tokio::net::UnixListener::from_std(listener);
    match (watched(sockets.file_systems), watched(sockets.interfaces)) {
        (Ok(file_systems), Ok(interfaces)) => tokio::select! {
            never = answer(&file_systems, Question::FileSystems, host) => match never {},
            never = answer(&interfaces, Question::Interfaces, host) => match never {},
        },
        (Err(error), _) | (_, Err(error)) => error,
    }
}

/// One at a time.
async fn answer(listener: &tokio::net::UnixListener, question: Question, host: &Procfs) -> Infallible {
    loop {
        // An error is a want of descriptors or memory, which passes.
        if let Ok((mut connection, _)) = listener.accept().await
            // Who learns nothing is told nothing: the reasons are about the host.
            && let Ok(text) = question.answer(host).await
        {
            _ = tokio::time::timeout(TAKE_TIME_MAX, connection.write_all(text.as_bytes())).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
