//! Processes that are tasks on pipes.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::call::{Answer, Call, Meta};
use casemate_mcp::json::{Limits, Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_mcp::revision::Revision;
use casemate_policy::SubjectId;
use casemate_transport::http::{Client, ClientOptions};
use casemate_transport::lines::{Line, LineReader};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::entry::{
    CommandSource, Enclosure, OutputRate, Program, Resilience, ServerEntry, Sharing, Source, Timeouts,
};
use crate::report::CellReport;
use crate::{
    Caller, Event, Exit, Fault, Host, Input, Launch, Launcher, Overrun, Process, ProcessHandle, Server,
    ServerNotice, Soon,
};

/// What a fake process does, given how many were started before it.
type Script = Arc<dyn Fn(usize, Peer) -> Soon<'static, ()> + Send + Sync>;

/// The process's side of its pipes.
pub(super) struct Peer {
    lines: LineReader<Metered<DuplexStream>>,
    out: DuplexStream,
    err: DuplexStream,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Peer {
    /// The next message, which is also noted in [`Rig::heard`].
    pub(super) async fn next(&mut self) -> Option<Value> {
        match self.lines.next().await {
            Ok(Some(Line::Frame(text))) => {
                let value: Value = serde_json::from_slice(&text).unwrap();
                self.heard.lock().unwrap().push(value.clone());
                Some(value)
            }
            _ => None,
        }
    }

    /// The next request with this method; everything before it is passed over.
    pub(super) async fn until(&mut self, method: &str) -> Option<Value> {
        loop {
            let message = self.next().await?;
            if message["method"] == method {
                return Some(message);
            }
        }
    }

    pub(super) async fn say(&mut self, text: impl AsRef<str>) {
        // A gateway that has hung up is no fault of the fake's.
        _ = self.out.write_all(format!("{}\n", text.as_ref()).as_bytes()).await;
    }

    pub(super) async fn say_without_end(&mut self, text: &str) {
        if self.out.write_all(text.as_bytes()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.say(message.to_string()).await;
    }

    pub(super) async fn complain(&mut self, text: &str) {
        self.err.write_all(format!("{text}\n").as_bytes()).await.unwrap();
    }

    pub(super) async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
    }

    pub(super) async fn refuse(&mut self, request: &Value, code: i64) {
        let error = json!({"code": code, "message": "no"});
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).await;
    }

    /// A legacy handshake that does not know `server/discover`.
    pub(super) async fn greet_legacy(&mut self) -> bool {
        self.greet_with("2025-11-25").await
    }

    pub(super) async fn greet_with(&mut self, revision: &str) -> bool {
        while let Some(message) = self.next().await {
            match message["method"].as_str() {
                Some("server/discover") => self.refuse(&message, -32601).await,
                Some("initialize") => {
                    let capabilities = json!({
                        "tools": {"listChanged": true}, "resources": {"subscribe": true}, "logging": {}
                    });
                    let result =
                        json!({"protocolVersion": revision, "capabilities": capabilities, "serverInfo": {}});
                    self.answer(&message, result).await;
                }
                Some("notifications/initialized") => return true,
                _ => {}
            }
        }
        false
    }

    pub(super) async fn greet_modern(&mut self) -> bool {
        let Some(message) = self.until("server/discover").await else { return false };
        let capabilities = json!({"tools": {"listChanged": true}, "resources": {}});
        self.answer(&message, json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities}))
            .await;
        true
    }

    /// Answers every request with its params.
    pub(super) async fn echo(&mut self) {
        while let Some(message) = self.next().await {
            if message.get("id").is_some() && message["method"] != "subscriptions/listen" {
                self.answer(&message, json!({"echo": message["params"]})).await;
            }
        }
    }
}

/// One end of a pipe that knows what is in it.
struct Metered<T> {
    end: T,
    unread: Arc<AtomicU64>,
}

impl Input for Metered<DuplexStream> {
    fn unread(&self) -> Option<u64> {
        Some(self.unread.load(Ordering::SeqCst))
    }
}

impl AsyncWrite for Metered<DuplexStream> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.end).poll_write(cx, buf))?;
        self.unread.fetch_add(count as u64, Ordering::SeqCst);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_shutdown(cx)
    }
}

impl AsyncRead for Metered<DuplexStream> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.end).poll_read(cx, buf))?;
        self.unread.fetch_sub((buf.filled().len() - before) as u64, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

/// Starts fake processes.
struct Fakes {
    script: Script,
    launched: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Value>>>,
    tracker: TaskTracker,
    kill: Arc<Mutex<CancellationToken>>,
    overrun: Arc<Mutex<Option<Overrun>>>,
}

impl std::fmt::Debug for Fakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fakes")
    }
}

impl Launcher for Fakes {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move {
            if matches!(&launch.program, Program::Command(command) if command.program == "missing") {
                return Err("no program named \"missing\"".to_owned());
            }
            let nth = self.launched.fetch_add(1, Ordering::SeqCst);
            let (stdin, input) = duplex(1 << 20);
            let unread = Arc::new(AtomicU64::new(0));
            let stdin = Metered { end: stdin, unread: Arc::clone(&unread) };
            let input = Metered { end: input, unread };
            let (stdout, out) = duplex(1 << 20);
            let (stderr, err) = duplex(1 << 16);
            let lines = LineReader::new(input, 1 << 26);
            let peer = Peer { lines, out, err, heard: Arc::clone(&self.heard) };
            let killed = CancellationToken::new();
            *self.kill.lock().unwrap() = killed.clone();
            let ended = CancellationToken::new();
            let (work, running) = ((self.script)(nth, peer), Arc::clone(&self.running));
            running.fetch_add(1, Ordering::SeqCst);
            let overrun = Arc::clone(&self.overrun);
            let handle = FakeHandle { killed: killed.clone(), ended: ended.clone(), overrun };
            self.tracker.spawn(async move {
                tokio::select! { () = work => {}, () = killed.cancelled() => {} }
                running.fetch_sub(1, Ordering::SeqCst);
                ended.cancel();
            });
            Ok(Process {
                stdin: Box::new(stdin),
                stdout: Box::new(stdout),
                stderr: Box::new(stderr),
                remarks: None,
                handle: Box::new(handle),
            })
        })
    }
}

struct FakeHandle {
    killed: CancellationToken,
    ended: CancellationToken,
    overrun: Arc<Mutex<Option<Overrun>>>,
}

impl ProcessHandle for FakeHandle {
    fn pid(&self) -> Option<u32> {
        Some(7)
    }

    fn report(&self) -> CellReport {
        CellReport::default()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async move {
            self.ended.cancelled().await;
            Exit { how: "exit code 3".to_owned(), overrun: self.overrun.lock().unwrap().clone() }
        })
    }

    fn blame(&self, overrun: &Overrun) {
        *self.overrun.lock().unwrap() = Some(overrun.clone());
    }

    fn terminate(&self, _grace: Duration) -> Soon<'_, ()> {
        self.killed.cancel();
        Box::pin(async move { self.ended.cancelled().await })
    }
}

impl Drop for FakeHandle {
    fn drop(&mut self) {
        self.killed.cancel();
    }
}

/// One server and everything around it.
pub(super) struct Rig {
    pub(super) server: Arc<Server>,
    pub(super) host: Arc<Host>,
    pub(super) notices: mpsc::Receiver<ServerNotice>,
    launched: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<Value>>>,
    kill: Arc<Mutex<CancellationToken>>,
    /// The limit that processes end by.
    pub(super) overrun: Arc<Mutex<Option<Overrun>>>,
}

impl Rig {
    /// A server that runs a script.
    pub(super) fn new<F, W>(script: F) -> Rig
    where
        F: Fn(usize, Peer) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Rig::with(|_| {}, script)
    }

    /// The same with a changed entry.
    pub(super) fn with<F, W>(change: impl FnOnce(&mut ServerEntry), script: F) -> Rig
    where
        F: Fn(usize, Peer) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let tracker = TaskTracker::new();
        let fakes = Fakes {
            script: Arc::new(move |nth, peer| Box::pin(script(nth, peer))),
            launched: Arc::default(),
            running: Arc::default(),
            heard: Arc::default(),
            tracker: tracker.clone(),
            kill: Arc::default(),
            overrun: Arc::default(),
        };
        let overrun = Arc::clone(&fakes.overrun);
        let (launched, running) = (Arc::clone(&fakes.launched), Arc::clone(&fakes.running));
        let (heard, kill) = (Arc::clone(&fakes.heard), Arc::clone(&fakes.kill));
        let (sink, notices) = mpsc::channel(16);
        let host = host(Arc::new(fakes), tracker, sink);
        let mut entry = entry();
        change(&mut entry);
        let server = Server::new(Arc::new(entry), Arc::clone(&host));
        Rig { server, host, notices, launched, running, heard, kill, overrun }
    }

    pub(super) async fn call(&self, caller: &Caller) -> Result<Value, Fault> {
        self.call_with(caller, &tool("{}")).await
    }

    pub(super) async fn call_with(&self, caller: &Caller, call: &Call) -> Result<Value, Fault> {
        let (events, _kept) = mpsc::channel(16);
        value(self.server.call(caller, call, events).await)
    }

    pub(super) fn launched(&self) -> usize {
        self.launched.load(Ordering::SeqCst)
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// Kills the process that was started last.
    pub(super) fn kill(&self) {
        self.kill.lock().unwrap().cancel();
    }

    /// What all processes heard so far, in the order in which they took it.
    pub(super) fn heard(&self, method: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|message| message["method"] == method).cloned().collect()
    }
}

pub(super) fn host(
    launcher: Arc<dyn Launcher>,
    tracker: TaskTracker,
    notices: mpsc::Sender<ServerNotice>,
) -> Arc<Host> {
    Arc::new(Host {
        launcher,
        http: Client::new(ClientOptions::default()),
        credentials: Arc::new(crate::NoCredentials),
        tracker,
        stop: CancellationToken::new(),
        notices,
        client_info: raw(r#"{"name":"casemate","version":"0"}"#),
        alarms: mpsc::channel(8).0,
        masks: Arc::default(),
        answer_size: crate::AnswerSize::new(1 << 16),
    })
}

pub(super) fn entry() -> ServerEntry {
    let source = CommandSource {
        program: "fake".into(),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        enclosure: Enclosure::Unsandboxed,
        install_scripts: false,
    };
    ServerEntry {
        name: ServerName::parse("fake").unwrap(),
        source: Source::Command(source),
        enabled: true,
        sharing: Sharing::Subject,
        timeouts: Timeouts::default(),
        resilience: Resilience::default(),
        output: OutputRate::default(),
        tools: BTreeMap::new(),
        approval: crate::entry::Approval::FirstUse,
        secrets: Default::default(),
        digest: [0; 32],
    }
}

pub(super) fn caller(uid: u32) -> Caller {
    Caller {
        subject: SubjectId::local(uid),
        capabilities: members(r#"{"elicitation":{}}"#),
        timeout: None,
        replay_safe: false,
        param_headers: Vec::new(),
    }
}

/// A `tools/call` with these params.
pub(super) fn tool(params: &str) -> Call {
    call(Method::ToolsCall, params)
}

pub(super) fn call(method: Method, params: &str) -> Call {
    let meta = Meta {
        revision: Revision::LATEST,
        progress: None,
        capabilities: Members::empty(),
        client_info: None,
        log_level: None,
    };
    Call { method, params: members(params), meta }
}

pub(super) fn raw(text: &str) -> Raw {
    Raw::check(Bytes::copy_from_slice(text.as_bytes()), &Limits::default()).unwrap()
}

pub(super) fn members(text: &str) -> Members {
    raw(text).members().unwrap()
}

/// The result as a value; an error becomes `{"code": …}`.
pub(super) fn value(outcome: Result<Answer, Fault>) -> Result<Value, Fault> {
    outcome.map(|answer| match answer {
        Answer::Result(raw) => serde_json::from_str(raw.as_str()).unwrap(),
        Answer::Error(error) => json!({"code": error.code}),
    })
}

/// Waits until something holds; the tests' clock is paused, so this costs no time.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

/// The next question of a call.
pub(super) async fn question(
    events: &mut mpsc::Receiver<Event>,
) -> tokio::sync::oneshot::Sender<Result<Raw, casemate_mcp::frame::ErrorObject>> {
    loop {
        if let Event::Question { answer, .. } = events.recv().await.unwrap() {
            return answer;
        }
    }
}
