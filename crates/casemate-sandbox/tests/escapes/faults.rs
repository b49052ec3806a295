//! Every system call of a start is made to fail, one at a time: `escapes --faults STRIDE`, for every so many-th. A start with a call that
//! failed is refused, or what is reported to be in force is what is in force without the failure; and nothing is left.
//!
//! Two processes play: the one that starts cells, and this one, which traces it and all that it makes (ptrace(2)). Only the
//! cell's first process and the one that becomes the server are hit.

#![expect(unsafe_code, reason = "a signal to oneself has no safe wrapper")]

use std::ffi::c_long;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use casemate_sandbox::{CellSpec, Error, Host, Kind, Plan};

use crate::cycles::calm;
use crate::programs::settled;
use crate::tracer::{Calls, Fault, Tracer, Who};
use crate::world::World;
use crate::{FAULTS, START};

/// Calls whose failure changes nothing that is promised, and why.
const MOOT: &[(c_long, &str)] = &[
    (libc::SYS_brk, "an allocator takes another way"),
    (libc::SYS_mmap, "an allocator takes another way"),
    (libc::SYS_munmap, "memory is given back at the end"),
    (libc::SYS_madvise, "memory is given back at the end"),
    (libc::SYS_mremap, "an allocator takes another way"),
    (libc::SYS_mprotect, "a guard page less, in a process of one thread"),
    (libc::SYS_sigaltstack, "overflows of the stack are not explained"),
    (libc::SYS_set_robust_list, "there are no locks to be shared"),
    (libc::SYS_set_tid_address, "there are no threads to be joined"),
    (libc::SYS_rseq, "libc does without"),
    (libc::SYS_getrandom, "libc takes other noise for its tables"),
    (libc::SYS_access, "there is no /etc/ld.so.preload to be found"),
    (libc::SYS_poll, "the standard streams are there; waiting is tried again"),
    (libc::SYS_fcntl, "debug builds look whether a descriptor is open before they close it"),
    (libc::SYS_statx, "the size of a buffer is not known in advance"),
    (libc::SYS_close, "the kernel closes in any case"),
    (libc::SYS_getrlimit, "a limit that cannot be read is taken to be no lower than the new one"),
    (libc::SYS_lseek, "the size of a buffer is not known in advance"),
    (libc::SYS_sendto, "that /proc is the cell's own is not reported then"),
];

/// The same for calls of the loader and the runtime, and the blocking of signals, which are blocked already: all that the
/// first process does before it knows its plan.
const MOOT_BEFORE: &[(c_long, &str)] = &[
    (libc::SYS_sched_getaffinity, "the runtime guesses the size of the stack"),
    (libc::SYS_gettid, "the runtime guesses the size of the stack"),
    (libc::SYS_rt_sigaction, "no handler is needed; the server gets none"),
    (libc::SYS_rt_sigprocmask, "whoever made this process has blocked them"),
    (libc::SYS_openat, "the loader looks in the next folder, the runtime guesses the size of the stack"),
    (libc::SYS_read, "the loader looks in the next folder, the runtime guesses the size of the stack"),
    (libc::SYS_newfstatat, "the loader looks in the next folder, the runtime guesses the size of the stack"),
];

/// The same once the server was forked: who cannot be looked at is taken to have executed its program.
const MOOT_AFTER: &[(c_long, &str)] =
    &[(libc::SYS_openat, "/proc is not there"), (libc::SYS_read, "/proc cannot be read")];

/// The calls that make a process. The first of them in the first process makes the server.
const FORKS: [c_long; 3] = [libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork];

/// What is injected, in turns.
const ERRORS: [i32; 2] = [libc::EPERM, libc::ENOMEM];

/// Layers without which a cell may be.
const ADDITIONAL: [&str; 4] = ["landlock", "cell-memory", "cell-tasks", "cpu"];

/// The process that starts cells: one for each line that it reads, with a signal to itself after each that it prints.
pub(crate) fn start(kind: &str) -> ExitCode {
    let world = World::new(if kind == "full" { Kind::Full } else { Kind::Light });
    attempt(&world);
    let before = calm();
    println!("ready");
    for line in std::io::stdin().lines() {
        let outcome = attempt(&world);
        if line.unwrap() == "check" {
            settled(&before);
        }
        println!("{outcome}");
        // SAFETY: a signal to this thread, which the tracer swallows.
        unsafe { libc::raise(libc::SIGUSR1) };
    }
    ExitCode::SUCCESS
}

fn attempt(world: &World) -> String {
    let mut spec = world.spec("/bin/cat", &[]);
    if world.kind == Kind::Full {
        spec.cell.as_mut().unwrap().network = world.doors();
    }
    match world.start(spec) {
        Err(Error::SpawnerEnded) => "the spawner ended".to_owned(),
        Err(error) => format!("refused: {error}").replace('\n', " "),
        Ok(cell) => {
            let enforced = cell.handle.report().enforced.clone().unwrap().to_string();
            cell.handle.kill();
            world.run(cell.handle.wait());
            enforced
        }
    }
}

/// As a test: a part of all calls, in a process that has no other children.
pub(crate) fn sample() -> Result<(), String> {
    const STRIDE: &str = "8";
    let output = Command::new(std::env::current_exe().unwrap()).args([FAULTS, STRIDE]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said).into_owned()) }
}

pub(crate) fn run(stride: &str) -> ExitCode {
    let stride = stride.parse().unwrap();
    let mut wrong = Vec::new();
    for kind in [Kind::Full, Kind::Light] {
        match Plan::of(&CellSpec::new(kind), &Host::probe()) {
            Ok(_) => wrong.extend(Play::new(kind).run(stride)),
            Err(refusal) => eprintln!("not tried, because there is no {kind} cell here: {refusal}"),
        }
    }
    wrong.iter().for_each(|line| println!("{line}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One who starts cells, and the tracer behind it.
struct Play {
    kind: Kind,
    tracer: Tracer,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Play {
    fn new(kind: Kind) -> Play {
        let mut starter = Command::new(std::env::current_exe().unwrap());
        starter.args([START, kind.as_str()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        #[expect(clippy::zombie_processes, reason = "the process that calls this ends soon after it")]
        let mut starter = starter.spawn().unwrap();
        let (ask, mut answers) =
            (starter.stdin.take().unwrap(), BufReader::new(starter.stdout.take().unwrap()));
        answers.read_line(&mut String::new()).unwrap();
        Play { kind, tracer: Tracer::attach(starter.id()), ask, answers }
    }

    fn round(&mut self, question: &str, fault: Option<Fault>) -> (String, Calls) {
        writeln!(self.ask, "{question}").unwrap();
        let calls = self.tracer.round(fault);
        let mut outcome = String::new();
        self.answers.read_line(&mut outcome).unwrap();
        (outcome.trim_end().to_owned(), calls)
    }

    /// What went wrong, a line for each.
    fn run(mut self, stride: usize) -> Vec<String> {
        let (whole, calls) = self.round("check", None);
        // The last thing before the plan is read; seccomp and the rest come later.
        let own = 1 + calls.first.iter().rposition(|call| *call == libc::SYS_getsockopt).unwrap();
        let fork = calls.first.iter().position(|call| FORKS.contains(call)).unwrap();
        let ends = [(Who::First, started(&calls.first)), (Who::Server, calls.server.len())];
        let faults = ends.iter().flat_map(|(who, end)| (0..*end).map(|at| (*who, at)));
        let also = |who, at| match who {
            Who::First if at <= own => MOOT_BEFORE,
            Who::First if at > fork => MOOT_AFTER,
            _ => &[],
        };
        let (mut wrong, mut refused, mut moot) = (Vec::new(), 0, 0);
        for (number, (who, at)) in faults.enumerate().filter(|(number, _)| number % stride == 0) {
            let fault = Fault { who, at, errno: ERRORS[number / stride % ERRORS.len()] };
            let question = if (number / stride).is_multiple_of(16) { "check" } else { "go" };
            let (outcome, Calls { hit, .. }) = self.round(question, Some(fault));
            let Some(call) = hit else { continue };
            if outcome.starts_with("refused: ") {
                refused += 1;
            } else if lacks_additional(&outcome, &whole) || outcome == whole && is_moot(call, also(who, at)) {
                moot += 1;
            } else {
                let outcome = if outcome == whole { "as without it" } else { &outcome };
                wrong.push(format!(
                    "{} cell, {fault:?}, system call {call}: {outcome} ({own} {fork}) {:?}",
                    self.kind, calls.first
                ));
            }
        }
        self.round("check", None);
        println!(
            "{} cell: of {} calls, {refused} refused the start, {moot} changed nothing",
            self.kind,
            refused + moot
        );
        wrong
    }
}

/// Whether a call may fail without a consequence.
fn is_moot(call: c_long, also: &[(c_long, &str)]) -> bool {
    MOOT.iter().chain(also).any(|(moot, _)| *moot == call)
}

/// Whether a report says that more is absent than usual, and that all of this may be.
fn lacks_additional(outcome: &str, whole: &str) -> bool {
    let lacking = |text: &str| -> Vec<String> {
        text.split("; without ").skip(1).map(|layer| layer.split(' ').next().unwrap().to_owned()).collect()
    };
    let (more, usual) = (lacking(outcome), lacking(whole));
    let mut more = more.iter().filter(|layer| !usual.contains(layer)).peekable();
    more.peek().is_some() && more.all(|layer| ADDITIONAL.contains(&layer.as_str()))
}

/// How many calls the first process makes until it says that the server runs: its first message after the fork.
fn started(calls: &[c_long]) -> usize {
    let fork = calls.iter().position(|call| FORKS.contains(call)).unwrap();
    fork + calls[fork..].iter().position(|call| *call == libc::SYS_sendto).unwrap() + 1
}
