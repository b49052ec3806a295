//! One running conversation with a server, whatever carries it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use casemate_mcp::call::{Call, Notice};
use casemate_mcp::json::{Limits, Members};
use casemate_mcp::method::Method;
use casemate_policy::SubjectId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deadline::Deadline;
use super::desk::Outcome;
use super::http::{Door, Legacy, Modern};
use super::life::Life;
use super::listen::Watching;
use super::outlet::Outlet;
use super::probe::Era;
use super::stdio::Stdio;
use super::{Caller, Event, Fault, Hello, Host, InstanceStatus};
use crate::entry::{Carrier, ServerEntry, Source};

/// What an instance is made from.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    pub(super) entry: Arc<ServerEntry>,
    pub(super) host: Arc<Host>,
    pub(super) outlet: Arc<Outlet>,
    /// The way to an HTTP server, or why there is none.
    pub(super) door: Option<Result<Arc<Door>, String>>,
    /// Whose it will be; nobody's when shared.
    pub(super) subject: Option<SubjectId>,
    /// What is offered to the server.
    pub(super) offered: Members,
    /// The dialect that it spoke the last time.
    pub(super) era: Option<Era>,
    /// Ends whatever grows from it.
    pub(super) stop: CancellationToken,
    /// Whether its process runs: what comes before may be the preparing of a package, what comes after is the handshake.
    pub(super) launched: Arc<AtomicBool>,
}

impl Seed {
    /// Why a start that took too long did, for a person.
    fn late(&self, time: Duration) -> String {
        let ms = time.as_millis();
        if self.entry.source.program().is_some() && !self.launched.load(Ordering::Relaxed) {
            return format!(
                "it was not launched within {ms} ms; a package that is being prepared goes on, and a later call finds it \
                 (timeout.start; `casemate prepare` does it ahead of time)"
            );
        }
        format!("its handshake was not done within {ms} ms (timeout.start)")
    }
}

/// What one message of a server may be. An answer has an envelope around its result, and a large one may well have
/// more values than what clients are allowed to send.
pub(super) fn frame_limits(result_bytes_max: usize) -> Limits {
    const ENVELOPE_BYTES: usize = 4 * 1024;
    const VALUES_MAX: u32 = 4_000_000;
    Limits {
        bytes_max: result_bytes_max.saturating_add(ENVELOPE_BYTES),
        values_max: VALUES_MAX,
        ..Limits::default()
    }
}

/// A call on its way to a server.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    pub(super) caller: &'a Caller,
    pub(super) call: &'a Call,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) deadline: Deadline,
}

/// One running conversation.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) subject: Option<SubjectId>,
    pub(super) hello: Arc<Hello>,
    /// The dialect, when the server showed it and not merely failed to answer in time.
    pub(super) proven: Option<Era>,
    pub(super) life: Life,
    link: Link,
    started: Instant,
    calls: AtomicU64,
    in_flight: AtomicUsize,
    /// Milliseconds from `started` to the end of the last call.
    used_ms: AtomicU64,
}

/// How a server is reached.
enum Origin {
    /// By exchanges of HTTP, each of which stands for itself.
    Exchanges(Arc<Door>),
    /// By one link, which carries everything.
    Link(super::stdio::Origin),
}

impl Origin {
    fn of(seed: &Seed) -> Result<Origin, Fault> {
        use super::stdio::Origin as Link;
        let door = || match &seed.door {
            Some(Ok(door)) => Ok(Arc::clone(door)),
            Some(Err(why)) => Err(Fault::Start { why: why.clone() }),
            None => Err(Fault::Start { why: "it has no address".to_owned() }),
        };
        Ok(match (&seed.entry.source, seed.entry.source.program()) {
            (_, Some(program)) => Origin::Link(Link::Process(Box::new(program))),
            (Source::Socket(source), None) => Origin::Link(Link::Socket(source.clone())),
            (Source::Http(source), None) if source.carrier == Carrier::WebSocket => {
                Origin::Link(Link::WebSocket(door()?.of_instance(seed)))
            }
            (_, None) => Origin::Exchanges(door()?),
        })
    }
}

/// What carries the conversation.
#[derive(Debug)]
pub(super) enum Link {
    Stdio(Stdio),
    Legacy(Legacy),
    Modern(Modern),
}

/// What opening a link yields.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) link: Link,
    pub(super) hello: Arc<Hello>,
    pub(super) proven: Option<Era>,
    pub(super) life: Life,
}

impl Instance {
    /// Starts the server or dials it, and does the handshake.
    ///
    /// # Errors
    /// [`Fault::Start`] within `timeouts.start`; [`Fault::Stopping`].
    pub(super) async fn open(seed: Seed) -> Result<Instance, Fault> {
        let time = seed.entry.timeouts.start;
        let work = async {
            match Origin::of(&seed)? {
                Origin::Exchanges(door) => super::http::open(&seed, &door).await,
                Origin::Link(link) => super::stdio::open(&seed, &link).await,
            }
        };
        let opened = tokio::select! {
            opened = work => opened,
            () = tokio::time::sleep(time) => Err(Fault::Start { why: seed.late(time) }),
            () = seed.stop.cancelled() => Err(Fault::Stopping),
        };
        let opened = opened.inspect_err(|_| seed.stop.cancel())?;
        Ok(Instance {
            subject: seed.subject,
            hello: opened.hello,
            proven: opened.proven,
            life: opened.life,
            link: opened.link,
            started: Instant::now(),
            calls: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            used_ms: AtomicU64::new(0),
        })
    }

    /// Sends a call and waits for what becomes of it.
    pub(super) async fn call(&self, request: Request<'_>) -> Outcome {
        match &self.link {
            Link::Stdio(link) => link.call(request).await,
            Link::Legacy(link) => link.call(request).await,
            Link::Modern(link) => link.call(request).await,
        }
    }

    /// Tells the server something. The modern dialect knows no roots that change: they are asked for anew with each call.
    pub(super) async fn notify(&self, notice: &Notice) {
        if notice.method == Method::RootsChanged && self.hello.revision.is_modern() {
            return;
        }
        match &self.link {
            Link::Stdio(link) => link.notify(notice).await,
            Link::Legacy(link) => link.notify(notice).await,
            Link::Modern(link) => link.notify(notice).await,
        }
    }

    /// Begins or ends a watch on a resource.
    pub(super) async fn watch(&self, uri: &str, change: Watching) -> Outcome {
        match &self.link {
            Link::Stdio(link) => link.watch(uri, change).await,
            Link::Legacy(link) => link.watch(uri, change).await,
            Link::Modern(link) => link.watch(uri, change),
        }
    }

    /// Whether the loss of a connection is the loss of the instance.
    pub(super) fn is_process(&self) -> bool {
        matches!(self.link, Link::Stdio(_))
    }

    /// A call found it unusable. A process that cannot be reached is of no use to others, either; a connection that broke
    /// says nothing about the next one.
    pub(super) fn leave(&self) {
        if self.is_process() {
            self.life.stop();
        }
    }

    /// Takes a place in it, so that it is not stopped as idle. To be called under the lock that guards stopping.
    pub(super) fn lease(self: &Arc<Instance>) -> Lease {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Lease { instance: Arc::clone(self) }
    }

    /// How many hold a place in it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a call of a tool, a prompt or a resource.
    pub(super) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// When it was last used.
    pub(super) fn used(&self) -> Instant {
        self.started + Duration::from_millis(self.used_ms.load(Ordering::Relaxed))
    }

    pub(super) fn status(&self) -> InstanceStatus {
        let (pid, report) = match &self.link {
            Link::Stdio(link) => (link.pid(), link.report()),
            Link::Legacy(_) | Link::Modern(_) => (None, None),
        };
        InstanceStatus {
            pid,
            subject: self.subject.clone(),
            revision: self.hello.revision,
            started: self.started,
            calls: self.calls.load(Ordering::Relaxed),
            in_flight: self.in_flight(),
            report,
        }
    }
}

/// A place in an instance: while one is held, the instance is not idle.
#[derive(Debug)]
pub(super) struct Lease {
    instance: Arc<Instance>,
}

impl Lease {
    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let passed = self.instance.started.elapsed().as_millis();
        self.instance.used_ms.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
