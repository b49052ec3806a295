//! The gateway as a whole: what all calls share.

mod confinement;
mod notices;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_auth::seal::Seals;
use casemate_mcp::method::Method;
use casemate_policy::{Subject, SubjectId};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approvals::Approvals;
use crate::catalog::{Catalog, Common};
use crate::client::{Bus, Sessions, Tasks};
use crate::clock;
use crate::flows::Flows;
use crate::front::PublicUrl;
use crate::journey::Admissions;
use crate::limits::Limiter;
use crate::parked::{Ground, Parked};
use crate::ports::{CallId, Desk, Identities, Judges, Ledger, Pins, Recorder, Results, Spent, Wards};
use crate::quarantine::rules::{Escapes, Touches};
use crate::quarantine::{self, Quarantine};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use crate::turned_away::{Noted, TurnedAways};
use crate::upstream::{Alarm, Host, Server, ServerNotice};

/// How often idle sessions are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Questions to judges at once for whose answers nobody waits. What comes beyond is not asked, and recorded so.
const AUDITS_MAX: usize = 64;

/// What the program wires into a gateway.
#[derive(Debug)]
pub struct Parts {
    /// The configuration to begin with.
    pub snapshot: Snapshot,
    /// Where we listen, as clients of this machine reach it; for where the configuration names no public address.
    pub own_url: Option<PublicUrl>,
    /// Who credentials belong to.
    pub identities: Arc<dyn Identities>,
    /// Where calls are written down.
    pub recorder: Arc<dyn Recorder>,
    /// Where it is remembered what was used of daily budgets, and what was before.
    pub ledger: (Arc<dyn Ledger>, Vec<Spent>),
    /// Where questions to people and their answers are kept, and what is kept there.
    pub desk: (Arc<dyn Desk>, Vec<Vec<u8>>),
    /// Makes and opens the tokens that clients are given.
    pub seals: Arc<Seals>,
    /// Which definitions were approved.
    pub pins: Arc<dyn Pins>,
    /// Where it is kept what rules put in quarantine, and what was in it before.
    pub wards: (Arc<dyn Wards>, Vec<quarantine::Entry>),
    /// Asks judges that are reached over HTTP.
    pub judges: Arc<dyn Judges>,
    /// Keeps results that are too large to be shown at once.
    pub results: Arc<dyn Results>,
    /// The other end of the host's alarms.
    pub alarms: mpsc::Receiver<Alarm>,
    /// What servers run on.
    pub host: Arc<Host>,
    /// The other end of the host's notices.
    pub notices: mpsc::Receiver<ServerNotice>,
}

/// The gateway.
#[derive(Debug)]
pub struct Gate {
    snapshot: ArcSwap<Snapshot>,
    own_url: Option<PublicUrl>,
    identities: Arc<dyn Identities>,
    recorder: Arc<dyn Recorder>,
    host: Arc<Host>,
    catalog: Catalog,
    pins: Arc<dyn Pins>,
    /// Held while the snapshot is replaced by one that was made from it.
    replacing: Mutex<()>,
    sessions: Sessions,
    bus: Bus,
    tasks: Tasks,
    admissions: Admissions,
    limiter: Limiter,
    approvals: Approvals,
    parked: Parked,
    flows: Flows,
    quarantine: Arc<Quarantine>,
    wards: Arc<dyn Wards>,
    results: Arc<dyn Results>,
    escapes: Escapes,
    touches: Touches,
    /// The version of the quarantine that servers and sessions follow.
    enforced: AtomicU64,
    seals: Arc<Seals>,
    judges: Arc<dyn Judges>,
    audits: Arc<Semaphore>,
    turned_away: TurnedAways,
    /// Calls are refused from here on; those in flight may finish.
    closing: CancellationToken,
    run: u64,
    calls: AtomicU64,
}

impl Gate {
    /// Puts a gateway together and starts what it does in the background.
    #[must_use]
    pub fn start(parts: Parts) -> Arc<Gate> {
        let (changes, changed) = mpsc::channel(256);
        let mut run = [0; 8];
        // Without randomness call ids are unique in this run only; nothing depends on more.
        _ = getrandom::fill(&mut run);
        let mut snapshot = parts.snapshot;
        snapshot.inspecting.inspection = parts.host.masks.follow(&snapshot.inspecting.inspection);
        snapshot.policy = snapshot.policy.approving(parts.pins.confirmed());
        parts.host.take_answers_up_to(snapshot.limits.result_bytes_max);
        let quarantine = Arc::new(Quarantine::new(parts.wards.1));
        let gate = Arc::new(Gate {
            catalog: Catalog::new(
                &snapshot,
                &parts.host,
                Common {
                    generation: Arc::new(AtomicU64::new(1)),
                    changes,
                    pins: Arc::clone(&parts.pins),
                    quarantine: Arc::clone(&quarantine),
                },
            ),
            pins: parts.pins,
            replacing: Mutex::default(),
            limiter: Limiter::new(&snapshot.limits.pace, parts.ledger.0, parts.ledger.1),
            approvals: Approvals::new(parts.desk.0, Arc::clone(&parts.recorder), parts.desk.1),
            // Nothing runs yet that could have to end.
            enforced: AtomicU64::new(quarantine.version()),
            quarantine,
            wards: parts.wards.0,
            results: parts.results,
            escapes: Escapes::default(),
            flows: Flows::default(),
            touches: Touches::default(),
            snapshot: ArcSwap::from_pointee(snapshot),
            own_url: parts.own_url,
            identities: parts.identities,
            recorder: parts.recorder,
            host: parts.host,
            sessions: Sessions::new(Arc::clone(&parts.seals)),
            seals: parts.seals,
            judges: parts.judges,
            audits: Arc::new(Semaphore::new(AUDITS_MAX)),
            bus: Bus::default(),
            tasks: Tasks::default(),
            parked: Parked::default(),
            admissions: Admissions::default(),
            turned_away: TurnedAways::default(),
            closing: CancellationToken::new(),
            run: u64::from_le_bytes(run),
            calls: AtomicU64::new(1),
        });
        gate.confine_servers();
        gate.host.tracker.spawn(Arc::clone(&gate).follow((parts.notices, changed), parts.alarms));
        gate
    }

    /// Follows a new configuration. Servers whose entry changed are stopped once their calls are done.
    pub fn swap(&self, mut snapshot: Snapshot) {
        let replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.inspecting.inspection = self.host.masks.follow(&snapshot.inspecting.inspection);
        snapshot.policy = snapshot.policy.approving(self.pins.confirmed());
        // Another may have been made of the one before since this was numbered, and nothing goes by an old number.
        snapshot.version = snapshot.version.max(self.snapshot().version + 1);
        let gone = self.catalog.swap(&snapshot, &self.host);
        // A server whose entry changed is another one, and in quarantine all the same.
        self.confine_servers();
        self.limiter.follow(&snapshot.limits.pace);
        self.host.take_answers_up_to(snapshot.limits.result_bytes_max);
        self.snapshot.store(Arc::new(snapshot));
        drop(replacing);
        for shelf in gone {
            self.host.tracker.spawn(async move { shelf.server().stop().await });
        }
        self.give_up();
        self.tell_all();
    }

    /// Judges all definitions anew, after somebody approved of one or took an approval back; and with them what counts as
    /// confirmed to change nothing.
    pub fn judge_anew(&self) {
        let replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let (snapshot, confirmed) = (self.snapshot(), self.pins.confirmed());
        let is_new = !snapshot.policy.is_approving(&confirmed);
        if is_new {
            let policy = snapshot.policy.approving(confirmed);
            let version = snapshot.version + 1;
            self.snapshot.store(Arc::new(Snapshot { version, policy, ..(*snapshot).clone() }));
        }
        drop(replacing);
        if is_new {
            self.give_up();
            self.tell_all();
        }
        self.catalog.shelves().values().for_each(|shelf| shelf.judge_anew());
    }

    /// Refuses new calls, waits for those in flight until `grace` is over, and stops every server.
    pub async fn stop(&self, grace: Duration) {
        self.closing.cancel();
        // Each call holds its subject's place; when all places are free, all calls are done.
        _ = tokio::time::timeout(grace, self.admissions.idle()).await;
        let shelves = self.catalog.shelves();
        let mut stops = tokio::task::JoinSet::new();
        for shelf in shelves.values() {
            let shelf = Arc::clone(shelf);
            stops.spawn(async move { shelf.server().stop().await });
        }
        while stops.join_next().await.is_some() {}
        self.limiter.settle();
        self.host.stop.cancel();
    }

    /// The configuration that calls are judged by from now on.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// What the servers offer.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What servers run on.
    #[must_use]
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// The open legacy HTTP sessions.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Who listens for changes.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Whose tasks are whose.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Every task of the gateway runs on this.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.host.tracker
    }

    /// Whether new calls are refused.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Ends when new calls are refused.
    pub async fn stopping(&self) {
        self.closing.cancelled().await;
    }

    /// The beginning of our endpoints' addresses, as the clients of that configuration know it.
    pub(crate) fn base<'a>(&'a self, snapshot: &'a Snapshot) -> Option<&'a PublicUrl> {
        snapshot.public_url.as_ref().or(self.own_url.as_ref())
    }

    pub(crate) fn identities(&self) -> &dyn Identities {
        &*self.identities
    }

    pub(crate) fn recorder(&self) -> &dyn Recorder {
        &*self.recorder
    }

    /// What people are asked, and what they answered.
    #[must_use]
    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// Calls that wait for their clients.
    #[must_use]
    pub fn parked(&self) -> &Parked {
        &self.parked
    }

    /// What calls that wait run on.
    pub(crate) fn ground(&self) -> Ground {
        Ground { tracker: self.host.tracker.clone(), closing: self.closing.clone() }
    }

    /// Results that are kept for a while.
    #[must_use]
    pub fn results(&self) -> &dyn Results {
        &*self.results
    }

    pub(crate) fn flows(&self) -> &Flows {
        &self.flows
    }

    /// Random for each run.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    pub(crate) fn seals(&self) -> &Seals {
        &self.seals
    }

    pub(crate) fn judges(&self) -> &dyn Judges {
        &*self.judges
    }

    /// Places for questions for whose answers nobody waits.
    pub(crate) fn audits(&self) -> &Arc<Semaphore> {
        &self.audits
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(crate) fn admissions(&self) -> &Admissions {
        &self.admissions
    }

    pub(crate) fn next_call(&self) -> CallId {
        CallId { run: self.run, number: self.calls.fetch_add(1, Ordering::Relaxed) }
    }

    /// An id for what is no call. It is not counted up: a stranger who is refused twice would learn how many calls others
    /// made in between.
    fn unnumbered(&self) -> CallId {
        let mut number = [0; 8];
        // Without randomness there is an id that several refusals share, and nothing depends on more.
        _ = getrandom::fill(&mut number);
        CallId { run: self.run, number: u64::from_le_bytes(number) }
    }

    /// Counts a request that was refused before it was a call, and names the refusal.
    pub(crate) fn turn_away(&self, address: Option<IpAddr>, refusal: Refusal) -> Refusal {
        let refusal = refusal.under(self.unnumbered());
        if let Some(call) = refusal.call() {
            tracing::debug!(%refusal, %call, detail = refusal.detail.as_deref(), "a request was refused");
            let noted = Noted {
                address,
                code: refusal.code,
                label: refusal.label(),
                call,
                unix_ms: clock::unix_ms(),
            };
            self.turned_away.note(&*self.recorder, &noted);
        }
        refusal
    }

    /// Writes down what is only counted so far, at the end.
    pub fn settle(&self) {
        self.results.retain(&|_| false);
        self.turned_away.settle(&*self.recorder);
    }

    /// Brings what servers say outside of calls to the clients that want it.
    async fn follow(
        self: Arc<Self>,
        (mut notices, mut changed): (mpsc::Receiver<ServerNotice>, mpsc::Receiver<Arc<Server>>),
        mut alarms: mpsc::Receiver<Alarm>,
    ) {
        let mut turns = self.quarantine.turns();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            let over = async {
                match self.quarantine.next_end() {
                    Some(end) => tokio::time::sleep(end.saturating_sub(clock::unix_now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.host.stop.cancelled() => return,
                () = over => self.quarantine.sweep(),
                _ = sweep.tick() => self.sweep().await,
                Ok(()) = turns.changed() => self.enforce(),
                Some(alarm) = alarms.recv() => self.hear(&alarm),
                Some(notice) = notices.recv() => self.told(&notice),
                Some(server) = changed.recv() => self.tell_changed(&server, &[
                    Method::ToolsChanged, Method::PromptsChanged, Method::ResourcesChanged,
                ]),
                else => return,
            }
        }
    }

    /// Writes down who was refused in the minute before, and ends the sessions that were idle for too long, or whose
    /// subject is gone.
    async fn sweep(&self) {
        self.turned_away.sweep(&*self.recorder, clock::unix_ms());
        self.sessions.sweep(|subject| self.current(subject).is_some());
        self.parked.sweep(|whose| self.current(&whose.owner).is_some());
        self.results.retain(&|subject| self.current(subject).is_some());
        self.tasks.sweep(|subject| self.current(subject).is_some());
        self.quarantine.sweep();
        self.approvals.sweep().await;
    }

    /// A subject as it is now; `None` when its credential was withdrawn, or it is in quarantine.
    pub(crate) fn current(&self, subject: &SubjectId) -> Option<Arc<Subject>> {
        if self.quarantine.of_subject(subject).is_some() {
            return None;
        }
        self.identities.current(subject, clock::unix_now().as_secs())
    }
}
