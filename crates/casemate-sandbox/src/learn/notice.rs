//! What the kernel tells of a call that waits for an answer (seccomp_unotify(2)).

#![allow(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};

use crate::syscall::last_errno;

/// The smallest page that there is, beyond which memory may not go on.
const PAGE_BYTES: usize = 4096;

/// The longest name of a file (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;

/// A call that waits. While it does, what it was made with can be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notice {
    id: u64,
    /// The thread that makes it, as we count.
    pub(super) thread: u32,
    pub(super) number: i64,
    arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel carries it out. What its pointers lead to may have changed since: whoever answers so has decided nothing.
    Continue,
    Refuse(Errno),
}

impl Notice {
    /// Waits for the next call; nothing when everybody who could make one is gone.
    pub(super) fn next(listener: &OwnedFd) -> Result<Option<Notice>, Errno> {
        loop {
            let mut ready = [PollFd::new(listener, PollFlags::IN)];
            retry_on_intr(|| poll(&mut ready, None))?;
            let events = ready.first().map_or(PollFlags::empty(), PollFd::revents);
            if !events.contains(PollFlags::IN) {
                return Ok(None);
            }
            // SAFETY: the structure is plain data, for which zeros are a value, and the one that the kernel demands.
            let mut notice: libc::seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
            // SAFETY: the kernel fills in the structure that this request has in its number.
            let told =
                unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice) };
            if told == -1 {
                match last_errno() {
                    // It was killed in between.
                    Errno::NOENT | Errno::INTR => continue,
                    errno => return Err(errno),
                }
            }
            return Ok(Some(Notice {
                id: notice.id,
                thread: notice.pid,
                number: notice.data.nr.into(),
                arguments: notice.data.args,
            }));
        }
    }

    /// One of the arguments, from 0 on.
    pub(super) fn argument(&self, place: u8) -> u64 {
        self.arguments.get(usize::from(place)).copied().unwrap_or_default()
    }

    /// Whether the call still waits. Only then is what was looked at under the thread's number its own.
    pub(super) fn is_waiting(&self, listener: &OwnedFd) -> bool {
        // SAFETY: the kernel reads one number.
        let valid = unsafe {
            libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const self.id)
        };
        valid == 0
    }

    /// Answers. A call that was killed needs none.
    pub(super) fn answer(&self, listener: &OwnedFd, answer: Answer) {
        let (error, flags) = match answer {
            Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::Refuse(errno) => (-errno.raw_os_error(), 0),
        };
        let mut response = libc::seccomp_notif_resp { id: self.id, val: 0, error, flags };
        // SAFETY: the kernel reads the structure that this request has in its number.
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    }

    /// The text in the thread's memory that an argument points to, without its NUL.
    pub(super) fn text(&self, place: u8) -> Result<Vec<u8>, Errno> {
        let mut address = self.argument(place);
        let mut text = Vec::new();
        let mut page = [0; PAGE_BYTES];
        while text.len() < PATH_BYTES_MAX {
            let read = self.read(address, &mut page)?;
            let read = page.get(..read).unwrap_or_default();
            let end = read.iter().position(|byte| *byte == 0);
            text.extend_from_slice(read.get(..end.unwrap_or(read.len())).unwrap_or_default());
            if end.is_some() {
                return Ok(text);
            }
            address = address.wrapping_add(read.len() as u64);
        }
        // The kernel will say the same.
        Err(Errno::NAMETOOLONG)
    }

    /// The eight bytes in the thread's memory that an argument points to.
    pub(super) fn word(&self, place: u8) -> Result<u64, Errno> {
        let mut word = [0; 8];
        match self.read(self.argument(place), &mut word)? {
            8 => Ok(u64::from_ne_bytes(word)),
            _ => Err(Errno::FAULT),
        }
    }

    /// Reads the thread's memory until the buffer is full or the page ends. How much it was, which is not nothing.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let thread = i32::try_from(self.thread).map_err(|_| Errno::SRCH)?;
        let until_page_ends = PAGE_BYTES - usize::try_from(address).unwrap_or_default() % PAGE_BYTES;
        let length = buffer.len().min(until_page_ends);
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: length };
        let remote = libc::iovec { iov_base: address as *mut c_void, iov_len: length };
        // SAFETY: the kernel writes into our buffer, which is at least as long, and checks the other address itself.
        let read = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
        match usize::try_from(read) {
            Ok(0) => Err(Errno::FAULT),
            Ok(read) => Ok(read),
            Err(_) => Err(last_errno()),
        }
    }
}
