//! A gateway in this process with fixtures behind it.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_auth::seal::Seals;
use casemate_mcp::json::Raw;
use casemate_mcp::names::{RoleName, ServerName};
use casemate_policy::{
    Answerer, Authentication, Policy, PolicyDef, PolicyFile, RoleDef, Scope, ServerDef, Subject, SubjectId,
};
use casemate_testkit::client::McpHttp;
use casemate_testkit::fixture::Guard;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use casemate_transport::http::{Server as HttpServer, Shell};
use casemate_transport::listener::Listener;
use serde_json::json;
use tokio::io::{AsyncWrite, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::intercept::Bench;
use super::pins::Book;
use crate::edge::http::Http;
use crate::front::PublicUrl;
use crate::gate::{Gate, Parts};
use crate::ports::{
    ApprovalEvent, Asked, Desk, Identities, Intent, Judgement, KeptResult, Ledger, Outcome, Pins, Recorder,
    Rejection, ResultId, Results, Settling, Spent, TurnedAway, Wards,
};
use crate::quarantine;
use crate::quarantine::rules::Rules;
use crate::snapshot::{
    Approval, Carrier, CommandSource, Enclosure, HttpSource, Inspecting, Limits, OutputRate, Program,
    Resilience, ServerEntry, Sharing, Snapshot, SocketSource, Source, Timeouts,
};
use crate::upstream::report::CellReport;
use crate::upstream::{
    ALARMS_MAX, Exit, Host, Input, Launch, Launcher, Overrun, Process, ProcessHandle, Soon,
};

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
        Harness::over((servers, pins), Limits::default(), Shell::default()).await
    }

    pub(super) async fn with_limits(servers: Vec<ServerEntry>, limits: Limits) -> Harness {
        Harness::with(servers, limits, Shell::default()).await
    }

    pub(super) async fn with_shell(servers: Vec<ServerEntry>, shell: Shell) -> Harness {
        Harness::with(servers, Limits::default(), shell).await
    }

    pub(super) async fn with(servers: Vec<ServerEntry>, limits: Limits, shell: Shell) -> Harness {
        Harness::over((servers, Arc::default()), limits, shell).await
    }

    async fn over((servers, pins): (Vec<ServerEntry>, Arc<Book>), limits: Limits, shell: Shell) -> Harness {
        let records = Arc::new(Records::default());
        let keys = Arc::new(Keys::default());
        let links = Arc::new(Links::default());
        let mut parts = parts(snapshot(servers, limits), Arc::clone(&keys) as Arc<dyn Identities>, &records);
        parts.pins = Arc::clone(&pins) as Arc<dyn Pins>;
        let bench = Arc::new(Bench::default());
        parts.judges = Arc::clone(&bench) as _;
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
        result_bytes_max: snapshot.limits.result_bytes_max,
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

/// The keys `owner`, `reader`, `asker`, `own-asker` and `office` have the role of their name; `other` is a second owner. Of
/// `asker` an operator is asked before `one/echo`, of `own-asker` the subject.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Those that were withdrawn.
    pub(super) gone: Mutex<Vec<String>>,
    /// How often somebody waited for a token to settle.
    pub(super) settled: Mutex<u32>,
}

impl Identities for Keys {
    fn bearer(&self, presented: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        if let Some(scopes) = presented.strip_prefix("token.") {
            return self.token(scopes, asked);
        }
        self.key(presented).map_err(Rejection::Refused)
    }

    fn settled<'a>(&'a self, _: &'a str) -> Settling<'a> {
        *self.settled.lock().unwrap() += 1;
        Box::pin(std::future::ready(()))
    }

    fn current(&self, id: &SubjectId, _: u64) -> Option<Arc<Subject>> {
        let is_of = |key: &&str| SubjectId::key(key) == *id;
        ["owner", "other", "reader", "asker", "own-asker", "own-asker-2", "office"]
            .into_iter()
            .find(is_of)
            .and_then(|key| self.key(key).ok())
    }

    fn local(&self, _: u32) -> Option<Arc<Subject>> {
        let owner = self.key("owner").ok()?;
        Some(Arc::new(Subject { authentication: Authentication::Local, ..Subject::clone(&owner) }))
    }
}

impl Keys {
    fn key(&self, presented: &str) -> Result<Arc<Subject>, String> {
        let role = match presented {
            "owner" | "other" => "owner",
            "reader" => "reader",
            "asker" => "asker",
            "office" => "office",
            "own-asker" | "own-asker-2" => "own-asker",
            _ => return Err("unknown".into()),
        };
        if self.gone.lock().unwrap().iter().any(|gone| gone == presented) {
            return Err("revoked".into());
        }
        let roles = vec![RoleName::parse(role).unwrap()];
        Ok(Arc::new(Subject::new(SubjectId::key(presented), roles, Authentication::Key)))
    }

    /// A token of an owner that may be used for those patterns, split by commas. `token.wait` is good once it settled.
    fn token(&self, scope: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        assert!(asked.base.is_some() && asked.now_unix_s > 0);
        match scope {
            "wait" if *self.settled.lock().unwrap() == 0 => {
                return Err(Rejection::Unsettled("its key".into()));
            }
            "never" => return Err(Rejection::Unsettled("its key".into())),
            "poor" => return Err(Rejection::Scopes(vec!["all:need".into()])),
            _ => {}
        }
        let roles = vec![RoleName::parse("owner").unwrap()];
        let subject = Subject::new(SubjectId::token("corp", "alice"), roles, Authentication::Token);
        let patterns = scope.split(',').filter(|pattern| *pattern != "wait" && !pattern.is_empty());
        Ok(Arc::new(subject.within(Scope::parse(patterns).unwrap())))
    }
}

/// Keeps records as lines, and can be waited on.
#[derive(Debug)]
pub(crate) struct Records {
    pub(super) lines: watch::Sender<Vec<String>>,
    pub(super) full: Mutex<bool>,
    /// What was written down of budgets.
    pub(super) spent: Mutex<Vec<Spent>>,
    /// Questions and approvals.
    pub(super) kept: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Results that were too large.
    pub(super) results: Mutex<BTreeMap<ResultId, KeptResult>>,
}

impl Desk for Records {
    fn put<'a>(&'a self, id: &'a str, text: Vec<u8>) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            if *self.full.lock().unwrap() {
                return Err("no space left".into());
            }
            self.kept.lock().unwrap().insert(id.to_owned(), text);
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            if *self.full.lock().unwrap() {
                return Err("no space left".into());
            }
            self.kept.lock().unwrap().remove(id);
            Ok(())
        })
    }
}

impl Wards for Records {
    fn alarm(&self, object: &str, what: &str) {
        self.lines.send_modify(|lines| lines.push(format!("alarm {object}: {what}")));
    }

    fn keep(&self, entry: &quarantine::Entry) {
        let line = format!("quarantine {} by {}: {}", entry.ward, entry.by, entry.reason);
        self.lines.send_modify(|lines| lines.push(line));
    }
}

impl Ledger for Records {
    fn write(&self, spent: Spent) {
        self.spent.lock().unwrap().push(spent);
    }
}

impl Default for Records {
    fn default() -> Self {
        Records {
            lines: watch::channel(Vec::new()).0,
            full: Mutex::new(false),
            spent: Mutex::default(),
            kept: Mutex::default(),
            results: Mutex::default(),
        }
    }
}

impl Recorder for Records {
    fn intent(&self, intent: &Intent<'_>) -> Result<(), String> {
        if *self.full.lock().unwrap() {
            return Err("no space left".into());
        }
        let Intent { subject, server, method, name, effect, .. } = intent;
        self.lines.send_modify(|lines| lines.push(format!("{effect} {subject} {method} {server}/{name}")));
        Ok(())
    }

    fn approval(&self, event: &ApprovalEvent<'_>) -> Result<(), String> {
        let line = format!("{} {} by {}", event.answer, event.approval.name, event.by);
        self.lines.send_modify(|lines| lines.push(line));
        Ok(())
    }

    fn outcome(&self, outcome: &Outcome<'_>) {
        let remark = if outcome.code.is_empty() { outcome.detail } else { outcome.code };
        let line = format!("{} {remark}", outcome.ending.as_str());
        self.lines.send_modify(|lines| lines.push(line.trim().to_owned()));
    }

    fn judged(&self, judgement: &Judgement<'_>) {
        let Judgement { interceptor, event, phase, mode, verdict, severity, detail, .. } = judgement;
        let line = format!("{interceptor} {mode} {event} {phase} {verdict} {severity}");
        self.lines
            .send_modify(|lines| lines.push(format!("{} {detail}", line.trim_end()).trim_end().to_owned()));
    }

    fn turned_away(&self, away: &TurnedAway<'_>) {
        let line = format!("turned away {} {} {}", away.from, away.count, away.reasons.join(", "));
        self.lines.send_modify(|lines| lines.push(line));
    }
}

impl Records {
    /// Waits until a line was written.
    pub(super) async fn wait_for(&self, line: &str) {
        self.lines.subscribe().wait_for(|lines| lines.iter().any(|other| other == line)).await.unwrap();
    }
}

/// Starts fixtures behind pipes instead of processes; the program's name is the era.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) guards: Mutex<Vec<Arc<Guard>>>,
    /// What was written to all of them.
    sent: Arc<Mutex<Vec<u8>>>,
}

struct Link(Arc<Guard>);

/// A hostile server behind a pipe; it ends with its input.
struct Villain(CancellationToken);

/// What the program `says-token` says; nobody's token.
pub(super) const TOKEN: &str = "tok-7f3a9c5e1b2d";

/// The programs that are hostile servers, by name.
pub(super) const HOSTILE: [(&str, Kind); 18] = [
    ("garbage", Kind::Garbage),
    ("exits", Kind::Exits),
    ("hangs-on-call", Kind::HangsOnCall),
    ("floods", Kind::Floods),
    ("wrong-id", Kind::WrongId),
    ("answers-twice", Kind::AnswersTwice),
    ("duplicate-members", Kind::DuplicateMembers),
    ("lone-surrogate", Kind::LoneSurrogate),
    ("deep", Kind::Deep),
    ("huge", Kind::Huge),
    ("bad-utf8", Kind::BadUtf8),
    ("slow", Kind::Slow),
    ("claims-uri", Kind::ClaimsUri),
    ("duplicate-tools", Kind::DuplicateTools),
    ("bad-schema", Kind::BadSchema),
    ("endless-pages", Kind::EndlessPages),
    ("server-asks", Kind::ServerAsks),
    ("hangs", Kind::Hangs),
];

fn hostile_process(hostile: Hostile) -> Process {
    beside(move |reader, writer| hostile.serve_stdio(reader, writer))
}

/// A server behind a pipe that ends when it returns.
fn beside<F, S>(serve: S) -> Process
where
    S: FnOnce(ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) -> F,
    F: Future<Output: Send> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(theirs);
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let served = serve(reader, writer);
    background(async move {
        let _guard = guard;
        served.await
    });
    let (stdout, stdin) = tokio::io::split(ours);
    Process {
        stdin: Box::new(Pipe(stdin, Arc::default())),
        stdout: Box::new(stdout),
        stderr: Box::new(tokio::io::empty()),
        remarks: None,
        handle: Box::new(Villain(ended)),
    }
}

impl ProcessHandle for Villain {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn report(&self) -> CellReport {
        CellReport::default()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async {
            self.0.cancelled().await;
            Exit { how: "ended".to_owned(), overrun: None }
        })
    }

    fn blame(&self, _overrun: &Overrun) {}

    fn terminate(&self, _: Duration) -> Soon<'_, ()> {
        Box::pin(async {})
    }
}

impl Launcher for Links {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move {
            let Program::Command(command) = &launch.program else { return Err("no command".to_owned()) };
            let program = command.program.as_str();
            if program == "script" {
                return Ok(beside(super::bridge::script::serve));
            }
            if program == "says-token" {
                return Ok(hostile_process(Hostile::new(Kind::Says, Era::Dual).say(TOKEN)));
            }
            if let Some((_, kind)) = HOSTILE.iter().find(|(name, _)| *name == program) {
                return Ok(hostile_process(Hostile::new(*kind, Era::Dual)));
            }
            let era = match Some(program) {
                Some("modern") => Era::Modern,
                Some("dual") => Era::Dual,
                Some("legacy") => Era::Legacy,
                _ => return Err("no such program".to_owned()),
            };
            let (link, guard) = Fixture::new(era).spawn_link().map_err(|fault| fault.to_string())?;
            let (stdout, stdin) = tokio::io::split(link);
            let guard = Arc::new(guard);
            self.guards.lock().unwrap().push(Arc::clone(&guard));
            Ok(Process {
                stdin: Box::new(Pipe(stdin, Arc::clone(&self.sent))),
                stdout: Box::new(stdout),
                stderr: Box::new(tokio::io::empty()),
                remarks: None,
                handle: Box::new(Link(guard)),
            })
        })
    }
}

impl ProcessHandle for Link {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn report(&self) -> CellReport {
        CellReport::default()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async {
            self.0.stopped().await;
            Exit { how: "ended".to_owned(), overrun: None }
        })
    }

    fn blame(&self, _overrun: &Overrun) {}

    fn terminate(&self, _: Duration) -> Soon<'_, ()> {
        Box::pin(async { self.0.token().cancel() })
    }
}

/// A pipe of which nobody knows how much was read.
struct Pipe(WriteHalf<DuplexStream>, Arc<Mutex<Vec<u8>>>);

impl Input for Pipe {
    fn unread(&self) -> Option<u64> {
        None
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.1.lock().unwrap().extend_from_slice(&bytes[..length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
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
