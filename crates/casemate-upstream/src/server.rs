//! One configured server at run time.

mod launch;
mod permit;
mod room;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use casemate_mcp::call::{Answer, Call, Notice};
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::deadline::Deadline;
use super::desk::{Outcome, runs};
use super::instance::{Instance, Lease, Request};
use super::listen::Watching;
use super::outlet::Outlet;
use super::{Caller, Event, Fault, Hello, Host, Status, guard, http};
use crate::entry::{ServerEntry, Sharing};
use permit::Permit;
use room::{Key, Room};

/// How long calls in flight may take to finish when the server is stopped.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const STOP_LOOK: Duration = Duration::from_millis(20);
/// How long an instance may take to end after that. It is killed in any case; this is how long a person waits.
const END_GRACE: Duration = Duration::from_secs(6);
/// How often one call looks for an instance that does not end under its hands.
const LEASE_TRIES: usize = 3;

/// One configured server at run time. A changed entry gets a new one; the old one is stopped. Dropping it ends its
/// instances without a grace time for calls.
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
    /// The way to an HTTP server; all instances share its connections.
    door: Option<Result<Arc<http::Door>, String>>,
    /// Ends all instances.
    stop: CancellationToken,
    room: Mutex<Room>,
    /// Whether the breaker remembers a failure, so that a call that succeeds need not take a lock to find out.
    troubled: AtomicBool,
    /// Numbers instances and, with `sharing = "call"`, the calls that have one of their own.
    serial: AtomicU64,
}

impl Server {
    /// A server that has not been started.
    #[must_use]
    pub fn new(entry: Arc<ServerEntry>, host: Arc<Host>) -> Arc<Server> {
        let shared = Shared {
            outlet: Arc::new(Outlet::new(
                entry.name.clone(),
                host.notices.clone(),
                (Arc::clone(&host.masks), host.alarms.clone()),
            )),
            door: http::Door::of(&entry, &host),
            stop: host.stop.child_token(),
            room: Mutex::new(Room::new(entry.resilience)),
            troubled: AtomicBool::new(false),
            serial: AtomicU64::new(0),
            entry,
            host,
        };
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
        let mut permit = self.admit()?;
        let key = self.shared.key(caller);
        if self.shared.entry.sharing == Sharing::Call
            && let Some(hello) = guard(&self.shared.room).hello(&key)
        {
            return Ok(hello);
        }
        let place = self.shared.place(key).await?;
        permit.handshake_done();
        Ok(Arc::clone(&place.lease.instance().hello))
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
        let mut permit = self.admit()?;
        let timeouts = &self.shared.entry.timeouts;
        let deadline = Deadline { quiet: caller.timeout.unwrap_or(timeouts.call), hard: timeouts.hard };
        let mut request = Request { caller, call, events, deadline };
        let begun = Instant::now();
        let (outcome, instance) = self.attempt(request.clone()).await?;
        let (outcome, instance) = match outcome {
            Err(Fault::Gone { sent, .. }) if !sent || caller.replay_safe || only_reads(&call.method) => {
                instance.leave();
                request.deadline.hard = deadline.hard.saturating_sub(begun.elapsed());
                self.attempt(request).await?
            }
            outcome => (outcome, instance),
        };
        permit.note(&outcome, &instance);
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
    /// is the server's: it may refuse, and then nothing is watched.
    ///
    /// # Errors
    /// A [`Fault`] when the server cannot be reached, or has no instance that lasts.
    pub async fn watch(&self, caller: &Caller, uri: &str) -> Result<Answer, Fault> {
        if self.shared.entry.sharing == Sharing::Call {
            let why = "it is started anew for every call, so no resource of it can be watched".to_owned();
            return Err(Fault::Protocol { why });
        }
        let mut permit = self.admit()?;
        let key = self.shared.key(caller);
        // The instance comes first: one that starts takes over the watches that are counted by then.
        let place = self.shared.place(key.clone()).await?;
        if !guard(&self.shared.room).begin_watch(&key, uri)? {
            return Ok(Answer::Result(Raw::EMPTY_OBJECT));
        }
        let mut promise = Promise { shared: &self.shared, key: &key, uri, is_kept: false };
        let outcome = place.lease.instance().watch(uri, Watching::Begin).await;
        promise.is_kept = matches!(outcome, Ok(Answer::Result(_)));
        permit.note(&outcome, place.lease.instance());
        outcome
    }

    /// Ends one [`Server::watch`].
    pub async fn unwatch(&self, caller: &Caller, uri: &str) {
        let key = self.shared.key(caller);
        let lease = {
            let mut room = guard(&self.shared.room);
            if room.end_watch(&key, uri) { room.lease(&key) } else { None }
        };
        if let Some(lease) = lease {
            _ = lease.instance().watch(uri, Watching::End).await;
        }
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = guard(&self.shared.room).status(Instant::now());
        status.dropped = self.shared.outlet.dropped();
        if !self.shared.entry.enabled {
            status.state = super::State::Disabled;
        }
        status
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

    /// Ends all instances at once, whatever they work on, and starts none until [`Server::release`], whoever asks: also for a
    /// call that has passed every check before this.
    pub fn confine(&self) {
        let instances = guard(&self.shared.room).confine();
        instances.iter().for_each(|instance| instance.life.stop());
    }

    /// Takes back [`Server::confine`]. What a person stopped stays stopped.
    pub fn release(&self) {
        guard(&self.shared.room).release();
    }

    /// Ends all instances, with the same grace; the next call starts a new one. Forgets past failures.
    pub async fn restart(&self) {
        self.stop().await;
        let mut room = guard(&self.shared.room);
        room.resume();
        room.breaker.succeeded();
    }

    /// The last lines that its instances wrote to stderr, or to stdout without being messages; each starts with the
    /// stream's name. They are a stranger's text, control characters and all.
    #[must_use]
    pub fn logs(&self) -> Vec<String> {
        self.shared.outlet.lines()
    }

    /// Lets a call through, unless the server is switched off, stopped or left alone.
    fn admit(&self) -> Result<Permit<'_>, Fault> {
        if !self.shared.entry.enabled {
            return Err(Fault::Disabled);
        }
        if let Some(missing) = self.shared.entry.secrets.missing.first() {
            return Err(Fault::Withheld { missing: missing.clone() });
        }
        if self.shared.stop.is_cancelled() {
            return Err(Fault::Stopping);
        }
        Permit::ask(&self.shared)
    }

    /// Sends a call to an instance, and says which one it was.
    async fn attempt(&self, request: Request<'_>) -> Result<(Outcome, Arc<Instance>), Fault> {
        let place = self.shared.place(self.shared.key(request.caller)).await?;
        let instance = Arc::clone(place.lease.instance());
        // What we ask on our own account, lists above all, is nothing that a person or a model called.
        if runs(&request.call.method) {
            instance.count_call();
        }
        let outcome = instance.call(request).await;
        Ok((outcome, instance))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Shared {
    /// Which instance serves a caller.
    fn key(&self, caller: &Caller) -> Key {
        let own = || (Some(caller.subject.clone()), caller.capabilities.raw().clone());
        let (subject, offered) = match self.entry.sharing {
            Sharing::Shared => (None, Raw::EMPTY_OBJECT),
            Sharing::Subject | Sharing::Call => own(),
        };
        let call = match self.entry.sharing {
            Sharing::Call => self.next_serial(),
            Sharing::Shared | Sharing::Subject => 0,
        };
        Key { subject, offered, call }
    }

    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Finds a place in an instance, starting one when none runs.
    async fn place(self: &Arc<Shared>, key: Key) -> Result<Place<'_>, Fault> {
        let solo = (key.call != 0).then(|| Solo { shared: self, key: key.clone() });
        for _ in 0..LEASE_TRIES {
            let mut started = {
                let mut room = guard(&self.room);
                match room.lease(&key) {
                    Some(lease) => return Ok(Place { lease, _solo: solo }),
                    None => launch::join(self, &mut room, &key)?,
                }
            };
            let outcome = started.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
            outcome.map_err(|_| Fault::Stopping)?.transpose()?;
        }
        Err(Fault::Gone { sent: false, why: "it ends as soon as it has started".into() })
    }
}

/// A place in an instance, for one call.
struct Place<'a> {
    lease: Lease,
    _solo: Option<Solo<'a>>,
}

/// An instance that serves one call alone. It ends with the call, also when the call is given up while the
/// instance is being started.
struct Solo<'a> {
    shared: &'a Shared,
    key: Key,
}

impl Drop for Solo<'_> {
    fn drop(&mut self) {
        guard(&self.shared.room).discard(&self.key);
    }
}

/// A watch that counts only once the server agreed.
struct Promise<'a> {
    shared: &'a Shared,
    key: &'a Key,
    uri: &'a str,
    is_kept: bool,
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            guard(&self.shared.room).end_watch(self.key, self.uri);
        }
    }
}

/// Requests that change nothing by their nature.
fn only_reads(method: &Method) -> bool {
    matches!(
        method,
        Method::Discover
            | Method::Ping
            | Method::ToolsList
            | Method::ResourcesList
            | Method::TemplatesList
            | Method::ResourcesRead
            | Method::PromptsList
            | Method::PromptsGet
            | Method::Complete
            | Method::TasksGet
            | Method::TasksResult
            | Method::TasksList
    )
}

/// Ends instances: first their calls may finish, then they may.
async fn finish(instances: Vec<Arc<Instance>>) {
    let idle = async {
        while instances.iter().any(|instance| instance.in_flight() > 0) {
            sleep(STOP_LOOK).await;
        }
    };
    _ = timeout(STOP_GRACE, idle).await;
    for instance in &instances {
        instance.life.stop();
    }
    let ended = async {
        for instance in &instances {
            instance.life.ended().await;
        }
    };
    _ = timeout(END_GRACE, ended).await;
}
