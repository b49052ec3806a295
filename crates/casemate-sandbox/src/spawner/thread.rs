//! The one thread that starts processes, hears what cells report, and reaps them.
//!
//! It must live as long as any cell: PDEATHSIG fires when the *thread* that made a process ends.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use casemate_net::egress::Doorway;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::part::{Footing, Part};
use super::{Stdio, control_pair, null};
use crate::cell::{End, Ropes};
use crate::child::{self, Binary, Child, Descriptors, Sheet};
use crate::containment::{Containment, ProcView, Refused, Report};
use crate::doorway;
use crate::error::Error;
use crate::exit::Exit;
use crate::figures::{self, Figures};
use crate::group::{Events, Group, Groups};
use crate::learn::Observer;
use crate::message::{Failure, Message, Received, Stage, receive, receive_with_descriptors};
use crate::overrun::Evidence;
use crate::reaper;
use crate::role::Role;
use crate::room::Cgroups;

/// How long a probe of a containment may take. It takes milliseconds; a host that hangs is refused.
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// The event that stands for new requests; cells have two each, from 2 on.
const WAKE: u64 = 0;

/// One process to start, and where to say how that went.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) job: Job,
    pub(super) reply: oneshot::Sender<Result<Newborn, Error>>,
}

/// One process to start.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) label: CString,
    pub(super) stdio: Stdio,
    pub(super) order: OwnedFd,
    pub(super) room: Option<Room>,
    /// Who is told what the program does, in a room where that is told.
    pub(super) observer: Option<Observer>,
}

/// The room that a process is to be started in.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) sheet: Sheet,
    pub(super) containment: Containment,
    pub(super) part: Part,
    /// The memory that each process may have, in bytes.
    pub(super) memory_bytes: Option<u64>,
}

/// How a start went well.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) proc_view: ProcView,
    /// Steps of the plan that were left out, with the kernel's answers.
    pub(super) skipped: Vec<(usize, i32)>,
    /// What has come out of the cell's network namespace.
    pub(super) doorway: Option<Doorway>,
    /// Where the cell asks for figures of the host.
    pub(super) figures: Option<Figures>,
}

/// A cell whose first process exists; whether the program could be started is still to come.
#[derive(Debug)]
pub(super) struct Newborn {
    pub(super) pid: u32,
    pub(super) ropes: Ropes,
    pub(super) started: oneshot::Receiver<Result<Start, Failure>>,
    pub(super) ended: watch::Receiver<Option<End>>,
}

/// A cell as the thread keeps it.
#[derive(Debug)]
struct Ward {
    pid: i32,
    ropes: Ropes,
    start: Start,
    /// Present until there is something to observe.
    observer: Option<Observer>,
    /// Present until it is known whether the program could be started.
    starting: Option<oneshot::Sender<Result<Start, Failure>>>,
    /// What the first process says about the end, which may be more than its own end tells.
    last_words: Option<Exit>,
    group: Option<Group>,
    evidence: Evidence,
    ended: watch::Sender<Option<End>>,
}

/// The thread's whole state.
#[derive(Debug)]
pub(super) struct Thread {
    binary: Binary,
    report: Report,
    /// The first process of the probe that succeeded, which ends by itself.
    probe: OwnedFd,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    /// Gone when nobody can ask any more.
    requests: Option<mpsc::Receiver<Request>>,
    wards: HashMap<u64, Ward>,
    groups: Groups,
    next: u64,
}

impl Thread {
    /// Finds the best containment, or tries the one that is asked for. Runs on the thread itself.
    pub(super) fn prepare(
        binary: Binary,
        wanted: Option<Containment>,
        (requests, wake): (mpsc::Receiver<Request>, Arc<OwnedFd>),
    ) -> Result<Thread, Error> {
        let (report, probe) = choose(&binary, wanted)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(Error::host("an epoll descriptor"))?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)
            .map_err(Error::host("a watch on a descriptor"))?;
        let (wards, groups) = (HashMap::new(), Groups::default());
        Ok(Thread { binary, report, probe, epoll, wake, requests: Some(requests), wards, groups, next: 1 })
    }

    pub(super) fn report(&self) -> Report {
        self.report.clone()
    }

    /// Serves until nobody can ask any more and no cell is left.
    pub(super) fn run(mut self) {
        // Not before: taking down namespaces takes longer than making them, and nobody has to wait for it.
        let _ = waitid(WaitId::PidFd(self.probe.as_fd()), WaitIdOptions::EXITED);
        self.groups = Groups::new(Cgroups::probe());
        let mut events = Vec::with_capacity(64);
        while self.requests.is_some() || !self.wards.is_empty() {
            events.clear();
            self.groups.prepare();
            let patience = self.groups.tidy().and_then(|patience| patience.try_into().ok());
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    // Ending here kills all cells, and is the only safe thing left to do.
                    tracing::error!(%errno, "the spawner cannot wait for events");
                    return;
                }
            }
            for event in &events {
                let event: &epoll::Event = event;
                match event.data.u64() {
                    WAKE => self.accept(),
                    token if token % 2 == 0 => self.listen(token / 2),
                    token => self.bury(token / 2),
                }
            }
        }
    }

    fn accept(&mut self) {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        loop {
            let Some(requests) = &mut self.requests else { return };
            match requests.try_recv() {
                Ok(request) if request.reply.is_closed() => {}
                Ok(request) => {
                    let (job, reply) = (request.job, request.reply);
                    // An answer that nobody waits for any more is dropped, and its ropes stay with the ward.
                    if let Err(Ok(orphan)) = reply.send(self.make(job)) {
                        orphan.ropes.cut();
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.requests = None,
            }
        }
    }

    fn make(&mut self, Job { label, stdio, order, room, observer }: Job) -> Result<Newborn, Error> {
        let Stdio { stdin, stdout, stderr } = stdio;
        let (control, far_end) = control_pair()?;
        let best = self.report.containment;
        let (containment, role) = match &room {
            Some(room) => (room.containment, Role::Room(room.containment)),
            None => (best, Role::Cell(best)),
        };
        let (mut sheet, part, memory_bytes) = match room {
            Some(room) => (Some(room.sheet), Some(room.part), room.memory_bytes),
            None => (None, None, None),
        };
        let mut footing = Footing::default();
        if let (Some(sheet), Some(part)) = (&mut sheet, &part) {
            (footing, sheet.gates) = part.found(&mut self.groups);
        }
        let given = Descriptors { stdin, stdout, stderr, control: far_end, order, plan: sheet };
        let Child { pid, pidfd, shut } = match child::clone(&self.binary, role, &label, given) {
            Ok(child) => child,
            Err(errno) => {
                self.groups.remove(footing.group);
                return Err(Error::host("a new process")(errno));
            }
        };
        footing.skipped.extend(footing.group.iter().flat_map(|group| group.shut(&shut)));
        if let Some(part) = part {
            part.finish(pid, &footing, &control);
        }
        let ropes = Ropes { pidfd: Arc::new(pidfd), control: Arc::new(control), containment };
        let id = self.next;
        if let Err(errno) = self.watch(id, &ropes) {
            ropes.cut();
            let _ = waitid(WaitId::PidFd(ropes.pidfd.as_fd()), WaitIdOptions::EXITED);
            self.groups.remove(footing.group);
            return Err(Error::host("a watch on a process")(errno));
        }
        self.next += 1;
        let (starting, started) = oneshot::channel();
        let (ended, life) = watch::channel(None);
        let newborn = Newborn { pid: pid.unsigned_abs(), ropes: ropes.clone(), started, ended: life };
        let start = Start { skipped: footing.steps(), ..Start::default() };
        let evidence = Evidence { memory_bytes, ..Evidence::default() };
        let (starting, group) = (Some(starting), footing.group);
        let ward = Ward { pid, ropes, start, observer, starting, last_words: None, group, evidence, ended };
        self.wards.insert(id, ward);
        Ok(newborn)
    }

    fn watch(&self, id: u64, ropes: &Ropes) -> Result<(), Errno> {
        epoll::add(&self.epoll, &ropes.control, EventData::new_u64(id * 2), EventFlags::IN)?;
        epoll::add(&self.epoll, &ropes.pidfd, EventData::new_u64(id * 2 + 1), EventFlags::IN)
    }

    /// Hears what a cell has to say.
    fn listen(&mut self, id: u64) {
        let Some(ward) = self.wards.get_mut(&id) else { return };
        loop {
            let (received, descriptors) = receive_with_descriptors(&ward.ropes.control, RecvFlags::DONTWAIT);
            match received {
                Received::Message(message) => ward.hear(message, descriptors),
                Received::Nothing => return,
                Received::Closed => {
                    let _ = epoll::delete(&self.epoll, &ward.ropes.control);
                    return;
                }
            }
        }
    }

    /// Reaps a cell whose first process has ended.
    fn bury(&mut self, id: u64) {
        self.listen(id);
        let Some(ward) = self.wards.get(&id) else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let Ok(Some(status)) = waitid(WaitId::PidFd(ward.ropes.pidfd.as_fd()), options) else { return };
        let Some(mut ward) = self.wards.remove(&id) else { return };
        let _ = epoll::delete(&self.epoll, &ward.ropes.control);
        let _ = epoll::delete(&self.epoll, &ward.ropes.pidfd);
        if ward.ropes.containment == Containment::Reaper && status.killed() {
            tracing::warn!(pid = ward.pid, "a reaper was killed; its cell is cleaned up from here");
            ward.group.iter().for_each(Group::kill);
            let ours: HashSet<i32> = self.wards.values().map(|ward| ward.pid).collect();
            reaper::kill_strays(&ours);
        }
        ward.evidence.events = ward.group.as_ref().map_or_else(Events::default, Group::events);
        let group = ward.group.take();
        ward.end(&status);
        // Nobody has to wait for it: there is no process in it any more.
        self.groups.remove(group);
    }
}

impl Ward {
    fn hear(&mut self, message: Message, descriptors: Vec<OwnedFd>) {
        let outcome = match message {
            Message::Ready(view) => {
                self.start.proc_view = view;
                return;
            }
            Message::Skipped { step, errno } => {
                self.start.skipped.push((step, errno));
                return;
            }
            Message::Doorway { ports } => match doorway::take_in(ports, descriptors) {
                Some(doorway) => {
                    self.start.doorway = Some(doorway);
                    return;
                }
                // The kernel cuts off what we have no free descriptors for.
                None => Err(Failure::new(Stage::Sockets, Errno::MFILE)),
            },
            Message::Figures => match figures::take_in(descriptors) {
                Some(figures) => {
                    self.start.figures = Some(figures);
                    return;
                }
                None => Err(Failure::new(Stage::Sockets, Errno::MFILE)),
            },
            Message::Listener => match self.observer.take().zip(descriptors.into_iter().next()) {
                Some((observer, listener)) => match observer.begin(listener) {
                    Ok(()) => return,
                    Err(errno) => Err(Failure::new(Stage::Listener, errno)),
                },
                None => Err(Failure::new(Stage::Listener, Errno::MFILE)),
            },
            // Only we say that.
            Message::Go { .. } => return,
            Message::Ended(exit) => {
                self.last_words = Some(exit);
                return;
            }
            Message::Peak(kib) => {
                self.evidence.peak_bytes = u64::from(kib.unsigned_abs()) << 10;
                return;
            }
            Message::Started(_) => Ok(std::mem::take(&mut self.start)),
            Message::Failed(failure) => Err(failure),
        };
        if let Some(starting) = self.starting.take() {
            let _ = starting.send(outcome);
        }
    }

    /// Announces the end, which is final: nothing of the cell runs any more.
    fn end(mut self, status: &WaitIdStatus) {
        if let Some(starting) = self.starting.take() {
            let _ = starting.send(Err(Failure::new(Stage::Ended, Errno::CHILD)));
        }
        let own_end = status.exit_status().map_or(Exit::KILLED, Exit::Code);
        let exit = self.last_words.unwrap_or(own_end);
        self.ended.send_replace(Some(End { exit, overrun: self.evidence.judge(exit) }));
    }
}

fn choose(binary: &Binary, wanted: Option<Containment>) -> Result<(Report, OwnedFd), Error> {
    let mut refused = Vec::new();
    for containment in Containment::ALL {
        if wanted.is_some_and(|wanted| wanted != containment) {
            continue;
        }
        match probe(binary, containment)? {
            Ok((proc_view, probe)) => {
                return Ok((Report { containment, proc_view, refused, enforced: None }, probe));
            }
            Err(refusal) => refused.push(refusal),
        }
    }
    Err(Error::NoContainment { refused })
}

/// What a probe found: the view of `/proc` and the process that is still ending, or the host's refusal.
type Probed = Result<(ProcView, OwnedFd), Refused>;

/// Makes a cell that ends by itself, since its order is empty. The outer error is about the host as such.
fn probe(binary: &Binary, containment: Containment) -> Result<Probed, Error> {
    let (control, far_end) = control_pair()?;
    set_socket_timeout(&control, Timeout::Recv, Some(PROBE_TIME_MAX))
        .map_err(Error::host("a timeout on a socket"))?;
    let nothing = rustix::fs::memfd_create(c"casemate-order", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(Error::host("an anonymous file"))?;
    let (stdin, stdout, stderr) = (null()?, null()?, null()?);
    let given = Descriptors { stdin, stdout, stderr, control: far_end, order: nothing, plan: None };
    if containment == Containment::Reaper {
        // A reaper that is killed hands its children to the next subreaper above: to us, see `kill_strays`.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(Error::host("the adoption of orphans"))?;
    }
    let first = match child::clone(binary, Role::Cell(containment), c"probe", given) {
        Ok(child) => child,
        Err(errno) => return Ok(Err(Refused::new(containment, "clone", errno.raw_os_error()))),
    };
    let received = receive(&control, RecvFlags::empty());
    let refusal = match received {
        Received::Message(Message::Ready(view)) => return Ok(Ok((view, first.pidfd))),
        Received::Message(Message::Failed(failure)) => {
            Refused::new(containment, "entering the namespaces", failure.errno)
        }
        _ => Refused::new(containment, "the first process", Errno::CHILD.raw_os_error()),
    };
    let _ = rustix::process::pidfd_send_signal(&first.pidfd, rustix::process::Signal::KILL);
    let _ = waitid(WaitId::PidFd(first.pidfd.as_fd()), WaitIdOptions::EXITED);
    Ok(Err(refusal))
}
