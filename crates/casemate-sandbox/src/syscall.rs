//! System calls for single-threaded processes that rustix has no safe form of.

#![allow(
    unsafe_code,
    reason = "fork, exec and signal masks have no safe wrapper; each use says why it is sound"
)]

use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;

/// The highest signal number of Linux.
const SIGNAL_MAX: c_int = 64;

/// Blocks every signal for the calling thread and for what it forks or executes.
pub(crate) fn block_signals() {
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset initializes the set it is given, and pthread_sigmask only reads it.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut());
    }
}

/// Gives every signal its default disposition and unblocks all: what a program expects when it starts.
pub(crate) fn reset_signals() -> Result<(), Errno> {
    // The kernel's sigaction: SIG_DFL, no flags, no restorer, an empty mask. Asked directly, since libc keeps
    // signals 32 and 33 to itself, and whoever started casemate may have ignored them.
    let default = [0_u64; 4];
    // These two cannot be changed by anybody.
    for signal in (1..=SIGNAL_MAX).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        let (new, old) = (default.as_ptr(), ptr::null::<u64>());
        // SAFETY: SIG_DFL installs no code, and the size is that of the kernel's set of signals.
        let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, size_of::<u64>()) };
        if result == -1 {
            return Err(last_errno());
        }
    }
    let mut none = MaybeUninit::uninit();
    // SAFETY: sigemptyset initializes the set it is given, and pthread_sigmask only reads it.
    let errno = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    };
    if errno == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(errno)) }
}

/// A descriptor that becomes readable when a signal is pending. The signals must be blocked.
pub(crate) fn signal_descriptor() -> Result<OwnedFd, Errno> {
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset initializes the set, signalfd only reads it, and a descriptor that it returns is new
    // and owned by nobody else.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        match libc::signalfd(-1, all.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(last_errno()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// The number of the next pending signal.
pub(crate) fn next_signal(signals: &OwnedFd) -> Option<i32> {
    let mut record = [0; size_of::<libc::signalfd_siginfo>()];
    let length = rustix::io::read(signals, &mut record).ok()?;
    // The record starts with the signal's number.
    let number = record.first_chunk().filter(|_| length == record.len())?;
    i32::try_from(u32::from_ne_bytes(*number)).ok()
}

/// Forks; `None` in the child.
///
/// Only for processes that have a single thread, as all re-executed ones have: then the child may do anything.
pub(crate) fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: this process has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Executes a program; returns only when that failed.
pub(crate) fn execute(program: &CStr, argv: &[&CStr], env: &[&CStr]) -> Errno {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: all are NUL-terminated strings, the arrays end with a null pointer, and all outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// The array form that exec wants: pointers to the texts, then a null pointer.
pub(crate) fn pointers(texts: &[&CStr]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// The most memory that one of our children, or of theirs, has used at once, in KiB. Only those count that were waited
/// for.
pub(crate) fn peak_of_children() -> i32 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the structure is plain data, for which zeros are a value, and getrusage fills it in.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    i32::try_from(usage.ru_maxrss).unwrap_or(i32::MAX)
}

/// The libraries that this process runs with, its loader included, where the loader has found them.
#[cfg(feature = "container")]
pub(crate) fn libraries() -> Vec<std::path::PathBuf> {
    use std::os::unix::ffi::OsStrExt;

    extern "C" fn note(object: *mut libc::dl_phdr_info, _: libc::size_t, list: *mut libc::c_void) -> c_int {
        // SAFETY: the loader describes an object that stays where it is for the time of this call, and its name is
        // NUL-terminated; the list is the one below, which nobody else uses meanwhile.
        let (name, list) =
            unsafe { (CStr::from_ptr((*object).dlpi_name), &mut *list.cast::<Vec<std::path::PathBuf>>()) };
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
        // The program itself has no name here, and what the kernel provides has no path.
        if path.is_absolute() {
            list.push(path.to_owned());
        }
        0
    }

    let mut list: Vec<std::path::PathBuf> = Vec::new();
    // SAFETY: the function takes what is passed to it, and neither unwinds nor calls the loader.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut list).cast()) };
    list
}

/// Takes over a descriptor that the process was started with; nothing when it is not open.
///
/// To be called once for a number, by the re-executed process alone.
pub(crate) fn inherited(descriptor: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_SETFD on a number that is not open fails, without effect.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return None;
    }
    // SAFETY: it is open, it was given to us by the one who started us, and nobody else has taken it.
    Some(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Closes standard input, output and error, so that the process keeps none of another's pipes open.
pub(crate) fn close_stdio() {
    for descriptor in 0..=2 {
        // SAFETY: the re-executed process never uses the standard streams, so nothing owns these numbers.
        unsafe { libc::close(descriptor) };
    }
}

/// Marks every descriptor from `first` on as to be closed by exec.
pub(crate) fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: setting the flag invalidates no descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// The error of the last libc call of this thread.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: the location is valid for the life of the thread.
    let errno: c_int = unsafe { *libc::__errno_location() };
    Errno::from_raw_os_error(errno)
}
