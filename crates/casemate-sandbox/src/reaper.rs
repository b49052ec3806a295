//! Killing everything below a subreaper, and everything that a lost reaper leaves to us.
//!
//! A subreaper becomes the parent of whatever is orphaned below it. So it is enough to kill children, again and
//! again: what they leave behind are our children next, and when none is left, there are no descendants.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::exit::Exit;

/// Kills all children of this process until none remains. Gives the server's end: the one already known, or
/// the one that is seen on the way.
pub(crate) fn kill_all_children((server, mut exit): (Pid, Option<Exit>)) -> Exit {
    loop {
        for child in children_newest_first(rustix::process::getpid()) {
            let _ = rustix::process::kill_process(child.pid, Signal::KILL);
        }
        let mut options = WaitOptions::empty();
        loop {
            match rustix::process::wait(options) {
                Ok(Some((pid, status))) if pid == server => exit = exit.or(Exit::of(status)),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                // No child is left, and with none no descendant.
                Err(_) => return exit.unwrap_or(Exit::KILLED),
            }
            // One death was worth waiting for; take what else there is, and look again.
            options = WaitOptions::NOHANG;
        }
    }
}

/// Kills what a reaper that was itself killed has left to this process, which is a subreaper too.
///
/// `ours` are the children that we made. A process in our own session is not a server's either: those all have
/// sessions of their own.
pub(crate) fn kill_strays(ours: &HashSet<i32>) {
    let own = rustix::process::getpid();
    let session = own_session();
    loop {
        let mut found = false;
        for child in children_newest_first(own) {
            if ours.contains(&child.pid.as_raw_pid()) || child.session == session {
                continue;
            }
            let _ = rustix::process::kill_process(child.pid, Signal::KILL);
            found |= rustix::process::waitpid(Some(child.pid), WaitOptions::empty()).is_ok();
        }
        if !found {
            return;
        }
    }
}

/// The parent of a process, as long as it is there.
pub(crate) fn parent(process: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    parent_and_session(&stat).map(|(parent, _)| parent)
}

/// The session of this process, as `/proc` writes it: 0 where it was begun outside of our PID namespace, as under
/// `docker exec` and `unshare --pid`. A `Pid` cannot be 0, so `getsid` of rustix is no way to ask (it panics).
fn own_session() -> i32 {
    std::fs::read("/proc/self/stat")
        .ok()
        .and_then(|stat| parent_and_session(&stat))
        .map_or(0, |(_, session)| session)
}

#[derive(Debug)]
struct Process {
    pid: Pid,
    session: i32,
}

/// The children of a process, looked up one by one as the iterator advances and the newest first: a process that
/// keeps forking a successor and exiting has little time between being seen and being killed.
fn children_newest_first(parent: Pid) -> impl Iterator<Item = Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> =
        entries.filter_map(|entry| str::from_utf8(entry.file_name().as_bytes()).ok()?.parse().ok()).collect();
    pids.reverse();
    pids.into_iter().filter_map(move |pid| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let (ppid, session) = parent_and_session(&stat)?;
        (ppid == parent.as_raw_pid()).then_some(Process { pid: Pid::from_raw(pid)?, session })
    })
}

/// Fields 4 and 6 of `/proc/PID/stat`. Field 2, the name, may contain anything, also `)` and spaces.
fn parent_and_session(stat: &[u8]) -> Option<(i32, i32)> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(1).map(|field| field.parse().ok());
    let parent = fields.next()??;
    let session = fields.nth(1)??;
    Some((parent, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_pretend_to_be_its_parent() {
        let stat = b"4711 (evil) S 1 1 1) S 42 4700 4701 0 -1 4194560 0";
        assert_eq!(parent_and_session(stat), Some((42, 4701)));
        assert_eq!(parent_and_session(b"4711 (sleep"), None);
        assert_eq!(parent_and_session(b""), None);
    }
}
