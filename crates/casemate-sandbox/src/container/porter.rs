//! The porter of a network by name: our own program, in a container of its own whose network a server will share. It
//! opens the doors, hands them to casemate and stays until casemate lets go, which is when the server has joined.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::message::{Failure, Message, Stage};
use crate::room;

/// What comes after our program's name.
pub(crate) const ROLE: &str = "doors";

/// Where casemate listens, in the porter's container.
pub(super) const CONTROL: &str = "/control";

/// The exit code of one that was not asked properly, or had nobody to hand anything to.
const EXIT_USAGE: i32 = 64;

/// The exit code of one that could not open the doors; why, it has told casemate.
const EXIT_FAILED: i32 = 125;

/// The porter's whole life. The ports are its arguments.
pub(crate) fn serve(ports: impl Iterator<Item = OsString>) -> i32 {
    let ports: Option<BTreeSet<u16>> = ports.map(|port| port.to_str()?.parse().ok()).collect();
    let (Some(ports), Ok(control)) = (ports, connect()) else { return EXIT_USAGE };
    if let Err(errno) = room::open_doors(&ports, &control) {
        Message::Failed(Failure::new(Stage::Sockets, errno)).send(&control);
        return EXIT_FAILED;
    }
    // Casemate never sends anything: what comes is its end of the socket.
    let _ = retry_on_intr(|| rustix::net::recv(&control, &mut [0_u8; 1], RecvFlags::empty()));
    0
}

fn connect() -> Result<OwnedFd, Errno> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let control = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&control, &SocketAddrUnix::new(CONTROL)?)?;
    Ok(control)
}
