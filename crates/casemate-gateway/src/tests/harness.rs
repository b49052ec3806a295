//! A gateway in this process with fixtures behind it.

mod keys;
mod links;
mod records;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_auth::seal::Seals;
use casemate_mcp::json::Raw;
use casemate_mcp::names::{RoleName, ServerName};
use casemate_policy::{Answerer, Policy, PolicyDef, PolicyFile, RoleDef, ServerDef};
use casemate_testkit::Fixture;
use casemate_testkit::client::McpHttp;
use casemate_testkit::fixture::Guard;
use casemate_transport::http::{Server as HttpServer, Shell};
use casemate_transport::listener::Listener;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::intercept::Bench;
use super::pins::Book;
use crate::edge::http::Http;
use crate::front::PublicUrl;
use crate::gate::{Gate, Parts};
use crate::ports::{Desk, Identities, Ledger, Pins, Recorder, Results, Wards};
use crate::quarantine::rules::Rules;
use crate::quarantine::{Entry, Ward};
use crate::snapshot::{
    Approval, Carrier, CommandSource, Enclosure, HttpSource, Inspecting, Limits, OutputRate, Resilience,
    ServerEntry, Sharing, Snapshot, SocketSource, Source, Timeouts,
};
use crate::upstream::{ALARMS_MAX, AnswerSize, Host, Launcher};
pub(super) use keys::Keys;
pub(super) use links::{HOSTILE, Links, TOKEN};
pub(crate) use records::Records;

/// A running gateway; it ends with this value.
pub(super) struct Harness {
    pub(super) gate: Arc<Gate>,
    pub(super) records: Arc<Records>,
    pub(super) keys: Arc<Keys>,
    pub(super) pins: Arc<Book>,
    /// Judges outside.
    pub(super) bench: Arc<Bench>,
    /// What was written to all servers behind pipes.
    pub(super) sent: Arc<Mutex<Vec<u8>>>,
    /// The servers behind pipes.
    pub(super) links: Arc<Links>,
    pub(super) address: std::net::SocketAddr,
    stop: CancellationToken,
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.stop.cancel();
        self.gate.host().stop.cancel();
    }
}

impl Harness {
    /// A gateway over these servers. The key `owner` may do everything, `reader` and `asker` only what their roles say.
    pub(super) async fn start(servers: Vec<ServerEntry>) -> Harness {
        Harness::with_limits(servers, Limits::default()).await
    }

    /// The same, with what an earlier one learned of definitions.
    pub(super) async fn with_pins(servers: Vec<ServerEntry>, pins: Arc<Book>) -> Harness {
        Harness::over((servers, pins, None), Limits::default(), Shell::default()).await
    }

    /// One of several that have their keys in common.
    pub(super) async fn replica(servers: Vec<ServerEntry>, seals: Seals) -> Harness {
        Harness::over((servers, Arc::default(), Some(seals)), Limits::default(), Shell::default()).await
    }

    pub(super) async fn with_limits(servers: Vec<ServerEntry>, limits: Limits) -> Harness {
        Harness::with(servers, limits, Shell::default()).await
    }

    pub(super) async fn with_shell(servers: Vec<ServerEntry>, shell: Shell) -> Harness {
        Harness::with(servers, Limits::default(), shell).await
    }

    pub(super) async fn with(servers: Vec<ServerEntry>, limits: Limits, shell: Shell) -> Harness {
        Harness::over((servers, Arc::default(), None), limits, shell).await
    }

    async fn over(
        (servers, pins, seals): (Vec<ServerEntry>, Arc<Book>, Option<Seals>),
        limits: Limits,
        shell: Shell,
    ) -> Harness {
        let records = Arc::new(Records::default());
        let keys = Arc::new(Keys::default());
        let links = Arc::new(Links::default());
        let mut parts = parts(snapshot(servers, limits), Arc::clone(&keys) as Arc<dyn Identities>, &records);
        parts.pins = Arc::clone(&pins) as Arc<dyn Pins>;
        let bench = Arc::new(Bench::default());
        parts.judges = Arc::clone(&bench) as _;
        parts.seals = seals.map_or(parts.seals, Arc::new);
        if let Some(host) = Arc::get_mut(&mut parts.host) {
            host.launcher = Arc::clone(&links) as Arc<dyn Launcher>;
        }
        let tracker = parts.host.tracker.clone();
        let gate = Gate::start(parts);
        let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let shell = Arc::new(ArcSwap::from_pointee(shell));
        let service = Arc::new(Http::new(Arc::clone(&gate)));
        tracker.spawn(HttpServer::new(shell, service, stop.clone(), tracker.clone()).run(listener));
        Harness { gate, records, keys, pins, bench, sent: Arc::clone(&links.sent), links, address, stop }
    }

    /// Puts these in quarantine, and lets all others out.
    pub(super) fn confine(&self, wards: &[&str]) {
        let entry = |ward: &&str| {
            let ward = Ward::parse(ward).unwrap();
            Entry { ward, reason: "the reason".into(), by: "local:0".into(), since: 1, until: None }
        };
        self.gate.quarantine().replace(wards.iter().map(entry).collect());
        self.gate.enforce();
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A client of a path that has a key and has said nothing yet.
    pub(super) fn client(&self, path: &str, key: &str) -> McpHttp {
        McpHttp::new(&self.url(path)).bearer(key)
    }

    pub(super) async fn legacy(&self, path: &str) -> McpHttp {
        let mut client = self.client(path, "owner");
        client
            .initialize("2025-11-25", json!({"elicitation": {}, "sampling": {}, "roots": {}}))
            .await
            .unwrap();
        client
    }

    pub(super) fn modern(&self, path: &str) -> McpHttp {
        self.client(path, "owner").modern(json!({}))
    }
}

/// A gateway's parts, with nothing real but what is given.
pub(crate) fn parts(snapshot: Snapshot, identities: Arc<dyn Identities>, records: &Arc<Records>) -> Parts {
    let (notices, inbox) = mpsc::channel(64);
    let (alarms, heard) = mpsc::channel(ALARMS_MAX);
    let host = Host {
        alarms,
        launcher: Arc::new(Links::default()),
        credentials: Arc::new(crate::upstream::NoCredentials),
        tracker: TaskTracker::new(),
        stop: CancellationToken::new(),
        notices,
        http: casemate_transport::http::Client::new(casemate_transport::http::ClientOptions::default()),
        client_info: Raw::of(&json!({"name": "casemate", "version": "0"})),
        masks: Arc::default(),
        answer_size: AnswerSize::new(snapshot.limits.result_bytes_max),
    };
    Parts {
        snapshot,
        own_url: PublicUrl::parse("http://127.0.0.1").ok(),
        identities,
        recorder: Arc::clone(records) as Arc<dyn Recorder>,
        ledger: (Arc::clone(records) as Arc<dyn Ledger>, Vec::new()),
        desk: (Arc::clone(records) as Arc<dyn Desk>, Vec::new()),
        seals: Arc::new(Seals::ephemeral(crate::clock::unix_now().as_secs()).unwrap()),
        pins: Arc::new(Book::default()),
        judges: Arc::new(Bench::default()),
        wards: (Arc::clone(records) as Arc<dyn Wards>, Vec::new()),
        results: Arc::clone(records) as Arc<dyn Results>,
        alarms: heard,
        host: Arc::new(host),
        notices: inbox,
    }
}

pub(crate) fn snapshot(servers: Vec<ServerEntry>, limits: Limits) -> Snapshot {
    let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let reader = RoleDef { allow: own(&["one/echo", "one/resource:*"]), ..RoleDef::default() };
    let asker = RoleDef { allow: own(&["one"]), ask: own(&["one/echo"]), ..RoleDef::default() };
    let own_asker = RoleDef { answerer: Answerer::Subject, ..asker.clone() };
    let role = |name| RoleName::parse(name).unwrap();
    let office =
        "forbid (principal in Role::\"office\", action == Action::\"call\", resource == Tool::\"one/echo\")
        when { context.arguments has message && context.arguments.message like \"*secret*\" };
        permit (principal in Role::\"office\", action, resource in Server::\"one\");";
    let names = servers.iter().map(|entry| entry.name.clone());
    let def = PolicyDef {
        roles: [
            (role("reader"), reader),
            (role("asker"), asker),
            (role("own-asker"), own_asker),
            (role("office"), RoleDef::default()),
        ]
        .into(),
        // A server that a test does not have is none that a rule has to find.
        servers: names
            .chain([ServerName::parse("one").unwrap()])
            .map(|name| (name, ServerDef::default()))
            .collect(),
        files: vec![PolicyFile { name: "policy/test.cedar".into(), text: office.into() }],
    };
    Snapshot {
        version: 1,
        servers: servers.into_iter().map(|entry| (entry.name.clone(), Arc::new(entry))).collect(),
        profiles: BTreeMap::new(),
        policy: Policy::compile(&def).unwrap(),
        limits,
        inspecting: Inspecting::default(),
        public_url: None,
        authorization: Arc::default(),
        quarantine: Rules::default(),
        flows: Default::default(),
        discovery: Default::default(),
        interceptors: Default::default(),
    }
}

/// A fixture over HTTP in this process, and the entry that leads to it.
pub(crate) async fn http_server(name: &str, fixture: Fixture) -> (ServerEntry, Guard) {
    let (address, guard) = fixture.listen("127.0.0.1:0").await.unwrap();
    (http_entry(name, &format!("http://{address}/mcp")), guard)
}

pub(super) fn http_entry(name: &str, url: &str) -> ServerEntry {
    let url = url.parse().unwrap();
    entry(
        name,
        Source::Http(HttpSource {
            url,
            carrier: Default::default(),
            headers: BTreeMap::new(),
            oauth: Default::default(),
        }),
    )
}

/// An entry that leads to a WebSocket, by the address of HTTP.
pub(super) fn websocket_entry(name: &str, url: &str) -> ServerEntry {
    let (url, carrier) = (url.parse().unwrap(), Carrier::WebSocket);
    entry(
        name,
        Source::Http(HttpSource { url, carrier, headers: BTreeMap::new(), oauth: Default::default() }),
    )
}

/// An entry that leads to a socket with stdio framing.
pub(super) fn socket_entry(name: &str, socket: SocketSource) -> ServerEntry {
    entry(name, Source::Socket(socket))
}

/// An entry whose "process" is a fixture of that era behind a pipe.
pub(super) fn stdio_entry(name: &str, era: &str) -> ServerEntry {
    entry(
        name,
        Source::Command(CommandSource {
            program: era.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            enclosure: Enclosure::Unsandboxed,
            install_scripts: false,
        }),
    )
}

fn entry(name: &str, source: Source) -> ServerEntry {
    let name = ServerName::parse(name).unwrap();
    let mut digest = [0; 32];
    digest.iter_mut().zip(name.as_str().bytes()).for_each(|(to, from)| *to = from);
    ServerEntry {
        name,
        source,
        enabled: true,
        sharing: Sharing::Subject,
        timeouts: Timeouts::default(),
        resilience: Resilience { backoff_min: Duration::from_millis(1), ..Resilience::default() },
        output: OutputRate::default(),
        tools: BTreeMap::new(),
        approval: Approval::FirstUse,
        secrets: Default::default(),
        digest,
    }
}

/// Runs something beside the test.
#[expect(clippy::disallowed_methods, reason = "a test aborts this task itself; nothing has to wait for it")]
pub(super) fn background<F>(task: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    tokio::spawn(task)
}
