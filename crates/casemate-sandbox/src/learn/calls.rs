//! The system calls that say which files a program needs, and where each has the file's name.

use libc::{AT_FDCWD, O_ACCMODE, O_CREAT, O_RDONLY, O_TRUNC};

/// A call of which casemate is told before the kernel carries it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) number: i64,
    pub(crate) intent: Intent,
    /// Where the names are; most calls have one.
    pub(crate) names: &'static [Name],
}

/// What a call does with what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Opens it, for what its flags say; they are this argument.
    Open(u8),
    /// The same with the flags in memory, at the start of what this argument points to.
    OpenHow(u8),
    /// Opens it for writing, and makes it if need be.
    Create,
    Execute,
    /// Asks what it is, without reading it.
    Look,
    /// Changes the file: its length, times, owner or mode.
    Alter,
    /// Makes it, which changes the folder that it lies in; so do the next two.
    Make,
    Remove,
    Rename,
    /// No file at all: a socket that could speak to any program of the host which has one with a name.
    Socket,
}

/// Where a call has a file's name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    /// The argument that is the folder which the name is relative to, where it is not the working directory.
    pub(crate) folder: Option<u8>,
    /// The argument that points to the name.
    pub(crate) text: u8,
}

const fn here(text: u8) -> Name {
    Name { folder: None, text }
}

const fn beside(folder: u8) -> Name {
    Name { folder: Some(folder), text: folder + 1 }
}

const fn call(number: i64, intent: Intent, names: &'static [Name]) -> Call {
    Call { number, intent, names }
}

/// Those that make a socket. They are told only where it could speak to one with a name in the file system.
pub(crate) const SOCKETS: [i64; 2] = [libc::SYS_socket, libc::SYS_socketpair];

/// Those that name files.
pub(crate) fn files() -> impl Iterator<Item = Call> {
    CALLS.iter().chain(LEGACY).copied()
}

/// The call of a number, if it is one of them.
pub(crate) fn find(number: i64) -> Option<Call> {
    if SOCKETS.contains(&number) {
        return Some(call(number, Intent::Socket, &[]));
    }
    files().find(|call| call.number == number)
}

const CALLS: &[Call] = &[
    call(libc::SYS_openat, Intent::Open(2), &[beside(0)]),
    call(libc::SYS_openat2, Intent::OpenHow(2), &[beside(0)]),
    call(libc::SYS_execve, Intent::Execute, &[here(0)]),
    call(libc::SYS_execveat, Intent::Execute, &[beside(0)]),
    call(libc::SYS_newfstatat, Intent::Look, &[beside(0)]),
    call(libc::SYS_statx, Intent::Look, &[beside(0)]),
    call(libc::SYS_faccessat, Intent::Look, &[beside(0)]),
    call(libc::SYS_faccessat2, Intent::Look, &[beside(0)]),
    call(libc::SYS_readlinkat, Intent::Look, &[beside(0)]),
    call(libc::SYS_chdir, Intent::Look, &[here(0)]),
    call(libc::SYS_statfs, Intent::Look, &[here(0)]),
    call(libc::SYS_inotify_add_watch, Intent::Look, &[here(1)]),
    call(libc::SYS_truncate, Intent::Alter, &[here(0)]),
    call(libc::SYS_setxattr, Intent::Alter, &[here(0)]),
    call(libc::SYS_lsetxattr, Intent::Alter, &[here(0)]),
    call(libc::SYS_removexattr, Intent::Alter, &[here(0)]),
    call(libc::SYS_lremovexattr, Intent::Alter, &[here(0)]),
    call(libc::SYS_fchmodat, Intent::Alter, &[beside(0)]),
    call(libc::SYS_fchmodat2, Intent::Alter, &[beside(0)]),
    call(libc::SYS_fchownat, Intent::Alter, &[beside(0)]),
    call(libc::SYS_utimensat, Intent::Alter, &[beside(0)]),
    call(libc::SYS_mkdirat, Intent::Make, &[beside(0)]),
    call(libc::SYS_mknodat, Intent::Make, &[beside(0)]),
    call(libc::SYS_unlinkat, Intent::Remove, &[beside(0)]),
    call(libc::SYS_renameat, Intent::Rename, &[beside(0), beside(2)]),
    call(libc::SYS_renameat2, Intent::Rename, &[beside(0), beside(2)]),
    call(libc::SYS_linkat, Intent::Make, &[beside(2)]),
    call(libc::SYS_symlinkat, Intent::Make, &[beside(1)]),
];

/// The older forms of calls, which aarch64 never had.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[Call] = &[
    call(libc::SYS_open, Intent::Open(1), &[here(0)]),
    call(libc::SYS_creat, Intent::Create, &[here(0)]),
    call(libc::SYS_stat, Intent::Look, &[here(0)]),
    call(libc::SYS_lstat, Intent::Look, &[here(0)]),
    call(libc::SYS_access, Intent::Look, &[here(0)]),
    call(libc::SYS_readlink, Intent::Look, &[here(0)]),
    call(libc::SYS_chmod, Intent::Alter, &[here(0)]),
    call(libc::SYS_chown, Intent::Alter, &[here(0)]),
    call(libc::SYS_lchown, Intent::Alter, &[here(0)]),
    call(libc::SYS_utime, Intent::Alter, &[here(0)]),
    call(libc::SYS_utimes, Intent::Alter, &[here(0)]),
    call(libc::SYS_futimesat, Intent::Alter, &[beside(0)]),
    call(libc::SYS_mkdir, Intent::Make, &[here(0)]),
    call(libc::SYS_mknod, Intent::Make, &[here(0)]),
    call(libc::SYS_rmdir, Intent::Remove, &[here(0)]),
    call(libc::SYS_unlink, Intent::Remove, &[here(0)]),
    call(libc::SYS_rename, Intent::Rename, &[here(0), here(1)]),
    call(libc::SYS_link, Intent::Make, &[here(1)]),
    call(libc::SYS_symlink, Intent::Make, &[here(1)]),
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[Call] = &[];

/// Whether a call with these flags writes.
pub(crate) fn writes(flags: i32) -> bool {
    flags & O_ACCMODE != O_RDONLY || flags & (O_CREAT | O_TRUNC) != 0
}

/// Whether an argument stands for the working directory. The kernel looks at its lower half.
pub(crate) fn is_cwd(argument: u64) -> bool {
    argument as i32 == AT_FDCWD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_in_the_table_once() {
        let mut numbers: Vec<_> = files().map(|call| call.number).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }

    #[test]
    fn what_makes_or_empties_a_file_writes_it() {
        assert!(!writes(O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY));
        for flags in [libc::O_WRONLY, libc::O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC] {
            assert!(writes(flags), "{flags:o}");
        }
    }
}
