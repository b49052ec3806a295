//! The first steps of a new process: from the clone to our own binary executed again.
//!
//! The clone shares our memory and suspends the calling thread until the exec (as vfork does), so its cost does
//! not grow with our memory. Between the two only system calls are made: other threads may hold any lock.

#![allow(unsafe_code, reason = "clone and exec have no safe wrapper; each use says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::containment::Containment;
use crate::role::{CELL_NAME, Role};
use crate::syscall;

mod into_group;

/// The numbers under which the re-executed process finds what it is given, after the standard streams.
pub(crate) const CONTROL: RawFd = 3;
/// The order, see [`crate::order`].
pub(crate) const ORDER: RawFd = 4;

/// The plan of a room, see [`crate::room`].
pub(crate) const PLAN: RawFd = 5;

/// Enough for the first steps, in unoptimized builds too.
const STACK_BYTES: usize = 128 << 10;

/// The binary that cells are made of, opened once: it stays the same when the file is replaced by an update.
#[derive(Debug)]
pub(crate) struct Binary(OwnedFd);

impl Binary {
    pub(crate) fn open(path: &std::path::Path) -> Result<Binary, Errno> {
        let opened = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        out_of_the_way(&opened).map(Binary)
    }
}

/// A new process that executes our binary.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    /// The gates that it could not pass, by their places, and why.
    pub(crate) shut: Vec<(usize, Errno)>,
}

/// What the new process finds at descriptors 0 to 5.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) control: OwnedFd,
    pub(crate) order: OwnedFd,
    pub(crate) plan: Option<Sheet>,
}

/// The plan of a room on its way into it.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) file: OwnedFd,
    /// The namespaces that the new process is made in, as flags of clone; none for those of its containment.
    pub(crate) namespaces: c_int,
    /// The control groups that it is a member of before it does anything, at most one of them of version 2.
    pub(crate) gates: Vec<Gate>,
}

/// The way into a control group.
#[derive(Debug)]
pub(crate) enum Gate {
    /// The file `tasks` of a group of version 1, opened for writing. A process that moves itself by it, with its only
    /// thread, waits for nobody.
    Tasks(OwnedFd),
    /// The folder of a group of version 2.
    Folder(OwnedFd),
}

/// Makes a process that executes our binary in `role`. All signals must be blocked in the calling thread, and
/// with a role that dies with us, that thread must live as long as the cell.
pub(crate) fn clone(binary: &Binary, role: Role, label: &CStr, given: Descriptors) -> Result<Child, Errno> {
    let sheet = given.plan.as_ref();
    let plan = sheet.map(|sheet| out_of_the_way(&sheet.file)).transpose()?;
    let namespaces = sheet.map_or(0, |sheet| sheet.namespaces);
    let gates = sheet.map_or([].as_slice(), |sheet| &sheet.gates);
    let given = [
        out_of_the_way(&given.stdin)?,
        out_of_the_way(&given.stdout)?,
        out_of_the_way(&given.stderr)?,
        out_of_the_way(&given.control)?,
        out_of_the_way(&given.order)?,
    ];
    let user = decimal(rustix::process::geteuid().as_raw());
    let group = decimal(rustix::process::getegid().as_raw());
    let argv = syscall::pointers(&[CELL_NAME, role.name(), label, &user, &group]);
    let env = syscall::pointers(&[]);
    let mut steps = Steps {
        binary: binary.0.as_raw_fd(),
        given: given.each_ref().map(AsRawFd::as_raw_fd),
        plan: plan.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        role,
        namespaces: if namespaces == 0 { namespaces_of(role) } else { namespaces },
        gates: gates.iter().map(Passage::of).collect(),
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        errno: 0,
    };
    let folder = gates.iter().position(|gate| matches!(gate, Gate::Folder(_)));
    let cloned = match folder.and_then(|place| Some((place, gates.get(place)?))) {
        Some((place, Gate::Folder(folder))) => {
            clone_suspended(&raw mut steps, Some(folder.as_fd())).or_else(|errno| {
                // If the group was not the reason, the next attempt will tell.
                steps.shut(place, errno);
                clone_suspended(&raw mut steps, None)
            })
        }
        _ => clone_suspended(&raw mut steps, None),
    };
    let (pid, pidfd) = cloned?;
    if steps.errno == 0 {
        return Ok(Child { pid, pidfd, shut: steps.all_shut() });
    }
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    Err(Errno::from_raw_os_error(steps.errno))
}

/// The same under a number that is not hit while 0 to 5 are put in place.
fn out_of_the_way(descriptor: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 10)
}

fn decimal(id: u32) -> CString {
    // Digits contain no NUL byte.
    CString::new(id.to_string()).unwrap_or_default()
}

/// Everything that the first steps need, prepared before the clone.
struct Steps {
    binary: RawFd,
    given: [RawFd; 5],
    /// The plan of a room, or -1.
    plan: RawFd,
    role: Role,
    namespaces: c_int,
    gates: Vec<Passage>,
    argv: *const *const c_char,
    env: *const *const c_char,
    /// Out: why a step failed, or 0.
    errno: c_int,
}

/// A gate as the first steps know it.
struct Passage {
    /// The file to write to, or -1 where the clone itself has passed.
    tasks: RawFd,
    /// Out: why it could not be passed, or 0.
    errno: c_int,
}

impl Passage {
    fn of(gate: &Gate) -> Passage {
        let tasks = match gate {
            Gate::Tasks(tasks) => tasks.as_raw_fd(),
            Gate::Folder(_) => -1,
        };
        Passage { tasks, errno: 0 }
    }
}

impl Steps {
    fn shut(&mut self, place: usize, errno: Errno) {
        if let Some(passage) = self.gates.get_mut(place) {
            passage.errno = errno.raw_os_error();
        }
    }

    fn all_shut(&self) -> Vec<(usize, Errno)> {
        let shut = self.gates.iter().enumerate().filter(|(_, passage)| passage.errno != 0);
        shut.map(|(place, passage)| (place, Errno::from_raw_os_error(passage.errno))).collect()
    }
}

/// The namespaces of a containment.
fn namespaces_of(role: Role) -> c_int {
    match role.containment() {
        Some(Containment::PidNamespace) => libc::CLONE_NEWPID | libc::CLONE_NEWNS,
        Some(Containment::UserNamespace) => libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUSER,
        Some(Containment::Reaper) | None => 0,
    }
}

/// Makes the process, as a member of a control group of version 2 if there is one.
fn clone_suspended(steps: *mut Steps, group: Option<BorrowedFd<'_>>) -> Result<(i32, OwnedFd), Errno> {
    // SAFETY: reading a number out of what the caller has just made. The cgroup namespace is made by the process itself,
    // since its root is to be the group that it will be in.
    let namespaces = unsafe { (*steps).namespaces } & !libc::CLONE_NEWCGROUP;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | namespaces;
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let mut pidfd: RawFd = -1;
    let pid = match group {
        Some(group) => {
            let mut how = into_group::Clone3 {
                flags: u64::from(flags.cast_unsigned()) | into_group::INTO_CGROUP,
                pidfd: (&raw mut pidfd).expose_provenance() as u64,
                exit_signal: libc::SIGCHLD as u64,
                stack: stack.as_mut_ptr().expose_provenance() as u64,
                stack_size: size_of_val(stack.as_slice()) as u64,
                cgroup: group.as_raw_fd() as u64,
                ..Default::default()
            };
            // SAFETY: as below.
            unsafe { into_group::clone(&mut how, first_steps, steps.cast()) }?
        }
        // SAFETY: the child runs `first_steps` on a stack of its own, aligned to 16 bytes, while this thread is
        // suspended until it has executed or ended; stack, steps and all that the steps point to outlive that.
        None => unsafe {
            libc::clone(first_steps, top.cast(), flags | libc::SIGCHLD, steps.cast(), &raw mut pidfd)
        },
    };
    if pid == -1 {
        return Err(syscall::last_errno());
    }
    // SAFETY: the clone has succeeded, so CLONE_PIDFD has stored a new descriptor that is ours alone.
    Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
}

extern "C" fn first_steps(steps: *mut c_void) -> c_int {
    // SAFETY: it is what `clone_suspended` passed, and its owner is suspended.
    let steps = unsafe { &mut *steps.cast::<Steps>() };
    if let Err(errno) = become_binary(steps) {
        steps.errno = errno.raw_os_error();
    }
    // SAFETY: ends this process alone, without running anything that was registered by the parent.
    unsafe { libc::_exit(127) }
}

/// The steps themselves: async-signal-safe, without allocation, and without anything that can panic.
fn become_binary(steps: &mut Steps) -> Result<(), Errno> {
    rustix::process::setsid()?;
    if steps.namespaces & libc::CLONE_NEWPID != 0 {
        // Set here already, so that there is no moment in which our death would go unnoticed.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    for Passage { tasks, errno } in steps.gates.iter_mut().filter(|passage| passage.tasks != -1) {
        // SAFETY: the descriptor is the caller's and open; to a file of this kind, 0 means whoever writes.
        if unsafe { libc::write(*tasks, c"0".as_ptr().cast(), 1) } == -1 {
            *errno = syscall::last_errno().raw_os_error();
        }
    }
    // SAFETY: changes this process alone, which shares no such namespace with its parent's threads.
    if steps.namespaces & libc::CLONE_NEWCGROUP != 0 && unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } == -1
    {
        return Err(syscall::last_errno());
    }
    if steps.namespaces & libc::CLONE_NEWUSER != 0 {
        match steps.role {
            Role::Room(_) => keep_over_exec(rustix::thread::capabilities(None)?.permitted)?,
            Role::Cell(_) | Role::Detach => keep_over_exec(CapabilitySet::SYS_ADMIN)?,
        }
    }
    for (number, given) in (0..).zip(steps.given.into_iter().chain([steps.plan])) {
        if given == -1 {
            continue;
        }
        // SAFETY: this process has a descriptor table of its own, and nothing here owns the numbers 0 to 5.
        if unsafe { libc::dup2(given, number) } == -1 {
            return Err(syscall::last_errno());
        }
    }
    syscall::close_on_exec_from(if steps.plan == -1 { 5 } else { 6 })?;
    let empty: *const c_char = c"".as_ptr();
    // SAFETY: the arrays were prepared by the parent: NUL-terminated strings, ended by a null pointer.
    unsafe {
        libc::syscall(libc::SYS_execveat, steps.binary, empty, steps.argv, steps.env, libc::AT_EMPTY_PATH);
    }
    Err(syscall::last_errno())
}

/// Makes capabilities survive the exec although our user is not root in the new user namespace.
fn keep_over_exec(kept: CapabilitySet) -> Result<(), Errno> {
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: kept },
    )?;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(capability) {
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
    }
    Ok(())
}
