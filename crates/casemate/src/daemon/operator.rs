//! What is done for the command line: the answers of the control socket.

mod people;

use std::sync::Arc;
use std::time::Duration;

use casemate_gateway::catalog::{Doubted, Held, Shelf};
use casemate_gateway::upstream::{Caller, InstanceStatus, Server, State};
use casemate_mcp::json::Members;
use casemate_policy::SubjectId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ledgers::Ledgers;
use super::live::{Cause, Live};
use crate::absent::Absent;
use crate::clock;
use crate::configuration;
use crate::control::server::Handler;
use crate::control::wire::{
    Action, Answer, BlockedItem, Confined, Done, DoubtedName, Fault, Instance, Request, ServerState, Status,
};
use crate::wiring::recorder::Log;

/// Doubts about names that are told of one server; an attacker makes the others.
const NAMES_MAX: usize = 100;

/// How long whoever asks how the servers are waits for those that said they changed.
const RENEW_TIME: Duration = Duration::from_secs(2);

/// Answers the command line.
#[derive(Debug)]
pub struct Operator {
    live: Arc<Live>,
    ledgers: Ledgers,
    log: Arc<Log>,
    orders: mpsc::Sender<Order>,
    endpoint: String,
    started: u64,
}

/// What the command line makes the gateway do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To stop.
    Stop {
        /// How long calls in flight may take to finish, when not as configured.
        grace: Option<Duration>,
    },
}

impl Operator {
    /// An operator of a gateway that starts now. Orders go where they can be followed.
    pub fn new(
        live: Arc<Live>,
        (ledgers, log): (Ledgers, &Arc<Log>),
        orders: mpsc::Sender<Order>,
        endpoint: String,
    ) -> Operator {
        let log = Arc::clone(log);
        Operator { live, ledgers, log, orders, endpoint, started: clock::unix_seconds() }
    }

    async fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            endpoint: self.endpoint.clone(),
            config: self.live.context().paths.config().display().to_string(),
            started: self.started,
            snapshot: self.live.gate().snapshot().version,
            problems: self.live.problems().await,
        }
    }

    /// What a running server said has changed is looked at before it is told of.
    async fn renew(&self) {
        let shelves = self.live.gate().catalog().shelves();
        let runs = |shelf: &Shelf| shelf.server().status().state == State::Running;
        let caller = local_caller();
        let renewed = async {
            for shelf in shelves.values().filter(|shelf| shelf.is_stale() && runs(shelf)) {
                // One that does not answer is told of as it was.
                _ = shelf.definitions(&caller).await;
            }
        };
        _ = tokio::time::timeout(RENEW_TIME, renewed).await;
    }

    fn servers(&self) -> Vec<ServerState> {
        let gate = self.live.gate();
        let (snapshot, quarantine) = (gate.snapshot(), gate.quarantine());
        let names = gate.catalog().names(&snapshot);
        let shelves = gate.catalog().shelves();
        let held = gate.catalog().held(&snapshot);
        let of = |shelf: &Arc<Shelf>| {
            let doubts = names.doubted(&snapshot, shelf).into_iter().take(NAMES_MAX);
            let state = ServerState { names: doubts.map(doubted).collect(), ..state(shelf) };
            let own = held.iter().filter(|held| *held.server == *state.name).take(NAMES_MAX);
            let state = ServerState { blocked: own.map(blocked).collect(), ..state };
            let Some(entry) = quarantine.of_server(&state.name) else { return state };
            let (by, reason) = (entry.by.to_string(), entry.reason.to_string());
            let quarantine = Some(Confined { ward: entry.ward.to_string(), by, reason });
            ServerState { state: "quarantined".to_owned(), retry_ms: None, quarantine, ..state }
        };
        shelves.values().map(of).collect()
    }

    fn shelf(&self, server: &str) -> Result<Arc<Shelf>, Fault> {
        let gate = self.live.gate();
        gate.catalog().shelf(server).ok_or_else(|| Absent::of(server, &gate.snapshot().servers).into())
    }

    async fn control(&self, server: &str, action: Action) -> Result<Answer, Fault> {
        let shelf = self.shelf(server)?;
        let upstream = shelf.server();
        if action != Action::Stop
            && let Some(entry) = self.live.gate().quarantine().of_server(server)
        {
            return Err(Fault {
                message: format!("{} is in quarantine: {}", entry.ward, entry.reason),
                hint: Some(format!("`casemate quarantine lift {}` lets it go", entry.ward)),
            });
        }
        match action {
            Action::Stop => upstream.stop().await,
            Action::Start => self.start(server, &shelf).await?,
            Action::Restart => {
                upstream.restart().await;
                self.start(server, &shelf).await?;
            }
        }
        Ok(Answer::Done(Done {}))
    }

    /// Starts an instance for the local user, who is the one that asks.
    async fn start(&self, name: &str, shelf: &Shelf) -> Result<(), Fault> {
        let started = shelf.server().start(&local_caller()).await;
        let said = |server: &Server| !server.logs().is_empty();
        started.map(drop).map_err(|fault| Fault {
            message: format!("{name}: {fault}"),
            hint: said(shelf.server()).then(|| format!("`casemate logs {name}` shows what it said")),
        })
    }

    fn logs(&self, server: &str, lines: usize) -> Result<Answer, Fault> {
        let mut logs = self.shelf(server)?.server().logs();
        let first = logs.len().saturating_sub(lines);
        Ok(Answer::Logs(logs.split_off(first)))
    }

    async fn reload_pins(&self) -> Result<Answer, Fault> {
        let reloaded = self.ledgers.pins.reload(self.live.gate()).await;
        reloaded
            .map(|()| Answer::Done(Done {}))
            .map_err(|fault| Fault { message: fault.to_string(), hint: None })
    }

    async fn reload_quarantine(&self) -> Result<Answer, Fault> {
        let reloaded = self.ledgers.wards.reload(self.live.gate()).await;
        reloaded
            .map(|()| Answer::Done(Done {}))
            .map_err(|fault| Fault { message: fault.to_string(), hint: None })
    }

    async fn reload_keys(&self) -> Result<Answer, Fault> {
        let reloaded = self.ledgers.papers.reload().await;
        reloaded
            .map(|()| Answer::Done(Done {}))
            .map_err(|fault| Fault { message: fault.to_string(), hint: None })
    }
}

impl Handler for Operator {
    async fn handle(&self, request: Request) -> Result<Answer, Fault> {
        match request {
            Request::Status => Ok(Answer::Status(self.status().await)),
            Request::Servers => {
                self.renew().await;
                Ok(Answer::Servers(self.servers()))
            }
            Request::Control { server, action } => self.control(&server, action).await,
            Request::Logs { server, lines } => self.logs(&server, lines),
            Request::Reload => Ok(Answer::Reloaded(self.live.reload(Cause::Asked).await)),
            Request::ReloadKeys => self.reload_keys().await,
            Request::Sessions => Ok(Answer::Sessions(people::sessions(self.live.gate()))),
            Request::EndSessions(whose) => {
                people::end_sessions((self.live.gate(), &self.log), &whose).map(Answer::Ended)
            }
            Request::Approvals => Ok(Answer::Approvals(people::approvals(self.live.gate()))),
            Request::Decide { id, verdict } => {
                people::decide(self.live.gate(), &id, verdict).await.map(Answer::Decided)
            }
            Request::ReloadPins => self.reload_pins().await,
            Request::ReloadQuarantine => self.reload_quarantine().await,
            Request::Stop { grace } => {
                // One order waits at most; a second stop is already on its way.
                let _ = self.orders.try_send(Order::Stop { grace });
                Ok(Answer::Done(Done {}))
            }
        }
    }
}

/// The local user, who is the one that asks.
fn local_caller() -> Caller {
    Caller {
        subject: SubjectId::local(rustix::process::geteuid().as_raw()),
        capabilities: Members::empty(),
        timeout: None,
        replay_safe: false,
        param_headers: Vec::new(),
    }
}

fn state(shelf: &Shelf) -> ServerState {
    let status = shelf.server().status();
    let now = Instant::now();
    let (state, until) = match status.state {
        State::Idle => ("idle", None),
        State::Stopped => ("stopped", None),
        State::Failed => ("failed", None),
        State::Starting => ("starting", None),
        State::Running => ("running", None),
        State::Disabled => ("disabled", None),
        State::Backoff { until } => ("backoff", Some(until)),
        State::CircuitOpen { until } => ("circuit-open", Some(until)),
    };
    let millis =
        |until: Instant| until.saturating_duration_since(now).as_millis().try_into().unwrap_or(u64::MAX);
    let mut error = trouble(shelf.server(), status.last_error.as_deref()).into_iter();
    ServerState {
        name: shelf.server().entry().name.to_string(),
        state: state.to_owned(),
        retry_ms: until.map(millis),
        instances: status.instances.iter().map(|one| instance(one, now)).collect(),
        restarts: status.restarts,
        error: error.next(),
        hints: error.collect(),
        names: Vec::new(),
        blocked: Vec::new(),
        quarantine: None,
    }
}

/// Why a server last failed, or is not even tried, and behind it what to do.
fn trouble(server: &Server, last_error: Option<&str>) -> Vec<String> {
    match configuration::unstarted(server.entry()).into_iter().next() {
        Some(problem) => std::iter::once(problem.message).chain(problem.hint).collect(),
        None => last_error.iter().flat_map(|error| error.split("\nhint: ")).map(str::to_owned).collect(),
    }
}

fn blocked(held: &Held) -> BlockedItem {
    BlockedItem {
        item: format!("{}:{}", held.kind.word(), held.name),
        why: held.why.clone(),
        code: held.code.to_string(),
    }
}

fn doubted(one: Doubted) -> DoubtedName {
    let item = one.item.map(|(kind, name)| format!("{}:{name}", kind.word()));
    DoubtedName { item, why: one.why, refused: one.is_refused }
}

fn instance(status: &InstanceStatus, now: Instant) -> Instance {
    Instance {
        pid: status.pid,
        subject: status.subject.as_ref().map(ToString::to_string),
        revision: status.revision.as_str().to_owned(),
        age: now.saturating_duration_since(status.started).as_secs(),
        calls: status.calls,
        in_flight: status.in_flight,
        cell: status.report.as_deref().cloned(),
    }
}
