//! Attacks on the kernel itself, by the calls that it offers to everybody.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::fs::File;
use std::io::{self, Error};
use std::os::fd::AsRawFd;

use casemate_sandbox::Layer::{self, Capabilities, Hostname, Ipc, Landlock, Nesting, Seccomp};

use crate::attack::Attack;

const FILTER: &[Layer] = &[Seccomp];

pub(crate) const ALL: &[Attack] = &[
    Attack::new("enter_a_user_namespace", &[Nesting, Seccomp], FILTER, |_| {
        syscall(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("start_in_a_user_namespace", &[Nesting, Seccomp], FILTER, |_| {
        fork_with(libc::CLONE_NEWUSER | libc::SIGCHLD)
    }),
    Attack::new("mount_something", &[Capabilities, Seccomp, Landlock], &[], |_| {
        let args = [c"none".as_ptr() as usize, c"/tmp".as_ptr() as usize, c"tmpfs".as_ptr() as usize, 0, 0];
        syscall(libc::SYS_mount, args).map(drop)
    }),
    Attack::new("unmount_something", &[Capabilities, Seccomp, Landlock], &[], |_| {
        syscall(libc::SYS_umount2, [c"/tmp".as_ptr() as usize, libc::MNT_DETACH as usize, 0, 0, 0]).map(drop)
    }),
    Attack::new("change_the_root", &[Capabilities, Seccomp], &[], |_| {
        syscall(libc::SYS_chroot, [c"/tmp".as_ptr() as usize, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("rename_the_host", &[Capabilities, Seccomp], &[], |_| {
        syscall(libc::SYS_sethostname, [c"x".as_ptr() as usize, 1, 0, 0, 0]).map(drop)
    }),
    Attack::new("learn_the_hosts_name", &[Hostname], &[], |f| {
        let name = rustix::system::uname();
        if name.nodename().to_str() == Ok(&f.hostname) { Ok(()) } else { Err(Error::other("a cell's own")) }
    }),
    Attack::new("work_past_the_filter", FILTER, FILTER, |_| {
        let params = [0_u64; 15];
        syscall(libc::SYS_io_uring_setup, [1, params.as_ptr() as usize, 0, 0, 0]).map(drop)
    }),
    Attack::new("leave_a_key", FILTER, FILTER, |_| {
        let process_keyring = -2_isize as usize;
        let (kind, name) = (c"user".as_ptr() as usize, c"casemate".as_ptr() as usize);
        syscall(libc::SYS_add_key, [kind, name, c"x".as_ptr() as usize, 1, process_keyring]).map(drop)
    }),
    Attack::new("catch_page_faults", FILTER, FILTER, |_| {
        const USER_MODE_ONLY: usize = 1;
        syscall(libc::SYS_userfaultfd, [USER_MODE_ONLY, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("name_a_file_by_its_handle", FILTER, FILTER, |_| {
        let mut handle = [0_u32; 34];
        handle[0] = 128;
        let mut mount = 0_i32;
        let (handle, mount) = (handle.as_mut_ptr() as usize, (&raw mut mount) as usize);
        let args = [libc::AT_FDCWD as usize, c"/usr".as_ptr() as usize, handle, mount, 0];
        syscall(libc::SYS_name_to_handle_at, args).map(drop)
    }),
    Attack::new("turn_randomization_off", FILTER, FILTER, |_| {
        syscall(libc::SYS_personality, [libc::ADDR_NO_RANDOMIZE as usize, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("watch_all_files", FILTER, FILTER, |_| {
        const REPORT_FID: usize = 0x200;
        syscall(libc::SYS_fanotify_init, [REPORT_FID, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("measure_the_processor", FILTER, FILTER, |_| {
        let mut attributes = [0_u64; 16];
        // A software event of 128 bytes, outside of the kernel: what everybody may measure.
        attributes[0] = 1 | 128 << 32;
        attributes[5] = 1 << 5 | 1 << 6;
        let none = usize::MAX;
        syscall(libc::SYS_perf_event_open, [attributes.as_ptr() as usize, 0, none, none, 0]).map(drop)
    }),
    // A descriptor that is no terminal says so, once the request has come through to it.
    Attack::new("type_into_the_terminal", FILTER, FILTER, |_| terminal(libc::TIOCSTI)),
    Attack::new("type_into_the_console", FILTER, FILTER, |_| terminal(0x541c)),
    Attack::new("hide_a_request_in_ignored_bits", FILTER, FILTER, |_| terminal(libc::TIOCSTI | 1 << 32)),
    #[cfg(target_arch = "x86_64")]
    Attack::new("call_as_another_architecture", FILTER, FILTER, |_| call_as_i386()),
    #[cfg(target_arch = "x86_64")]
    Attack::new("change_segments", FILTER, FILTER, |_| {
        let mut table = [0_u64; 2];
        syscall(libc::SYS_modify_ldt, [0, table.as_mut_ptr() as usize, 16, 0, 0]).map(drop)
    }),
    Attack::new("read_the_hosts_shared_memory", &[Ipc], FILTER, |f| {
        syscall(libc::SYS_shmat, [f.memory as usize, 0, libc::SHM_RDONLY as usize, 0, 0]).map(drop)
    }),
];

/// A system call with five arguments, none of which may be a pointer to anything that does not outlive it.
pub(crate) fn syscall(number: i64, args: [usize; 5]) -> io::Result<usize> {
    // SAFETY: the attacks pass numbers, and pointers to what outlives the call and has the size that the call expects.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
    usize::try_from(result).map_err(|_| Error::last_os_error())
}

fn fork_with(flags: i32) -> io::Result<()> {
    match syscall(libc::SYS_clone, [flags as usize, 0, 0, 0, 0])? {
        // SAFETY: the child of a fork, which ends without touching anything.
        0 => unsafe { libc::_exit(0) },
        child => {
            let process = rustix::process::Pid::from_raw(i32::try_from(child).unwrap());
            rustix::process::waitpid(process, rustix::process::WaitOptions::empty())?;
            Ok(())
        }
    }
}

fn terminal(request: u64) -> io::Result<()> {
    let null = File::open("/dev/null")?;
    let byte = b"x".as_ptr() as usize;
    match syscall(libc::SYS_ioctl, [null.as_raw_fd() as usize, request as usize, byte, 0, 0]) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(target_arch = "x86_64")]
fn call_as_i386() -> io::Result<()> {
    const GETPID: u64 = 20;
    let mut value = GETPID;
    // SAFETY: asks for our own process id by the old gate, which clobbers nothing but the registers that are named.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") value, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if value == u64::from(std::process::id()) { Ok(()) } else { Err(Error::other(format!("{value}"))) }
}
