//! From written values to the plain structs that the program runs on.
//!
//! What depends on two values is judged here: references between sections, settings that exclude each other,
//! limits that contradict each other. A value that the reader refused is silently replaced by its default, so
//! that one mistake is reported once.

mod digest;
mod flows;
mod front;
mod guards;
mod identity;
mod inspect;
mod interceptors;
mod origins;
mod pace;
pub(crate) mod policy;
mod profile;
mod quarantine;
mod room;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use casemate_gateway::front::{Network, PublicUrl, TlsFiles};
use casemate_gateway::snapshot::{Discovery, Inspecting, Limits, Snapshot};
use casemate_net::Destination;

pub use identity::Identity;

use crate::given::Source;
use crate::origin::Origin;
use crate::problem::{Fault, Problem};
use crate::reader::{Scope, Written};

/// What takes a restart to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The certificates and keys of HTTPS; without them it is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The most verbose level that is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub log: String,
    /// How long calls in flight may take to finish at shutdown.
    pub shutdown_grace: Duration,
    /// Where packages come from.
    pub packages: PackageSources,
}

/// Where packages come from, as far as the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageSources {
    /// The registry of npm.
    pub npm: Option<String>,
    /// The index of PyPI.
    pub pypi: Option<String>,
    /// What may be reached besides those.
    pub reach: Vec<Destination>,
}

impl Process {
    /// The keys that differ, to tell the person which changes wait for a restart.
    #[must_use]
    pub fn changes(&self, new: &Process) -> Vec<&'static str> {
        let differs = [
            ("gateway.listen", self.listen != new.listen),
            ("gateway.tls", self.tls != new.tls),
            ("gateway.log", self.log != new.log),
            ("gateway.shutdown_grace", self.shutdown_grace != new.shutdown_grace),
            ("packages", self.packages != new.packages),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// What the listener checks before a request is looked at; live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Further names the gateway is reached by, besides the local ones.
    pub hosts: Vec<String>,
    /// Further web pages that may call it, besides local ones.
    pub origins: Vec<String>,
    /// Where it is reached from outside.
    pub public_url: Option<PublicUrl>,
    /// Whose word about a request's origin is believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections at a time. Default 4096.
    pub connections_max: usize,
    /// Connections at a time from one address. Default 1024.
    pub connections_per_address_max: usize,
}

/// The servers that come with Casemate.
#[derive(Debug, Clone)]
pub struct Builtins {
    /// The absolute path of our own executable, which is started as `casemate toolkit NAME`.
    pub program: PathBuf,
}

/// The result, as far as it could be made, and what is wrong with it.
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    pub(crate) process: Process,
    pub(crate) front: Front,
    pub(crate) identity: Identity,
    pub(crate) problems: Vec<Problem>,
    /// What is no mistake and should be known all the same.
    pub(crate) remarks: Vec<String>,
}

pub(crate) fn compile(
    written: &Written,
    folder: &Path,
    source: &dyn Source,
    builtins: &Builtins,
) -> Compiled {
    let accounts = room::accounts(written.scope("servers").names());
    let mut compiler = Compiler {
        written,
        folder,
        source,
        builtins,
        accounts,
        problems: Vec::new(),
        secrets: Vec::new(),
        remarks: Vec::new(),
    };
    let servers = compiler.servers();
    let policy = compiler.policy();
    let identity = compiler.identity();
    let interceptors = compiler.interceptors(&servers);
    let inspecting = Inspecting { origins: origins::of(&servers), ..compiler.inspecting() };
    let profiles = compiler.profiles(&servers);
    compiler.judges_are_apart(&interceptors, &profiles);
    let snapshot = Snapshot {
        version: 0,
        inspecting,
        profiles,
        servers,
        policy,
        limits: compiler.limits(),
        public_url: compiler.public_url(),
        authorization: Arc::clone(&identity.authorization),
        quarantine: compiler.quarantine(),
        flows: compiler.flows(),
        discovery: compiler.discovery(),
        interceptors,
    };
    let process = compiler.process();
    let front = compiler.front();
    Compiled { snapshot, process, front, identity, problems: compiler.problems, remarks: compiler.remarks }
}

/// What is compiled, and the problems found so far.
struct Compiler<'a> {
    written: &'a Written,
    /// Where relative paths start.
    folder: &'a Path,
    source: &'a dyn Source,
    builtins: &'a Builtins,
    /// The user id of each server, for when we are root.
    accounts: BTreeMap<&'a str, u32>,
    problems: Vec<Problem>,
    /// The secrets that servers are given.
    secrets: Vec<casemate_inspect::Secret>,
    /// What is no mistake and should be known all the same.
    remarks: Vec<String>,
}

impl<'a> Compiler<'a> {
    fn discovery(&self) -> Discovery {
        let gateway = self.scope("gateway");
        match gateway.text("discovery") {
            Some("search") => Discovery::Search,
            Some("auto") => {
                Discovery::Auto { tokens_max: gateway.number("discovery_above").unwrap_or(10_000) }
            }
            _ => Discovery::All,
        }
    }

    fn limits(&self) -> Limits {
        let [at, paced] = ["gateway.limits", "limits"].map(|path| self.written.scope(path));
        let default = Limits::default();
        Limits {
            request_bytes_max: at.number("request_size").unwrap_or(default.request_bytes_max),
            result_bytes_max: at.number("result_size").unwrap_or(default.result_bytes_max),
            calls_in_flight_max: at.number("calls_in_flight").unwrap_or(default.calls_in_flight_max),
            body_time_max: at.time("body_time").unwrap_or(default.body_time_max),
            list_time_max: at.time("list_time").unwrap_or(default.list_time_max),
            sessions_max: at.number("sessions").unwrap_or(default.sessions_max),
            session_idle_max: at.time("session_idle").unwrap_or(default.session_idle_max),
            session_life_max: paced.time("session_life").unwrap_or(default.session_life_max),
            queue_max: paced.number("queue").unwrap_or(default.queue_max),
            queue_time_max: paced.time("queue_time").unwrap_or(default.queue_time_max),
            pace: self.pace(),
            approvals: self.approvals(),
            questions: self.questions(),
            results: self.results(),
        }
    }

    fn packages(&self) -> PackageSources {
        let at = self.written.scope("packages");
        let reach = at.texts("reach").unwrap_or_default();
        PackageSources {
            npm: at.text("npm").map(str::to_owned),
            pypi: at.text("pypi").map(str::to_owned),
            // What could not be read was reported where it stands.
            reach: reach.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }

    fn refuse(&mut self, origin: Origin, fault: Fault) {
        self.problems.push(fault.at(origin));
    }

    fn scope(&self, path: &str) -> Scope<'a> {
        self.written.scope(path)
    }
}
