//! The immutable, compiled live configuration that every call is judged by.
//!
//! Plain structs, no serde: casemate-config parses what a person wrote and compiles it to this; the gateway
//! swaps whole snapshots and never edits one. A call holds the `Arc` it started with until it ends.

mod flows;
mod interceptors;
mod pace;
mod questions;
mod results;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::authorization::Authorization;
use crate::front::PublicUrl;
use crate::quarantine::rules::Rules;
use casemate_inspect::guard::Guards;
use casemate_inspect::{Inspection, Measure, Measures, Place, Policy};
use casemate_mcp::names::{ProfileName, ServerName, ToolName};
pub use casemate_upstream::entry::{
    Approval, Carrier, ClientSecret, CommandSource, Enclosure, Exposed, Grant, HttpSource, ImageSource,
    LoginNetwork, Missing, OAuth, OutputRate, Program, Resilience, Room, Secrets, ServerEntry, Sharing,
    SocketSource, Source, Timeouts, ToolEntry,
};

pub use flows::{Flows, Follow, ServerLabels, Verdict};
pub use interceptors::{
    Event, HttpJudge, Interceptor, InterceptorKind, Interceptors, JudgeNetwork, Matter, Mode, Phase, Sight,
    Unheard, Way,
};
pub use pace::{Allowance, ApprovalLimits, Exception, Pace, Rate};
pub use questions::QuestionLimits;
pub use results::{Oversized, ResultLimits};

/// Everything live that a call is judged by.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Grows with each swap; part of cache keys.
    pub version: u64,
    /// All servers of the configuration, disabled ones included.
    pub servers: BTreeMap<ServerName, Arc<ServerEntry>>,
    /// Further endpoints with a chosen set of servers and tools.
    pub profiles: BTreeMap<ProfileName, Arc<Profile>>,
    /// Who may do what; deny by default.
    pub policy: casemate_policy::Policy,
    /// Bounds on what one subject may ask of us.
    pub limits: Limits,
    /// Where clients reach us from outside, if that is somewhere.
    pub public_url: Option<PublicUrl>,
    /// Whose tokens are accepted, and what their scopes open.
    pub authorization: Arc<Authorization>,
    /// What is looked for in what passes through.
    pub inspecting: Inspecting,
    /// What puts something in quarantine without a person.
    pub quarantine: Rules,
    /// What may flow within a conversation.
    pub flows: Flows,
    /// Whether tools are listed, or found.
    pub discovery: Discovery,
    /// Who outside is asked about what passes through.
    pub interceptors: Interceptors,
}

/// What is looked for in what passes through.
#[derive(Debug, Clone, Default)]
pub struct Inspecting {
    /// Secrets and rules, compiled.
    pub inspection: Arc<Inspection>,
    /// What each server's settings ask for.
    pub policies: BTreeMap<ServerName, Policy>,
    /// What holds for a server that is not among them.
    pub otherwise: Policy,
    /// Where servers come from, for who says that they are another: `npm:NAME`, `host:NAME`.
    pub origins: BTreeMap<ServerName, Arc<str>>,
    /// What is demanded of the arguments of tools, beyond their schemas.
    pub guards: BTreeMap<ServerName, Guards>,
}

impl Inspecting {
    /// What is done about the finds in a server's messages.
    #[must_use]
    pub fn measures(&self, server: &ServerName, place: Place) -> Measures<'_> {
        self.policies.get(server).unwrap_or(&self.otherwise).at(place)
    }

    /// What is done about a server's names that stand for something else.
    #[must_use]
    pub fn names(&self, server: &ServerName) -> Measure {
        self.policies.get(server).unwrap_or(&self.otherwise).names
    }

    /// What is done about results of a server that are not what its tools declared.
    #[must_use]
    pub fn output(&self, server: &ServerName) -> Measure {
        self.policies.get(server).unwrap_or(&self.otherwise).output
    }
}

/// Bounds that protect the gateway itself. None is unlimited.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest request body or frame that a client may send, in bytes. Default 16 MiB.
    pub request_bytes_max: usize,
    /// Largest answer of a server that is passed on, in bytes. Default 64 MiB.
    pub result_bytes_max: usize,
    /// Calls that one subject may have in flight. Default 256.
    pub calls_in_flight_max: usize,
    /// How long a body may take to arrive. Default 30 s.
    pub body_time_max: Duration,
    /// How long a fan-out (a list over many servers) waits for each server. Default 10 s.
    pub list_time_max: Duration,
    /// Legacy sessions that one subject may hold. Default 1024.
    pub sessions_max: usize,
    /// A legacy session ends when it has not been used for so long. Default 1 h.
    pub session_idle_max: Duration,
    /// A legacy session ends after so long, however much it is used. Default 7 d.
    pub session_life_max: Duration,
    /// Messages of one subject that may wait for a place among its calls in flight. Default 64.
    pub queue_max: usize,
    /// How long such a message waits. Default 2 s.
    pub queue_time_max: Duration,
    /// How often, and how much a day.
    pub pace: Pace,
    /// How long questions to people wait.
    pub approvals: ApprovalLimits,
    /// What servers may ask in mid-call.
    pub questions: QuestionLimits,
    /// What is done with results that are too large to be shown at once.
    pub results: ResultLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_bytes_max: 16 << 20,
            result_bytes_max: 64 << 20,
            calls_in_flight_max: 256,
            body_time_max: Duration::from_secs(30),
            list_time_max: Duration::from_secs(10),
            sessions_max: 1024,
            session_idle_max: Duration::from_secs(3600),
            session_life_max: Duration::from_secs(7 * 86_400),
            queue_max: 64,
            queue_time_max: Duration::from_secs(2),
            pace: Pace::default(),
            approvals: ApprovalLimits::default(),
            questions: QuestionLimits::default(),
            results: ResultLimits::default(),
        }
    }
}

/// Whether tools are listed, or found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// All that a subject may see are listed.
    #[default]
    All,
    /// Three tools stand for all: `find_tools`, `describe_tool` and `call_tool`.
    Search,
    /// The three, for a subject whose list is longer.
    Auto {
        /// Tokens, approximately: a quarter of the list's bytes.
        tokens_max: usize,
    },
}

/// A further endpoint, `/profiles/NAME/mcp`.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// The servers it joins.
    pub servers: BTreeSet<ServerName>,
    /// When present, only these `server/tool` patterns are shown (`*` matches any run of characters).
    pub only: Option<Vec<String>>,
    /// `server/tool` patterns that are not shown, applied after `only`.
    pub hidden: Vec<String>,
    /// Tools that look different here, by server and the server's own tool name.
    pub tools: BTreeMap<(ServerName, ToolName), ProfileTool>,
}

/// How a tool looks in a profile.
#[derive(Debug, Clone, Default)]
pub struct ProfileTool {
    /// Shown under this name instead of `server__tool`.
    pub rename: Option<ToolName>,
    /// Shown with this description.
    pub description: Option<String>,
    /// Arguments that are filled in (compact JSON text by top-level argument name); they vanish from the
    /// shown schema and a client that sends one is refused.
    pub fixed: BTreeMap<String, String>,
}
