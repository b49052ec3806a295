//! One server as the configuration describes it: plain structs, compiled by casemate-config.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use casemate_mcp::names::{ServerName, ToolName};
use secrecy::SecretString;

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

impl ServerEntry {
    /// Whether several subjects may meet in one conversation with the server, so that it cannot tell them apart. A
    /// remote one sees one and the same credential, whatever sessions it has.
    #[must_use]
    pub fn mixes_subjects(&self) -> bool {
        self.sharing == Sharing::Shared || matches!(self.source, Source::Http(_))
    }
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
    /// From spawning or dialing to the end of the handshake. Default 60 s: package runners download first.
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
            start: Duration::from_secs(60),
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
