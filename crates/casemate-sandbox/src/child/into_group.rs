//! A clone that is a member of a control group of version 2 from its first moment on.
//!
//! Moving a process there afterwards makes the kernel wait until no processor is in the middle of anything, 6 to 15 ms
//! as measured, which is longer than all the rest of a cell takes. Only `clone3` can do better, and libc has no function
//! for it that could give the child a stack.

#![allow(unsafe_code, reason = "the system call is made by hand; each use says why it is sound")]

use std::ffi::{c_int, c_long, c_void};

use rustix::io::Errno;

/// `CLONE_INTO_CGROUP` of linux/sched.h, which libc has cut down to 32 bits.
pub(super) const INTO_CGROUP: u64 = 1 << 33;

/// `struct clone_args` of linux/sched.h, as far as kernels know it that know control groups here (5.7).
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Clone3 {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

/// Calls `clone3`; in the child, calls `body` with `argument` on the stack that `how` names. Gives the process id.
///
/// # Safety
///
/// `how` is filled in as for CLONE_VM and CLONE_VFORK, with a stack whose end is aligned to 16 bytes, and `body` never
/// returns.
pub(super) unsafe fn clone(
    how: &mut Clone3,
    body: extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> Result<i32, Errno> {
    let result: c_long;
    // SAFETY: the parent goes on behind the branch with all its registers and its stack as they were, since the child
    // has a stack of its own and never gets there.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // The child. No frame lies below this one.
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw mut *how,
            in("rsi") size_of::<Clone3>(),
            in("r12") argument,
            in("r13") body,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            // The child. No frame lies below this one.
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") &raw mut *how => result,
            in("x1") size_of::<Clone3>(),
            in("x20") argument,
            in("x21") body,
        );
    }
    match i32::try_from(result) {
        Ok(pid) if pid > 0 => Ok(pid),
        Ok(errno) => Err(Errno::from_raw_os_error(errno.wrapping_neg())),
        Err(_) => Err(Errno::INVAL),
    }
}
