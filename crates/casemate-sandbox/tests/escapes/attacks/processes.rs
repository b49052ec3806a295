//! Attacks on other processes.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::fs;
use std::io::{self, Error};

use casemate_sandbox::Layer::{Capabilities, CgroupView, Guard, Identity, Landlock, Processes, Seccomp};

use crate::attack::Attack;
use crate::attacks::kernel::syscall;
use crate::world::Facts;

pub(crate) const ALL: &[Attack] = &[
    Attack::new("see_another_process", &[Processes], &[], |f| {
        fs::read(format!("/proc/{}/cmdline", f.bystander)).map(drop)
    }),
    // Another user cannot either, but an ordinary user's server is no other user.
    Attack::new("signal_another_process", &[Processes, Landlock], &[Landlock], |f| {
        syscall(libc::SYS_kill, [f.bystander as usize, 0, 0, 0, 0]).map(drop)
    })
    .also(&[Identity]),
    // A user namespace alone stops these two, and cannot be left out of a full cell.
    Attack::new("read_the_environment_of_another", &[], &[Landlock], read_environment).when(|| !is_root()),
    // To a root with capabilities, Landlock is no obstacle.
    Attack::new("read_the_environment_of_another_as_root", &[], &[Identity, Capabilities], read_environment)
        .also(&[Landlock])
        .when(is_root),
    Attack::new("inspect_the_first_process", &[Guard, Landlock], &[], |_| {
        fs::File::open("/proc/1/mem").map(drop)
    }),
    Attack::new("trace_a_process", &[Seccomp], &[Seccomp], |_| {
        syscall(libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("read_the_memory_of_a_process", &[Seccomp], &[Seccomp], read_memory),
    Attack::new("take_a_descriptor_of_a_process", &[Seccomp], &[Seccomp], |_| {
        let process = syscall(libc::SYS_pidfd_open, [std::process::id() as usize, 0, 0, 0, 0])?;
        syscall(libc::SYS_pidfd_getfd, [process, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("compare_processes", &[Seccomp], &[Seccomp], |_| {
        let own = std::process::id() as usize;
        syscall(libc::SYS_kcmp, [own, own, 0, 0, 1]).map(drop)
    }),
    Attack::new("see_the_hosts_control_groups", &[CgroupView], &[], |_| {
        if in_a_group() { Ok(()) } else { Err(Error::other("all are /")) }
    })
    .when(in_a_group),
];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn read_environment(facts: &Facts) -> io::Result<()> {
    fs::read(format!("/proc/{}/environ", facts.bystander)).map(drop)
}

/// Whether any control group of this process has a name.
fn in_a_group() -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    groups.lines().any(|line| !line.ends_with(":/"))
}

fn read_memory(_: &Facts) -> io::Result<()> {
    let (secret, mut copy) = (7_u64, 0_u64);
    let from = libc::iovec { iov_base: (&raw const secret).cast_mut().cast(), iov_len: 8 };
    let to = libc::iovec { iov_base: (&raw mut copy).cast(), iov_len: 8 };
    let own = i32::try_from(std::process::id()).unwrap();
    // SAFETY: both vectors are one variable each, of the length that they say.
    match unsafe { libc::process_vm_readv(own, &raw const to, 1, &raw const from, 1, 0) } {
        8 if copy == secret => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}
