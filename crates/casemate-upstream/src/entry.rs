//! One server as the configuration describes it: plain structs, compiled by casemate-config.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use casemate_mcp::names::{ServerName, ToolName};
use casemate_net::{Plain, Policy};
use casemate_sandbox::{Kind, Limits};
use secrecy::SecretString;

use crate::Overrun;
pub use oauth::{ClientSecret, Grant, LoginNetwork, OAuth};
pub use secrets::{Exposed, Missing, Secrets};

mod oauth;
mod secrets;

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
    /// How much a process may say.
    pub output: OutputRate,
    /// Tools that differ from the server's defaults.
    pub tools: BTreeMap<ToolName, ToolEntry>,
    /// What it takes for its definitions to be used.
    pub approval: Approval,
    /// The secrets that it is given, and those that it names and that there are not.
    pub secrets: Secrets,
    /// A digest of everything above; an instance started from another digest is replaced.
    pub digest: [u8; 32],
}

impl ServerEntry {
    /// Whether several subjects may meet in one conversation with the server, so that it cannot tell them apart. A
    /// remote one sees one and the same credential, whatever sessions it has.
    #[must_use]
    pub fn mixes_subjects(&self) -> bool {
        self.sharing == Sharing::Shared || matches!(self.source, Source::Http(_) | Source::Socket(_))
    }
}

/// What it takes for a definition to be used that was never seen before. One that changed always takes a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Approval {
    /// What a server declares first is believed.
    #[default]
    FirstUse,
    /// A person has to look at it.
    Review,
    /// Nothing, ever: the server is a part of this program and changes with it.
    OwnPart,
}

/// Where a server comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A process of this host that speaks stdio.
    Command(CommandSource),
    /// A container that speaks stdio.
    Image(ImageSource),
    /// A remote endpoint that speaks Streamable HTTP, HTTP with SSE, or WebSocket.
    Http(HttpSource),
    /// A socket on which stdio framing is spoken.
    Socket(SocketSource),
}

impl Source {
    /// What has to be started for it, if anything has.
    #[must_use]
    pub fn program(&self) -> Option<Program> {
        match self {
            Source::Command(command) => Some(Program::Command(command.clone())),
            Source::Image(image) => Some(Program::Image(image.clone())),
            Source::Http(_) | Source::Socket(_) => None,
        }
    }
}

/// What is started: it speaks newline-delimited JSON-RPC on stdin and stdout.
#[derive(Debug, Clone)]
pub enum Program {
    /// A program of this host.
    Command(CommandSource),
    /// A container image.
    Image(ImageSource),
}

/// A program of this host, started as a process.
#[derive(Debug, Clone)]
pub struct CommandSource {
    /// The program, looked up in the cell's fixed PATH when it has no slash. Never a shell line.
    pub program: String,
    /// Its arguments, passed as they are.
    pub args: Vec<String>,
    /// The variables that the entry names, already resolved; nothing else of our environment is passed on.
    pub env: BTreeMap<String, SecretString>,
    /// Working directory, absolute; the cell's HOME when absent. What lies in it is readable, also without a grant.
    pub cwd: Option<PathBuf>,
    /// What stands between it and the host.
    pub enclosure: Enclosure,
    /// Whether a package may run its install scripts, offline and in a cell, while it is prepared.
    pub install_scripts: bool,
}

/// What stands between a program and the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enclosure {
    /// A cell.
    Cell(Room),
    /// Nothing: it may do what we may. A person has written that out.
    Unsandboxed,
}

/// A container image, started by a container engine.
#[derive(Debug, Clone)]
pub struct ImageSource {
    /// Its reference, `registry/name@sha256:…`. Only a digest says what is started.
    pub image: String,
    /// Arguments for its entry point; the image's own when there are none.
    pub args: Vec<String>,
    /// The variables that the entry names, already resolved.
    pub env: BTreeMap<String, SecretString>,
    /// What it may see and use. Its `kind` and `runtime` mean nothing here.
    pub room: Room,
}

/// What a server gets to see and may use. Paths are absolute; whether they exist is found out at each start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The least that is accepted; there is no way from full to light but to ask for it.
    pub kind: Kind,
    /// Files and folders of the host that it may read and execute.
    pub read: Vec<PathBuf>,
    /// Files and folders of the host that it may change.
    pub write: Vec<PathBuf>,
    /// Where further programs and libraries lie, besides what is found out about the program itself.
    pub runtime: Vec<PathBuf>,
    /// What it may reach over the network; nothing when empty. A light cell reaches nothing.
    pub network: Policy,
    /// How much it may use.
    pub limits: Limits,
    /// Whether it may see figures of the whole host: memory, processors, disks, network.
    pub host_stats: bool,
    /// The user and group id that it has when we are root; each server has one of its own.
    pub account: u32,
}

/// How much a process may write to its standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputRate {
    /// Bytes per second, in the long run. Default 64 MiB: what one busy client takes of us, several times over.
    pub bytes_per_second: u64,
}

impl OutputRate {
    /// How many seconds' worth may come at once. Answers come in bursts, and the largest must fit.
    pub const BURST_SECONDS: u64 = 16;
}

impl OutputRate {
    /// The limit as a fault names it.
    #[must_use]
    pub(crate) fn overrun(self) -> Overrun {
        const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let bytes = self.bytes_per_second;
        let fits = |(_, factor): &(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
        let (unit, factor) = UNITS.into_iter().find(fits).unwrap_or(("B", 1));
        Overrun { setting: "limits.output_rate", value: format!("{}{unit}", bytes / factor) }
    }
}

impl Default for OutputRate {
    fn default() -> OutputRate {
        OutputRate { bytes_per_second: 64 << 20 }
    }
}

/// A remote server.
#[derive(Debug, Clone)]
pub struct HttpSource {
    /// Its endpoint, `http` or `https`, also where a WebSocket is opened there: that is asked for with a request, and
    /// whatever is needed for the request is the same.
    pub url: http::Uri,
    /// What messages go over.
    pub carrier: Carrier,
    /// Static headers, already resolved. Their values are secrets.
    pub headers: BTreeMap<String, SecretString>,
    /// How a login is made where the server asks for one.
    pub oauth: OAuth,
}

impl HttpSource {
    /// The address as a person writes it.
    #[must_use]
    pub fn written(&self) -> String {
        let url = self.url.to_string();
        match self.carrier {
            Carrier::Http => url,
            // `http` becomes `ws`, and `https` becomes `wss`.
            Carrier::WebSocket => url.replacen("http", "ws", 1),
        }
    }
}

/// What messages to a remote server go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    /// Requests of HTTP: Streamable HTTP, or HTTP with SSE as the server has it.
    #[default]
    Http,
    /// A WebSocket, one message per text frame.
    WebSocket,
}

/// A socket on which stdio framing is spoken: one message per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketSource {
    /// A Unix socket, by its absolute path. Its listener has to be of our user, or root's.
    Unix(PathBuf),
    /// A host and port of TCP, on this machine or a private network.
    Tcp(Plain),
}

impl fmt::Display for SocketSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketSource::Unix(path) => write!(f, "unix:{}", path.display()),
            SocketSource::Tcp(place) => write!(f, "tcp://{place}"),
        }
    }
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
