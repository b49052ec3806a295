//! The system calls that servers may make, by what they are for.
//!
//! The list was drawn from what node, python, shells and language runtimes do, and from the defaults of container
//! engines. What is left out on purpose stands at the end, with the reason.

use libc::{
    AF_INET, AF_INET6, AF_UNIX, CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID,
    CLONE_NEWUSER, CLONE_NEWUTS, SOCK_SEQPACKET, SOCK_STREAM,
};

use super::{Call, Guarded, Test};

/// A call by its name in `libc`, which is also the one by which the engines of containers know it.
macro_rules! call {
    ($name:ident) => {
        (libc::$name, stringify!($name))
    };
}

/// Several of them.
macro_rules! calls {
    ($($name:ident),* $(,)?) => {
        &[$(call!($name)),*]
    };
}

/// The newest call that was considered when this list was made (`mseal`). Calls above it do not exist.
pub(super) const NEWEST: u32 = 462;

/// All calls of the standard profile that need no look at their arguments.
pub(super) const STANDARD: &[&[Call]] = &[
    FILES,
    LEGACY,
    DESCRIPTORS,
    MEMORY,
    PROCESSES,
    SIGNALS,
    TIME,
    WAITING,
    SYSTEM,
    SELF,
    PAIRS,
    SOCKETS,
    IPC,
];

/// The same without System V IPC and without what only sockets other than pairs need.
pub(super) const OFFLINE: &[&[Call]] =
    &[FILES, LEGACY, DESCRIPTORS, MEMORY, PROCESSES, SIGNALS, TIME, WAITING, SYSTEM, SELF, PAIRS];

const NAMESPACES: u32 = (CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET) as u32;

/// Puts characters into the terminal's input, as if somebody had typed them.
const TIOCSTI: u32 = 0x5412;
/// The same by way of the console's selection.
const TIOCLINUX: u32 = 0x541c;
/// Asks which personality is in force.
const PERSONALITY_QUERY: u32 = 0xffff_ffff;
/// The bits of a socket's type that are no flags.
const SOCKET_TYPE: u32 = 0xf;

/// Calls that are allowed with some arguments, in every profile.
pub(super) const GUARDED: &[Guarded] = &[
    (call!(SYS_clone), &[&[Test::Lacks(0, NAMESPACES)]]),
    (call!(SYS_ioctl), &[&[Test::IsNot(1, TIOCSTI), Test::IsNot(1, TIOCLINUX)]]),
    (call!(SYS_personality), &[&[Test::Is(0, 0)], &[Test::Is(0, PERSONALITY_QUERY)]]),
    // Only one's own limits.
    (call!(SYS_prlimit64), &[&[Test::Is(0, 0)]]),
];

pub(super) const GUARDED_STANDARD: &[Guarded] = &[
    // Not AF_NETLINK, AF_PACKET, AF_VSOCK (which reaches the hypervisor), AF_ALG, AF_BLUETOOTH and forty others.
    (
        call!(SYS_socket),
        &[&[Test::Is(0, AF_UNIX as u32)], &[Test::Is(0, AF_INET as u32)], &[Test::Is(0, AF_INET6 as u32)]],
    ),
    (call!(SYS_socketpair), &[&[Test::Is(0, AF_UNIX as u32)]]),
];

pub(super) const GUARDED_OFFLINE: &[Guarded] = &[
    // Pairs of datagram sockets could still send to any name, such as the system's log.
    (
        call!(SYS_socketpair),
        &[
            &[Test::Is(0, AF_UNIX as u32), Test::Bits(1, SOCKET_TYPE, SOCK_STREAM as u32)],
            &[Test::Is(0, AF_UNIX as u32), Test::Bits(1, SOCKET_TYPE, SOCK_SEQPACKET as u32)],
        ],
    ),
    (call!(SYS_sendto), &[&[Test::IsNull(4)]]),
];

const FILES: &[Call] = calls![
    SYS_openat,
    SYS_openat2,
    SYS_newfstatat,
    SYS_fstat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_getcwd,
    SYS_chdir,
    SYS_fchdir,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    // Devices are refused by the mounts and by the lack of the capability; named pipes are needed.
    SYS_mknodat,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchmodat2,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_umask,
    SYS_getxattr,
    SYS_lgetxattr,
    SYS_fgetxattr,
    SYS_listxattr,
    SYS_llistxattr,
    SYS_flistxattr,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_inotify_rm_watch,
];

/// The older forms of calls, which aarch64 never had.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[Call] = calls![
    SYS_open,
    SYS_creat,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_getdents,
    SYS_mkdir,
    SYS_rmdir,
    SYS_unlink,
    SYS_rename,
    SYS_link,
    SYS_symlink,
    SYS_mknod,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_inotify_init,
    SYS_dup2,
    SYS_pipe,
    SYS_poll,
    SYS_select,
    SYS_epoll_create,
    SYS_epoll_wait,
    SYS_eventfd,
    SYS_signalfd,
    SYS_fork,
    SYS_vfork,
    SYS_getpgrp,
    SYS_pause,
    SYS_alarm,
    SYS_time,
    SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[Call] = &[];

const DESCRIPTORS: &[Call] = calls![
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_preadv2,
    SYS_pwritev2,
    SYS_lseek,
    SYS_close,
    SYS_close_range,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_flock,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_syncfs,
    SYS_sync,
    SYS_fadvise64,
    SYS_readahead,
    SYS_sendfile,
    SYS_copy_file_range,
    SYS_splice,
    SYS_tee,
    SYS_vmsplice,
    SYS_pipe2,
    SYS_memfd_create,
    SYS_eventfd2,
    SYS_io_setup,
    SYS_io_destroy,
    SYS_io_submit,
    SYS_io_cancel,
    SYS_io_getevents,
];

const MEMORY: &[Call] = calls![
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_msync,
    SYS_mincore,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_mlockall,
    SYS_munlockall,
    SYS_membarrier,
    SYS_pkey_alloc,
    SYS_pkey_free,
    SYS_pkey_mprotect,
    SYS_mseal,
];

const PROCESSES: &[Call] = calls![
    SYS_execve,
    SYS_execveat,
    SYS_exit,
    SYS_exit_group,
    SYS_wait4,
    SYS_waitid,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_getpgid,
    SYS_setpgid,
    SYS_getsid,
    SYS_setsid,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_set_tid_address,
    SYS_set_robust_list,
    SYS_get_robust_list,
    SYS_rseq,
    SYS_futex,
    SYS_futex_waitv,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sched_setaffinity,
    SYS_sched_getparam,
    SYS_sched_setparam,
    SYS_sched_getscheduler,
    SYS_sched_setscheduler,
    SYS_sched_get_priority_max,
    SYS_sched_get_priority_min,
    SYS_sched_rr_get_interval,
    SYS_sched_getattr,
    SYS_sched_setattr,
    SYS_getpriority,
    SYS_setpriority,
    SYS_ioprio_get,
    SYS_ioprio_set,
];

const SIGNALS: &[Call] = calls![
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigpending,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_sigaltstack,
    SYS_signalfd4,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_restart_syscall,
];

const TIME: &[Call] = calls![
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_times,
    SYS_getitimer,
    SYS_setitimer,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_gettime,
    SYS_timer_getoverrun,
    SYS_timer_delete,
    SYS_timerfd_create,
    SYS_timerfd_settime,
    SYS_timerfd_gettime,
];

const WAITING: &[Call] =
    calls![SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2,];

const SYSTEM: &[Call] =
    calls![SYS_uname, SYS_sysinfo, SYS_getrandom, SYS_getcpu, SYS_getrlimit, SYS_setrlimit, SYS_getrusage,];

/// About the process itself. Other users do not exist in a cell, so changing to one fails by itself. More
/// restrictions are always welcome.
const SELF: &[Call] = calls![
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capget,
    SYS_capset,
    SYS_prctl,
    SYS_seccomp,
    SYS_landlock_create_ruleset,
    SYS_landlock_add_rule,
    SYS_landlock_restrict_self,
];

/// What is done with sockets that one already has.
const PAIRS: &[Call] = calls![
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_shutdown,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getsockopt,
    SYS_setsockopt,
];

const SOCKETS: &[Call] = calls![
    SYS_sendto,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendmmsg,
    SYS_recvmmsg,
];

/// System V and POSIX objects, which a full cell has a namespace for.
const IPC: &[Call] = calls![
    SYS_shmget,
    SYS_shmat,
    SYS_shmdt,
    SYS_shmctl,
    SYS_semget,
    SYS_semop,
    SYS_semtimedop,
    SYS_semctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_mq_open,
    SYS_mq_unlink,
    SYS_mq_timedsend,
    SYS_mq_timedreceive,
    SYS_mq_notify,
    SYS_mq_getsetattr,
];

/// Left out on purpose. Nothing reads this list but a test, which holds every profile against it.
#[cfg(test)]
pub(super) const NEVER: &[Call] = calls![
    // Changes what the cell is made of.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_unshare,
    SYS_setns,
    SYS_sethostname,
    SYS_setdomainname,
    // Reads and writes other processes.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_getfd,
    SYS_kcmp,
    // Does what other calls do, past this filter.
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_clone3,
    // Large and often attacked parts of the kernel that no server needs.
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_fanotify_init,
    SYS_fanotify_mark,
    // Keys are shared across namespaces.
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    // Opens files past every path.
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    // The machine's affairs.
    SYS_reboot,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_syslog,
    SYS_vhangup,
    SYS_nfsservctl,
    // Where memory lies.
    SYS_mbind,
    SYS_set_mempolicy,
    SYS_migrate_pages,
    SYS_move_pages,
    SYS_remap_file_pages,
    SYS_memfd_secret,
];
