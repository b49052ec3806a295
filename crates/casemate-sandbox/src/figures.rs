//! Figures of the host in a cell: what a server finds there, and who answers for the rest.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use rustix::io::Errno;

use crate::message::Message;

/// Whether a server gets to see how the host is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostStats {
    /// Nothing of it.
    Hidden,
    /// In a full cell, [`HostStats::FOLDER`] has [`HostStats::FILES`] of the host's `/proc`, read-only, and two sockets,
    /// `file-systems` and `interfaces`, at which casemate answers (see [`Figures`]). A light cell sees the host's `/proc`
    /// and file systems in any case.
    Shown,
}

impl HostStats {
    /// Where a full cell has the figures.
    pub const FOLDER: &str = "/run/host-stats";

    /// The files of `/proc` that are about the machine as a whole, name nobody, and tell what its processors and memory
    /// are doing (proc(5)).
    pub const FILES: [&str; 3] = ["loadavg", "meminfo", "stat"];

    /// The socket that tells what file systems there are, and how full.
    pub const FILE_SYSTEMS: &str = "file-systems";

    /// The socket that tells what the network interfaces are doing.
    pub const INTERFACES: &str = "interfaces";
}

/// Figures that are no file which could be shown: listening sockets that the cell's first process has made, for casemate
/// to answer at. Whoever connects wants to know; nothing has to be read from a connection. Neither of them blocks.
#[derive(Debug)]
pub struct Figures {
    /// What file systems there are, and how full.
    pub file_systems: UnixListener,
    /// What the network interfaces are doing.
    pub interfaces: UnixListener,
}

/// Hands the sockets over and closes them here.
pub(crate) fn hand_out(figures: Figures, control: &OwnedFd) -> Result<(), Errno> {
    let Figures { file_systems, interfaces } = figures;
    Message::Figures.send_with(control, &[file_systems.as_fd(), interfaces.as_fd()])
}

/// What has arrived, if it is both.
pub(crate) fn take_in(descriptors: Vec<OwnedFd>) -> Option<Figures> {
    let [file_systems, interfaces] = descriptors.try_into().ok()?;
    Some(Figures { file_systems: file_systems.into(), interfaces: interfaces.into() })
}
