//! What is said on the control socket: requests, answers and refusals.

use std::time::Duration;

use casemate_gateway::approvals::Answer as Verdict;
use casemate_gateway::upstream::report::CellReport;
use http::Method;
use serde::{Deserialize, Serialize};

use crate::failure::Problem;

mod people;

pub use people::{ApprovalState, Ended, SessionState, Whose};

/// The longest grace time that can be asked for: an hour.
const GRACE_MAX: Duration = Duration::from_secs(3600);
/// The most log lines that can be asked for.
pub const LOG_LINES_MAX: usize = 10_000;

/// What the command line asks of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Who are you?
    Status,
    /// How are the servers?
    Servers,
    /// Do something with a server.
    Control {
        /// The server's name.
        server: String,
        /// What to do.
        action: Action,
    },
    /// What did a server write to stderr?
    Logs {
        /// The server's name.
        server: String,
        /// How many of the last lines.
        lines: usize,
    },
    /// Read the configuration anew.
    Reload,
    /// Read the keys anew.
    ReloadKeys,
    /// Which sessions are open?
    Sessions,
    /// End one session, or all of a subject.
    EndSessions(Whose),
    /// What are people asked, and what did they approve?
    Approvals,
    /// Answer a question.
    Decide {
        /// Its name.
        id: String,
        /// What is said.
        verdict: Verdict,
    },
    /// Read the pins anew.
    ReloadPins,
    /// Read anew what is in quarantine.
    ReloadQuarantine,
    /// Stop, within a grace time.
    Stop {
        /// How long calls in flight may take to finish, when not as configured.
        grace: Option<Duration>,
    },
}

/// What can be done with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start it now.
    Start,
    /// Stop it; calls to it are refused until it is started again.
    Stop,
    /// Stop its processes and start it anew.
    Restart,
}

impl Action {
    /// The last part of its path.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
        }
    }

    fn parse(text: &str) -> Option<Action> {
        [Action::Start, Action::Stop, Action::Restart].into_iter().find(|action| action.as_str() == text)
    }
}

impl Request {
    /// The HTTP method and target. Server names need no escaping: their alphabet is that of a path segment, and
    /// any other text is refused by [`Request::parse`].
    pub fn line(&self) -> (Method, String) {
        match self {
            Request::Status => (Method::GET, "/v1/status".to_owned()),
            Request::Servers => (Method::GET, "/v1/servers".to_owned()),
            Request::Control { server, action } => {
                (Method::POST, format!("/v1/servers/{server}/{}", action.as_str()))
            }
            Request::Logs { server, lines } => (Method::GET, format!("/v1/servers/{server}/logs/{lines}")),
            Request::Reload => (Method::POST, "/v1/reload".to_owned()),
            Request::ReloadKeys => (Method::POST, "/v1/keys/reload".to_owned()),
            Request::Sessions => (Method::GET, "/v1/sessions".to_owned()),
            Request::EndSessions(Whose::Session(id)) => {
                (Method::POST, format!("/v1/sessions/end/id/{}", hex(id)))
            }
            Request::EndSessions(Whose::Subject(subject)) => {
                (Method::POST, format!("/v1/sessions/end/subject/{}", hex(subject)))
            }
            Request::Approvals => (Method::GET, "/v1/approvals".to_owned()),
            Request::Decide { id, verdict } => {
                (Method::POST, format!("/v1/approvals/{}/{}", hex(id), verdict.as_str()))
            }
            Request::ReloadPins => (Method::POST, "/v1/pins/reload".to_owned()),
            Request::ReloadQuarantine => (Method::POST, "/v1/quarantine/reload".to_owned()),
            Request::Stop { grace: None } => (Method::POST, "/v1/stop".to_owned()),
            Request::Stop { grace: Some(grace) } => (Method::POST, format!("/v1/stop/{}", grace.as_millis())),
        }
    }

    /// Reads what [`Request::line`] wrote.
    pub fn parse(method: &Method, path: &str) -> Option<Request> {
        let parts: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::GET, ["status"]) => Some(Request::Status),
            (&Method::GET, ["servers"]) => Some(Request::Servers),
            (&Method::POST, ["servers", server, action]) => {
                Some(Request::Control { server: (*server).to_owned(), action: Action::parse(action)? })
            }
            (&Method::GET, ["servers", server, "logs", lines]) => {
                let lines = lines.parse().ok().filter(|lines| *lines <= LOG_LINES_MAX)?;
                Some(Request::Logs { server: (*server).to_owned(), lines })
            }
            (&Method::POST, ["reload"]) => Some(Request::Reload),
            (&Method::POST, ["keys", "reload"]) => Some(Request::ReloadKeys),
            (&Method::GET, ["sessions"]) => Some(Request::Sessions),
            (&Method::POST, ["sessions", "end", "id", id]) => {
                Some(Request::EndSessions(Whose::Session(unhex(id)?)))
            }
            (&Method::POST, ["sessions", "end", "subject", subject]) => {
                Some(Request::EndSessions(Whose::Subject(unhex(subject)?)))
            }
            (&Method::GET, ["approvals"]) => Some(Request::Approvals),
            (&Method::POST, ["approvals", id, verdict]) => {
                Some(Request::Decide { id: unhex(id)?, verdict: Verdict::find(verdict)? })
            }
            (&Method::POST, ["pins", "reload"]) => Some(Request::ReloadPins),
            (&Method::POST, ["quarantine", "reload"]) => Some(Request::ReloadQuarantine),
            (&Method::POST, ["stop"]) => Some(Request::Stop { grace: None }),
            (&Method::POST, ["stop", millis]) => {
                let grace = Duration::from_millis(millis.parse().ok()?);
                (grace <= GRACE_MAX).then_some(Request::Stop { grace: Some(grace) })
            }
            _ => None,
        }
    }
}

/// What the gateway answers. On the wire it is the bare value; who asked knows which to expect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Servers`].
    Servers(Vec<ServerState>),
    /// To [`Request::Logs`].
    Logs(Vec<String>),
    /// To [`Request::Reload`].
    Reloaded(Reloaded),
    /// To [`Request::Sessions`].
    Sessions(Vec<SessionState>),
    /// To [`Request::EndSessions`].
    Ended(Ended),
    /// To [`Request::Approvals`].
    Approvals(Vec<ApprovalState>),
    /// To [`Request::Decide`].
    Decided(ApprovalState),
    /// To everything else.
    Done(Done),
}

/// Nothing more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// A running gateway about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program that runs, which need not be the one that asks.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where all servers are joined, for example `http://127.0.0.1:7332/mcp`.
    pub endpoint: String,
    /// The configuration file it watches.
    pub config: String,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Version of the configuration in force; it grows with each change.
    pub snapshot: u64,
    /// Mistakes in the file that keep the configuration before it in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// A server as the gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Its name.
    pub name: String,
    /// `idle`, `starting`, `running`, `stopped` (by a person), `failed`, `backoff`, `circuit-open`, `disabled` or
    /// `quarantined`.
    pub state: String,
    /// In how many milliseconds a server that failed is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// Running instances, oldest first.
    pub instances: Vec<Instance>,
    /// How often an instance was started to replace one that was lost.
    pub restarts: u64,
    /// Why it last failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// What is wrong with its names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<DoubtedName>,
    /// What it offers and nobody gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<BlockedItem>,
    /// What keeps all calls from it, when something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Confined>,
}

/// Something that a server offers and nobody gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedItem {
    /// The item, `tool:push`.
    pub item: String,
    /// Why, in words that follow a colon.
    pub why: String,
    /// The code of the refusal of its calls, `CM1505`.
    pub code: String,
}

/// A server in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confined {
    /// What is in quarantine: the server, `server:push`, or the whole `gateway`.
    pub ward: String,
    /// Who put it in: a subject or a rule.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A name that may stand for something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoubtedName {
    /// The item, `tool:push`; absent when it is about the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What is wrong with it.
    pub why: String,
    /// Whether it is refused for that, or only told of.
    pub refused: bool,
}

/// One running instance of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its process, unless it is a remote server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Whose it is; nobody's when it is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The protocol revision that it speaks.
    pub revision: String,
    /// For how long it has run, in seconds.
    pub age: u64,
    /// Tools called, prompts gotten and resources read so far.
    pub calls: u64,
    /// Calls that wait for its answer now.
    pub in_flight: usize,
    /// What is in force around its process; absent for a remote server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellReport>,
}

/// What came of reading the configuration anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Version of the configuration in force afterwards.
    pub snapshot: u64,
    /// Mistakes that kept the old configuration in force; none when the new one is.
    pub problems: Vec<Problem>,
}

/// Why the gateway does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// A next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A text that a person typed, as a segment of a path whatever is in it.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<String> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(pair).collect();
    String::from_utf8(bytes?).ok()
}
