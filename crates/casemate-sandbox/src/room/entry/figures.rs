//! The sockets at which casemate tells a server about the host: made inside, in a folder that nobody outside sees, and
//! handed out. None of them stays.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use super::mounts::Site;
use crate::figures::{self, Figures, HostStats};

/// Questions that wait for an answer.
const BACKLOG: i32 = 8;

/// Makes the sockets and hands them to casemate.
pub(super) fn open(site: &Site, control: &OwnedFd) -> Result<(), Errno> {
    let listener = |name: &str| -> Result<UnixListener, Errno> {
        let path = Path::new(HostStats::FOLDER).join(name);
        // Only a descriptor leads to the new root so far, and an address can only be a path.
        let (folder, _) = site.folder_of(&path)?;
        rustix::process::fchdir(folder)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(name)?)?;
        listen(&socket, BACKLOG)?;
        Ok(socket.into())
    };
    let made = Figures {
        file_systems: listener(HostStats::FILE_SYSTEMS)?,
        interfaces: listener(HostStats::INTERFACES)?,
    };
    figures::hand_out(made, control)
}
