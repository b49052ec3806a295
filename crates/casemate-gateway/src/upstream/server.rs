//! One configured server at run time.

mod launch;
mod room;
mod supervisor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use casemate_mcp::call::{Answer, Call, Notice};
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::breaker::Pass;
use super::deadline::Deadline;
use super::instance::{Instance, Lease, Request};
use super::listen::Watching;
use super::outlet::Outlet;
use super::{Caller, Event, Fault, Hello, Host, Status, guard};
use crate::snapshot::{ServerEntry, Sharing};
use room::{Key, Room, Rooms};

/// How long calls in flight may take to finish when the server is stopped.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const STOP_LOOK: Duration = Duration::from_millis(20);
/// How often one call looks for an instance that does not end under its hands.
const LEASE_TRIES: usize = 3;

/// One configured server at run time. A changed entry gets a new one; the old one is stopped. Dropping it ends its
/// instances at once.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

/// What the server and its tasks share.
#[derive(Debug)]
struct Shared {
    entry: Arc<ServerEntry>,
    host: Arc<Host>,
    outlet: Arc<Outlet>,
    /// Ends all instances.
    stop: CancellationToken,
    room: Rooms,
    /// Whether a success has to be reported to the breaker: nearly never, so that a call takes no second lock.
    troubled: AtomicBool,
}

impl Server {
    /// A server that has not been started.
    #[must_use]
    pub fn new(entry: Arc<ServerEntry>, host: Arc<Host>) -> Arc<Server> {
        let outlet = Arc::new(Outlet::new(entry.name.clone(), host.notices.clone()));
        let stop = host.stop.child_token();
        let room = Rooms::new(Room::new(entry.resilience));
        let shared = Shared { entry, host, outlet, stop, room, troubled: AtomicBool::new(false) };
        Arc::new(Server { shared: Arc::new(shared) })
    }

    /// What the configuration says about it.
    #[must_use]
    pub fn entry(&self) -> &Arc<ServerEntry> {
        &self.shared.entry
    }

    /// What the server says it is, for this caller. Starts an instance when none runs.
    ///
    /// # Errors
    /// A [`Fault`]; never about a single call.
    pub async fn hello(&self, caller: &Caller) -> Result<Arc<Hello>, Fault> {
        let permit = self.admit()?;
        let key = self.shared.key(caller);
        if self.shared.entry.sharing == Sharing::Call
            && let Some(hello) = guard(&self.shared.room).hello(&key)
        {
            return Ok(hello);
        }
        let visit = self.visit(key, caller).await?;
        permit.succeeded();
        Ok(Arc::clone(&visit.lease.instance().hello))
    }

    /// Sends a call and waits for its answer. Dropping the future cancels the call upstream.
    ///
    /// # Errors
    /// A [`Fault`] when there is no answer. An error that the server answered with is an [`Answer`].
    pub async fn call(
        &self,
        caller: &Caller,
        call: &Call,
        events: mpsc::Sender<Event>,
    ) -> Result<Answer, Fault> {
        let permit = self.admit()?;
        let timeouts = &self.shared.entry.timeouts;
        let deadline = Deadline { quiet: caller.timeout.unwrap_or(timeouts.call), hard: timeouts.hard };
        let mut outcome = self.attempt(&permit, caller, Request { caller, call, events: events.clone(), deadline }).await;
        if let Err(Fault::Gone { sent, .. }) = &outcome
            && (!sent || caller.replay_safe || only_reads(&call.method))
        {
            outcome = self.attempt(&permit, caller, Request { caller, call, events, deadline }).await;
        }
        outcome
    }

    /// Tells a running instance something; nobody is started for it.
    pub async fn notify(&self, caller: &Caller, notice: &Notice) {
        let lease = guard(&self.shared.room).lease(&self.shared.key(caller));
        if let Some(lease) = lease {
            lease.instance().notify(notice).await;
        }
    }

    /// Watches a resource until [`Server::unwatch`] was called as often, over lost sessions and restarts. The answer
    /// is the server's: it may refuse.
    ///
    /// # Errors
    /// A [`Fault`] when the server cannot be reached.
    pub async fn watch(&self, caller: &Caller, uri: &str) -> Result<Answer, Fault> {
        if self.shared.entry.sharing == Sharing::Call {
            let why = "it is started anew for every call, so no resource of it can be watched".to_owned();
            return Err(Fault::Protocol { why });
        }
        let permit = self.admit()?;
        let key = self.shared.key(caller);
        if !guard(&self.shared.room).begin_watch(&key, uri)? {
            return Ok(Answer::Result(Raw::EMPTY_OBJECT));
        }
        let mut promise = Promise { shared: &self.shared, key: &key, uri, kept: false };
        let visit = self.visit(key.clone(), caller).await?;
        let outcome = visit.lease.instance().watch(uri, Watching::Begin).await;
        promise.kept = matches!(outcome, Ok(Answer::Result(_)));
        permit.note(&outcome, visit.lease.instance());
        outcome
    }

    /// Ends one [`Server::watch`].
    pub async fn unwatch(&self, caller: &Caller, uri: &str) {
        let key = self.shared.key(caller);
        let lease = {
            let mut room = guard(&self.shared.room);
            if !room.end_watch(&key, uri) {
                return;
            }
            room.lease(&key)
        };
        if let Some(lease) = lease {
            _ = lease.instance().watch(uri, Watching::End).await;
        }
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let dropped = self.shared.outlet.dropped();
        let enabled = self.shared.entry.enabled;
        guard(&self.shared.room).status(Instant::now(), enabled, dropped)
    }

    /// Starts an instance for a caller, and takes back a [`Server::stop`].
    ///
    /// # Errors
    /// As [`Server::hello`].
    pub async fn start(&self, caller: &Caller) -> Result<Arc<Hello>, Fault> {
        guard(&self.shared.room).resume();
        self.hello(caller).await
    }

    /// Refuses new calls with [`Fault::Stopping`], lets those in flight finish within a grace time, and ends all
    /// instances.
    pub async fn stop(&self) {
        let instances = guard(&self.shared.room).halt();
        finish(instances).await;
    }

    /// Ends all instances, with the same grace; the next call starts a new one. Forgets past failures.
    pub async fn restart(&self) {
        let instances = guard(&self.shared.room).halt();
        finish(instances).await;
        let mut room = guard(&self.shared.room);
        room.resume();
        room.breaker.succeeded();
    }

    /// The last lines that its instances wrote to stderr, or to stdout without being messages; each starts with the
    /// stream's name. They are a stranger's text: control characters and all.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.shared.outlet.lines()
    }

    /// Lets a call through, unless the server is switched off, stopped or left alone.
    fn admit(&self) -> Result<Permit<'_>, Fault> {
        if !self.shared.entry.enabled {
            return Err(Fault::Disabled);
        }
        let mut room = guard(&self.shared.room);
        if room.is_halted() || self.shared.stop.is_cancelled() {
            return Err(Fault::Stopping);
        }
        let pass = room.breaker.admit(Instant::now());
        let pass = pass.map_err(|retry_after| Fault::CircuitOpen { retry_after })?;
        Ok(Permit { shared: &self.shared, pass: std::cell::Cell::new(pass) })
    }

    async fn attempt(&self, permit: &Permit<'_>, caller: &Caller, request: Request<'_>) -> Result<Answer, Fault> {
        let visit = self.visit(self.shared.key(caller), caller).await?;
        let instance = visit.lease.instance();
        instance.count_call();
        let outcome = instance.call(request).await;
        permit.note(&outcome, instance);
        outcome
    }

    /// Finds a place in an instance, starting one when none runs.
    async fn visit(&self, key: Key, caller: &Caller) -> Result<Visit<'_>, Fault> {
        let offered = self.shared.offered(caller);
        for _ in 0..LEASE_TRIES {
            let mut outcome = {
                let mut room = guard(&self.shared.room);
                match room.lease(&key) {
                    Some(lease) => return Ok(Visit::new(&self.shared, key, lease)),
                    None => launch::join(&self.shared, &mut room, &key, &offered)?,
                }
            };
            let brief = Brief::new(&self.shared, &key);
            match outcome.wait_for(Option::is_some).await.map(|done| done.clone()) {
                Ok(Some(Err(fault))) => return Err(fault),
                Ok(_) => {}
                Err(_) => return Err(Fault::Stopping),
            }
            brief.done();
        }
        Err(Fault::Gone { sent: false, why: "it ends as soon as it has started".into() })
    }
}
