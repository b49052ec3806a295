//! A server that one link leads to: a process that speaks on stdio, or a connection that carries whole messages.

mod allowance;
mod connection;
mod events;
mod handshake;
mod input;
mod process;
mod reader;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::{Answer, Call, Notice};
use casemate_mcp::dialect::{legacy, modern};
use casemate_mcp::frame::{Id, notification_text, request_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use tokio::sync::watch;

use super::desk::{Outcome, Ticket};
use super::instance::{Link, Opened, Request, Seed};
use super::level::Level;
use super::life::Life;
use super::listen::{self, Ear, Interest, Watching};
use super::probe::Era;
use super::{Fault, Hello, identity};
use crate::entry::{Program, SocketSource};
use crate::http::Door;
use crate::report::{CellKind, CellReport};
use wire::Wire;

/// A conversation over one link.
#[derive(Debug)]
pub(super) struct Stdio {
    wire: Arc<Wire>,
    hello: Arc<Hello>,
    level: Level,
    /// What the listen stream shall carry, for modern servers.
    interest: Option<watch::Sender<Interest>>,
    client_info: Raw,
    own_time: Duration,
    is_shared: bool,
}

/// What the link leads to.
pub(super) enum Origin {
    /// A process that has to be started.
    Process(Box<Program>),
    /// A WebSocket that has to be opened.
    WebSocket(Arc<Door>),
    /// A stream of events that has to be opened, with posts beside it.
    Events(Arc<Door>),
    /// A socket that has to be connected.
    Socket(SocketSource),
}

impl Origin {
    async fn start(&self, seed: &Seed) -> Result<(Arc<Wire>, Life), Fault> {
        match self {
            Origin::Process(program) => process::start(seed, program).await,
            Origin::WebSocket(door) => connection::over_websocket(seed, door).await,
            Origin::Events(door) => connection::over_events(seed, door).await,
            Origin::Socket(source) => connection::over_socket(seed, source).await,
        }
    }
}

/// Starts what the link leads to and does the handshake.
pub(super) async fn open(seed: &Seed, origin: &Origin) -> Result<Opened, Fault> {
    let (wire, life) = origin.start(seed).await.map_err(|fault| as_start(fault, seed, None))?;
    // What speaks this transport is older than any other dialect.
    let era = if matches!(origin, Origin::Events(_)) { Some(Era::Legacy) } else { seed.era };
    let (greeted, wire, life) = match handshake::run(seed, &wire, era).await {
        // Some legacy servers end when they are asked what they do not know. A fresh one is not asked. One that read
        // nothing has another reason.
        Err(Fault::Gone { sent: true, .. }) if era != Some(Era::Legacy) && !seed.stop.is_cancelled() => {
            let (wire, life) = origin.start(seed).await?;
            (handshake::run(seed, &wire, Some(Era::Legacy)).await, wire, life)
        }
        greeted => (greeted, wire, life),
    };
    let (hello, proven) = greeted.map_err(|fault| as_start(fault, seed, wire.report.as_deref()))?;
    let hello = Arc::new(hello);
    let interest = hello.revision.is_modern().then(|| listen_in(seed, &wire, &hello, &life));
    let link = Stdio {
        wire,
        hello: Arc::clone(&hello),
        level: Level::default(),
        interest,
        client_info: seed.host.client_info.clone(),
        own_time: seed.entry.timeouts.call,
        is_shared: seed.subject.is_none(),
    };
    Ok(Opened { link: Link::Stdio(link), hello, proven, life })
}

/// Whatever goes wrong before the handshake is done is a failure to start; what the process said last explains it.
fn as_start(fault: Fault, seed: &Seed, report: Option<&CellReport>) -> Fault {
    let why = match fault {
        Fault::Gone { why, .. } | Fault::Protocol { why } => why,
        other => return other,
    };
    let Some(report) = report else { return Fault::Start { why } };
    let words = match seed.outlet.last_words("stderr") {
        Some(words) => format!("; its last words: {words}"),
        None => String::new(),
    };
    let name = &seed.entry.name;
    // Nobody can know what it missed, but in a cell that is the first thing to look for.
    let hint = match report.cell {
        CellKind::None => String::new(),
        _ => format!(
            "\nhint: its cell shows it no more than [servers.{name}] grants: `read = [\"/a/folder\"]` adds to that, and \
             `casemate sandbox learn {name}` finds out what it needs"
        ),
    };
    Fault::Start { why: format!("{why}{words}{hint}") }
}

/// Keeps the listen stream of a modern server.
fn listen_in(seed: &Seed, wire: &Arc<Wire>, hello: &Arc<Hello>, life: &Life) -> watch::Sender<Interest> {
    let (sender, wanted) = watch::channel(Interest::of(hello));
    let ear = Ear {
        outlet: Arc::clone(&seed.outlet),
        subject: seed.subject.clone(),
        hello: Arc::clone(hello),
        client_info: seed.host.client_info.clone(),
        life: life.clone(),
    };
    let wire = Arc::clone(wire);
    let open: listen::Open = Box::new(move |call, events| {
        let wire = Arc::clone(&wire);
        Box::pin(async move {
            let ticket = wire.desk.open(&call.method, Some(events))?;
            let params = modern::params(&call, wire.desk.offered().raw(), None);
            wire.exchange(ticket, &call.method, &params).await
        })
    });
    seed.host.tracker.spawn(listen::run(ear, wanted, open));
    sender
}

impl Stdio {
    /// Sends a call and waits for what becomes of it. Dropping the future cancels it.
    pub(super) async fn call(&self, request: Request<'_>) -> Outcome {
        let call = request.call;
        let _turn = self.wire.desk.turn(&call.method, request.deadline.hard).await?;
        let ticket = self.wire.desk.open_call(call, request.events)?;
        let activity = Arc::clone(ticket.activity());
        let progress = call.meta.progress.as_ref().map(|_| Raw::of(&ticket.id()));
        let params = self.params(call, progress);
        let work = async {
            let _level = self.set_level(call).await;
            self.wire.exchange(ticket, &call.method, &params).await
        };
        tokio::select! {
            biased;
            // First, so that a server that never stops talking cannot keep the time from running out.
            fault = request.deadline.passed(&activity) => Err(fault),
            outcome = work => outcome,
        }
    }

    /// Tells the server something.
    pub(super) async fn notify(&self, notice: &Notice) {
        let text = notification_text(&notice.method, notice.params.as_ref().map(Members::raw));
        _ = self.wire.send(text).await;
    }

    /// Begins or ends a watch on a resource.
    pub(super) async fn watch(&self, uri: &str, change: Watching) -> Outcome {
        if let Some(interest) = &self.interest {
            interest.send_if_modified(|interest| interest.set_watched(uri, change));
            return Ok(Answer::Result(Raw::EMPTY_OBJECT));
        }
        let params = Members::empty().edit().set("uri", Raw::of(uri)).finish();
        let method = match change {
            Watching::Begin => Method::ResourcesSubscribe,
            Watching::End => Method::ResourcesUnsubscribe,
        };
        self.wire.request(&method, &params, self.own_time).await
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.wire.pid
    }

    pub(super) fn report(&self) -> Option<Arc<CellReport>> {
        self.wire.report.clone()
    }

    fn params(&self, call: &Call, progress: Option<Raw>) -> Raw {
        if !self.hello.revision.is_modern() {
            return legacy::params(call, progress);
        }
        let offered = self.wire.desk.offered_with(call);
        modern::params(&identity(call, &self.client_info), offered.raw(), progress)
    }

    /// A process takes messages in their order, so the call need not wait for the answer to this; the ticket is kept
    /// beside the call so that the answer is expected. Clients that share an instance would overrule each other.
    async fn set_level(&self, call: &Call) -> Option<Ticket> {
        let params = if self.is_shared { None } else { self.level.change(call, &self.hello) }?;
        let ticket = self.wire.desk.open(&Method::LoggingSetLevel, None).ok()?;
        let text = request_text(&Id::Number(ticket.id()), &Method::LoggingSetLevel, Some(&params));
        self.wire.send(text).await.ok()?;
        Some(ticket)
    }
}
