//! Asking for processes: the side that any task may use.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};

use crate::cell::{Cell, CellHandle, CellIo};
use crate::child::{self, Binary, Descriptors, Sheet};
use crate::containment::{Containment, Report};
use crate::error::Error;
use crate::learn::Observer;
use crate::message::{Failure, Message, Received, Stage, receive};
use crate::role::{self, Role};
use crate::room::{CellSpec, Host, Plan};
use crate::spec::Spec;
use crate::{order, syscall};
use part::Part;
use thread::{Job, Newborn, Request, Room, Start, Thread};

mod part;
mod thread;

/// Spawns that may wait for the thread; more wait in their callers.
const REQUESTS_MAX: usize = 64;

/// How cells are made. The default is right for casemate itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Exactly this containment, or an error. Without it, the best that the host allows.
    pub containment: Option<Containment>,
    /// The binary that cells are made of: one whose `main` starts with [`crate::reenter`]. Without it, ourselves.
    pub binary: Option<PathBuf>,
}

/// Starts processes in cells. Cheap to clone; all clones share one thread, which ends after the last clone and
/// the last cell are gone.
#[derive(Debug, Clone)]
pub struct Spawner {
    line: Arc<Line>,
    report: Report,
}

impl Spawner {
    /// Starts the thread that starts processes and finds out which containment this host allows. Blocks for a few
    /// milliseconds.
    pub fn start() -> Result<Spawner, Error> {
        Spawner::start_with(Options::default())
    }

    /// As [`Spawner::start`], with choices for tests and for `doctor`.
    pub fn start_with(options: Options) -> Result<Spawner, Error> {
        let binary = open_binary(options.binary.as_deref())?;
        let wake = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
            .map_err(Error::host("an event descriptor"))?;
        let wake = Arc::new(wake);
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        let (prepared, preparation) = std::sync::mpsc::sync_channel(1);
        let thread_wake = Arc::clone(&wake);
        let body = move || {
            // For as long as the thread lives: what it clones must start with all signals blocked.
            syscall::block_signals();
            match Thread::prepare(binary, options.containment, (queue, thread_wake)) {
                Ok(thread) => {
                    let _ = prepared.send(Ok(thread.report()));
                    thread.run();
                }
                Err(error) => {
                    let _ = prepared.send(Err(error));
                }
            }
        };
        let thread = std::thread::Builder::new().name("casemate-spawner".to_owned()).spawn(body);
        thread.map_err(|source| Error::Host { what: "a thread", source })?;
        let report = preparation.recv().map_err(|_| Error::SpawnerEnded)??;
        Ok(Spawner { line: Arc::new(Line { requests: Some(requests), wake, host: OnceLock::new() }), report })
    }

    /// What this host allows; every cell has a report of its own as well.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What this host can enforce around a server. The first call blocks for a few milliseconds to find out.
    pub fn host(&self) -> &Host {
        self.line.host.get_or_init(Host::probe)
    }

    /// Starts a program in a cell of its own and returns once it is executing. Dropping the future kills what was
    /// started so far. Must be called within a tokio runtime with I/O enabled.
    pub async fn spawn(&self, spec: Spec) -> Result<Cell, Error> {
        self.spawn_before(None, spec).await
    }

    /// The same before the eyes of an observer, for a cell that is watched.
    pub(crate) async fn spawn_before(&self, observer: Option<Observer>, spec: Spec) -> Result<Cell, Error> {
        spec.check()?;
        let (io, given) = streams()?;
        let (reply, answer) = oneshot::channel();
        let plan = spec.cell.as_ref().map(|cell| self.plan(cell, &spec)).transpose()?;
        let job = Job {
            label: CString::new(spec.label.as_str()).unwrap_or_default(),
            stdio: given,
            order: order::write(&spec).map_err(|source| Error::Host { what: "an anonymous file", source })?,
            room: plan.as_ref().map(|plan| self.room(plan)).transpose()?,
            observer,
        };
        self.line.send(Request { job, reply }).await?;
        let Newborn { pid, ropes, started, ended } = answer.await.map_err(|_| Error::SpawnerEnded)??;
        // From here on, leaving early drops the handle, which kills the cell.
        let mut handle = CellHandle { pid, report: Arc::new(self.report.clone()), ropes, ended };
        let died = Failure::new(Stage::Ended, Errno::CHILD);
        let start = started.await.unwrap_or(Err(died));
        let Start { proc_view, skipped, doorway, figures } =
            start.map_err(|failure| Error::of_failure(failure, &spec, plan.as_ref()))?;
        let report = Arc::make_mut(&mut handle.report);
        report.proc_view = proc_view;
        if let Some(plan) = plan {
            report.containment = plan.containment(report.containment);
            report.enforced = Some(plan.enforced(&skipped));
        }
        Ok(Cell { io, handle, doorway, figures })
    }

    fn plan(&self, cell: &CellSpec, spec: &Spec) -> Result<Plan, Error> {
        Plan::of(cell, self.host())
            .map_err(|refusal| Error::NoCell { program: spec.program.clone(), refusal })
    }

    fn room(&self, plan: &Plan) -> Result<Room, Error> {
        let file = plan.write().map_err(|source| Error::Host { what: "an anonymous file", source })?;
        Ok(Room {
            sheet: Sheet { file, namespaces: plan.namespaces(), gates: Vec::new() },
            containment: plan.containment(self.report.containment),
            part: Part::of(plan),
            memory_bytes: plan.memory_bytes(),
        })
    }
}

/// The way to the thread: a bounded queue, and a descriptor that wakes it.
#[derive(Debug)]
struct Line {
    /// Present until the drop.
    requests: Option<mpsc::Sender<Request>>,
    wake: Arc<OwnedFd>,
    /// Known once somebody has asked for a cell with walls.
    host: OnceLock<Host>,
}

impl Line {
    async fn send(&self, request: Request) -> Result<(), Error> {
        let requests = self.requests.as_ref().ok_or(Error::SpawnerEnded)?;
        requests.send(request).await.map_err(|_| Error::SpawnerEnded)?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // First the queue closes, then the thread is woken to see it.
        self.requests = None;
        self.wake();
    }
}

/// Starts a program that is to outlive us: in a session of its own, reading nothing, its output in `log`, a child
/// of the host's init. Returns its process id once it is executing. Blocks for a few milliseconds.
///
/// This is how `casemate connect` starts the gateway, and `casemate login` the person's own browser, and for nothing
/// else: nobody contains or reaps it.
pub fn spawn_detached(spec: &Spec, log: &File) -> Result<u32, Error> {
    spec.check()?;
    let binary = open_binary(None)?;
    // A thread of its own, because signals are to be blocked, and only while this lasts.
    let outcome = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("casemate-detach".to_owned());
        let thread = thread.spawn_scoped(scope, || detach(&binary, spec, log));
        thread.map(|thread| thread.join().unwrap_or(Err(Error::SpawnerEnded)))
    });
    outcome.map_err(|source| Error::Host { what: "a thread", source })?
}

fn detach(binary: &Binary, spec: &Spec, log: &File) -> Result<u32, Error> {
    syscall::block_signals();
    let to_log = || rustix::io::fcntl_dupfd_cloexec(log, 3).map_err(Error::host("a descriptor"));
    let (control, far_end) = control_pair()?;
    let given = Descriptors {
        stdin: null()?,
        stdout: to_log()?,
        stderr: to_log()?,
        control: far_end,
        order: order::write(spec).map_err(|source| Error::Host { what: "an anonymous file", source })?,
        plan: None,
    };
    let label = CString::new(spec.label.as_str()).unwrap_or_default();
    let stone = child::clone(binary, Role::Detach, &label, given).map_err(Error::host("a new process"))?;
    let received = receive(&control, RecvFlags::empty());
    let _ = waitid(WaitId::PidFd(stone.pidfd.as_fd()), WaitIdOptions::EXITED);
    match received {
        Received::Message(Message::Started(pid)) => Ok(pid.unsigned_abs()),
        Received::Message(Message::Failed(failure)) => Err(Error::of_failure(failure, spec, None)),
        _ => Err(Error::of_failure(Failure::new(Stage::Ended, Errno::CHILD), spec, None)),
    }
}

fn open_binary(path: Option<&Path>) -> Result<Binary, Error> {
    if path.is_none() && !role::is_reentrant() {
        return Err(Error::NotReentrant);
    }
    let path = path.unwrap_or(Path::new("/proc/self/exe"));
    Binary::open(path).map_err(Error::host("our own binary (is /proc mounted?)"))
}

/// The program's ends of its standard streams.
#[derive(Debug)]
struct Stdio {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Makes the three pipes. Our ends do not block; the program's do, since that is what programs expect.
fn streams() -> Result<(CellIo, Stdio), Error> {
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(Error::host("a pipe"));
    let ours = |source| Error::Host { what: "a watch on a pipe", source };
    let (stdin, to_stdin) = pipe()?;
    let (from_stdout, stdout) = pipe()?;
    let (from_stderr, stderr) = pipe()?;
    let io = CellIo {
        stdin: pipe::Sender::from_owned_fd(to_stdin).map_err(ours)?,
        stdout: pipe::Receiver::from_owned_fd(from_stdout).map_err(ours)?,
        stderr: pipe::Receiver::from_owned_fd(from_stderr).map_err(ours)?,
    };
    Ok((io, Stdio { stdin, stdout, stderr }))
}

/// Our end and the cell's end of a control socket.
fn control_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(Error::host("a socket pair"))
}

fn null() -> Result<OwnedFd, Error> {
    rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::host("/dev/null"))
}
