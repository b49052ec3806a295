//! A tracer that makes one system call of a cell's own processes fail (ptrace(2)).

#![expect(unsafe_code, reason = "ptrace has no safe wrapper; each use says why it is sound")]

use std::collections::{HashMap, HashSet};
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::mem::MaybeUninit;

use rustix::io::Errno;

/// One of the two processes that a cell is made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// The cell's first process, from its birth in casemate's memory.
    First,
    /// The one that becomes the server.
    Server,
}

/// The call that is to fail: the how many-th of whom, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) who: Who,
    pub(crate) at: usize,
    pub(crate) errno: i32,
}

/// The calls that were made in a round: those of the server until it executes.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) first: Vec<c_long>,
    pub(crate) server: Vec<c_long>,
    /// The one that failed.
    pub(crate) hit: Option<c_long>,
}

#[derive(Debug)]
struct Traced {
    who: Who,
    /// The error that the call which is being made ends with.
    pending: Option<i32>,
}

/// Traces a process with all of its threads, and what these make.
#[derive(Debug)]
pub(crate) struct Tracer {
    traced: HashMap<i32, Traced>,
    /// Processes whose birth was announced and which are let alone.
    others: HashSet<i32>,
    /// Processes that exist before their birth was announced.
    early: HashSet<i32>,
    calls: Calls,
    fault: Option<Fault>,
}

const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;

/// Calls that do not come back.
const FINAL: [c_long; 3] = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];

/// What `PTRACE_GET_SYSCALL_INFO` fills in, up to the number of a call.
#[repr(C)]
#[derive(Default)]
struct Info {
    op: u8,
    _arch: [u32; 1],
    _pointers: [u64; 2],
    number: u64,
    arguments: [u64; 6],
}

const ENTRY: u8 = 1;

impl Tracer {
    pub(crate) fn attach(process: u32) -> Tracer {
        let mut others = HashSet::new();
        for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            let task: i32 = task.unwrap().file_name().to_str().unwrap().parse().unwrap();
            ptrace(libc::PTRACE_SEIZE, task, 0, OPTIONS as usize).unwrap();
            others.insert(task);
        }
        let (traced, early) = (HashMap::new(), HashSet::new());
        Tracer { traced, others, early, calls: Calls::default(), fault: None }
    }

    /// Lets everybody run until the process that we are attached to says by a signal that it is done.
    pub(crate) fn round(&mut self, fault: Option<Fault>) -> Calls {
        self.fault = fault;
        self.calls = Calls::default();
        loop {
            let mut status = 0;
            // SAFETY: waits for any tracee and stores how it is.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
            assert!(pid > 0, "whoever starts cells has failed: {:?}, {:?}", self.fault, self.calls);
            if !libc::WIFSTOPPED(status) {
                self.traced.remove(&pid);
                self.others.remove(&pid);
                continue;
            }
            let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
            match (event, signal) {
                (0, libc::SIGUSR1) if self.others.contains(&pid) => {
                    self.resume(pid, 0);
                    return std::mem::take(&mut self.calls);
                }
                (0, signal) if signal == libc::SIGTRAP | 0x80 => {
                    self.call(pid);
                    self.resume(pid, 0);
                }
                // A namespace's first process dies by its own faults, but not while it is traced.
                (0, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL) if self.traced.contains_key(&pid) => {
                    // SAFETY: ends a process that is ours.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    self.resume(pid, 0);
                }
                (0, signal) => self.resume(pid, signal),
                (libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE, _) => {
                    self.born(pid, event);
                    self.resume(pid, 0);
                }
                (libc::PTRACE_EVENT_EXEC, _) => {
                    // From here on the server is whatever program that is.
                    if self.traced.get(&pid).is_some_and(|traced| traced.who == Who::Server) {
                        self.traced.remove(&pid);
                        self.others.insert(pid);
                    }
                    self.resume(pid, 0);
                }
                _ if self.traced.contains_key(&pid) || self.others.contains(&pid) => self.resume(pid, 0),
                _ => _ = self.early.insert(pid),
            }
        }
    }

    fn born(&mut self, parent: i32, event: c_int) {
        let mut child: libc::c_ulong = 0;
        ptrace(libc::PTRACE_GETEVENTMSG, parent, 0, (&raw mut child) as usize).unwrap();
        let child = i32::try_from(child).unwrap();
        let who = match self.traced.get(&parent) {
            Some(Traced { who: Who::First, .. }) => Some(Who::Server),
            // Casemate is suspended until the first process of a cell has executed, and for no other.
            None if event == libc::PTRACE_EVENT_VFORK && self.others.contains(&parent) => Some(Who::First),
            _ => None,
        };
        match who {
            Some(who) => _ = self.traced.insert(child, Traced { who, pending: None }),
            None => _ = self.others.insert(child),
        }
        if self.early.remove(&child) {
            self.resume(child, 0);
        }
    }

    fn resume(&self, pid: i32, signal: c_int) {
        let how = if self.traced.contains_key(&pid) { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
        // It may have been killed meanwhile.
        let _ = ptrace(how, pid, 0, usize::try_from(signal).unwrap());
    }

    /// A call begins or ends.
    fn call(&mut self, pid: i32) {
        let Some(traced) = self.traced.get_mut(&pid) else { return };
        let mut info = Info::default();
        if ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of::<Info>(), (&raw mut info) as usize).is_err() {
            return;
        }
        if info.op != ENTRY {
            if let Some(errno) = traced.pending.take() {
                change(pid, |registers| registers.rax = i64::from(-errno).cast_unsigned());
            }
            return;
        }
        let number = match (info.number.cast_signed(), info.arguments[2]) {
            // Without a new limit it is the older call for reading one.
            (libc::SYS_prlimit64, 0) => libc::SYS_getrlimit,
            (number, _) => number,
        };
        let calls = match traced.who {
            Who::First => &mut self.calls.first,
            Who::Server => &mut self.calls.server,
        };
        let hits = |fault: &Fault| fault.who == traced.who && fault.at == calls.len();
        if let Some(fault) = self.fault.filter(hits)
            && !FINAL.contains(&number)
        {
            // A descriptor is closed whatever close(2) says. Of all others nothing is done; what is done in their place every
            // filter allows.
            if number != libc::SYS_close {
                change(pid, |registers| registers.orig_rax = libc::SYS_getpid.cast_unsigned());
            }
            traced.pending = Some(fault.errno);
            self.calls.hit = Some(number);
        }
        calls.push(number);
    }
}

fn change(pid: i32, change: impl FnOnce(&mut libc::user_regs_struct)) {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::zeroed();
    if ptrace(libc::PTRACE_GETREGS, pid, 0, registers.as_mut_ptr() as usize).is_err() {
        return;
    }
    // SAFETY: plain numbers, for which zeros are a value, and which the kernel has just filled in.
    let mut registers = unsafe { registers.assume_init() };
    change(&mut registers);
    let _ = ptrace(libc::PTRACE_SETREGS, pid, 0, (&raw mut registers) as usize);
}

fn ptrace(request: c_uint, pid: i32, address: usize, data: usize) -> Result<(), Errno> {
    let (address, data) = (address as *mut c_void, data as *mut c_void);
    // SAFETY: the requests that are made read or fill in what the callers own, or change the tracee alone.
    match unsafe { libc::ptrace(request, pid, address, data) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
