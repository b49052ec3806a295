//! The immutable, compiled live configuration that every call is judged by.
//!
//! Plain structs, no serde: casemate-config parses what a person wrote and compiles it to this; the gateway
//! swaps whole snapshots and never edits one. A call holds the `Arc` it started with until it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::names::{ProfileName, ServerName, ToolName};
use casemate_policy::Roles;
use secrecy::SecretString;

/// Everything live that a call is judged by.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Grows with each swap; part of cache keys.
    pub version: u64,
    /// All servers of the configuration, disabled ones included.
    pub servers: BTreeMap<ServerName, Arc<ServerEntry>>,
    /// Further endpoints with a chosen set of servers and tools.
    pub profiles: BTreeMap<ProfileName, Arc<Profile>>,
    /// What each role may do; deny by default.
    pub roles: Roles,
    /// Bounds on what one subject may ask of us.
    pub limits: Limits,
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
        }
    }
}

/// One upstream server as the configuration describes it.
#[derive(Debug, Clone)]
pub struct ServerEntry {
    /// Its name, unique in the installation.
    pub name: ServerName,
    /// Where it comes from.
    pub source: Source,
    /// A disabled server is in the configuration but serves nobody.
    pub enabled: bool,
    /// Who shares one running instance.
    pub sharing: Sharing,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Circuit breaker and restart settings.
    pub resilience: Resilience,
    /// Tools that differ from the server's defaults.
    pub tools: BTreeMap<ToolName, ToolEntry>,
    /// A digest of everything above; an instance started from another digest is replaced.
    pub digest: [u8; 32],
}

/// Where a server comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A process that speaks stdio.
    Command(CommandSource),
    /// A remote endpoint that speaks Streamable HTTP.
    Http(HttpSource),
}

/// A process that speaks newline-delimited JSON-RPC on stdin and stdout.
#[derive(Debug, Clone)]
pub struct CommandSource {
    /// The program, looked up in the cell's fixed PATH when it has no slash. Never a shell line.
    pub program: String,
    /// Its arguments, passed as they are.
    pub args: Vec<String>,
    /// The variables that the entry names, already resolved; nothing else of our environment is passed on.
    pub env: BTreeMap<String, SecretString>,
    /// Working directory; the cell's HOME when absent.
    pub cwd: Option<PathBuf>,
}

/// A remote server.
#[derive(Debug, Clone)]
pub struct HttpSource {
    /// Its endpoint, `http` or `https`.
    pub url: http::Uri,
    /// Static headers, already resolved. Their values are secrets.
    pub headers: BTreeMap<String, SecretString>,
}

/// Who shares one running instance of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Everyone: one instance. Such an instance is offered no client capabilities.
    Shared,
    /// One instance per subject and offered capabilities; the default, since legacy servers hold state.
    #[default]
    Subject,
    /// A new instance for every call.
    Call,
}

/// How long things may take. `hard` is never extended.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From spawning or dialing to the end of the handshake. Default 30 s.
    pub start: Duration,
    /// From sending a call to its answer; each progress notification starts it anew. Default 60 s.
    pub call: Duration,
    /// From sending a call to its answer, whatever progress is reported. Default 10 min.
    pub hard: Duration,
    /// An instance without calls for so long is stopped. Default 5 min.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            start: Duration::from_secs(30),
            call: Duration::from_secs(60),
            hard: Duration::from_secs(600),
            idle: Duration::from_secs(300),
        }
    }
}

/// When a server that fails is left alone, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Resilience {
    /// Consecutive failures (to start, to answer in time, to stay alive) that open the circuit. Default 5.
    pub failures_max: u32,
    /// How long an open circuit refuses before it lets one call probe. Default 10 s.
    pub open_for: Duration,
    /// First pause before a restart; doubles with each failure. Default 250 ms.
    pub backoff_min: Duration,
    /// Longest pause before a restart. Default 30 s.
    pub backoff_max: Duration,
    /// Instances that one server may have at once, over all subjects. Default 32.
    pub instances_max: usize,
}

impl Default for Resilience {
    fn default() -> Self {
        Resilience {
            failures_max: 5,
            open_for: Duration::from_secs(10),
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            instances_max: 32,
        }
    }
}

/// What the configuration says about one tool of a server.
#[derive(Debug, Clone, Default)]
pub struct ToolEntry {
    /// Replaces the server's `timeouts.call`.
    pub timeout: Option<Duration>,
    /// A person confirms that the tool reads only; a server's own annotation is not believed.
    pub read_only: bool,
    /// A person confirms that calling it twice does no more than calling it once.
    pub idempotent: bool,
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
