//! The good server of the testkit, in every dialect over every carrier.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use casemate_testkit::fixture::Guard;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fakes::{call, caller, entry as plain_entry, eventually, host, question, raw, tool, value};
use crate::entry::{self, HttpSource, SocketSource, Source};
use crate::report::CellReport;
use crate::{
    Caller, Event, Exit, Fault, Host, Launch, Launcher, Overrun, Process, ProcessHandle, Server,
    ServerNotice, Soon,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Stdio,
    Http,
    WebSocket,
    Events,
    Unix,
    Tcp,
}

const ALL: [(Era, Carrier); 13] = [
    (Era::Legacy, Carrier::Stdio),
    (Era::Modern, Carrier::Stdio),
    (Era::Dual, Carrier::Stdio),
    (Era::Legacy, Carrier::Http),
    (Era::Modern, Carrier::Http),
    (Era::Dual, Carrier::Http),
    (Era::Legacy, Carrier::WebSocket),
    (Era::Modern, Carrier::WebSocket),
    (Era::Legacy, Carrier::Events),
    (Era::Legacy, Carrier::Unix),
    (Era::Modern, Carrier::Unix),
    (Era::Legacy, Carrier::Tcp),
    (Era::Modern, Carrier::Tcp),
];

/// Starts good servers on in-memory links.
#[derive(Debug)]
struct Links {
    era: Era,
    guards: Arc<Mutex<Vec<Guard>>>,
}

#[derive(Debug)]
struct Linked {
    token: CancellationToken,
}

impl Launcher for Links {
    fn launch(&self, _launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async {
            let (link, guard) = Fixture::new(self.era).spawn_link().map_err(|error| error.to_string())?;
            let token = guard.token();
            self.guards.lock().unwrap().push(guard);
            let (stdout, stdin) = tokio::io::split(link);
            Ok(Process {
                stdin: Box::new(stdin),
                stdout: Box::new(stdout),
                stderr: Box::new(tokio::io::empty()),
                remarks: None,
                handle: Box::new(Linked { token }),
            })
        })
    }
}

impl ProcessHandle for Linked {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn report(&self) -> CellReport {
        CellReport::default()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async {
            self.token.cancelled().await;
            Exit { how: "exit code 0".to_owned(), overrun: None }
        })
    }

    fn blame(&self, _overrun: &Overrun) {}

    fn terminate(&self, _grace: Duration) -> Soon<'_, ()> {
        self.token.cancel();
        Box::pin(async {})
    }
}

struct Good {
    server: Arc<Server>,
    host: Arc<Host>,
    notices: mpsc::Receiver<ServerNotice>,
    guards: Arc<Mutex<Vec<Guard>>>,
    caller: Caller,
    /// Where its Unix socket lies.
    _folder: Option<tempfile::TempDir>,
}

async fn good(era: Era, carrier: Carrier) -> Good {
    let guards = Arc::new(Mutex::new(Vec::new()));
    let (sink, notices) = mpsc::channel(16);
    let links = Arc::new(Links { era, guards: Arc::clone(&guards) });
    let host = host(links, TaskTracker::new(), sink);
    let mut entry = plain_entry();
    let mut folder = None;
    match carrier {
        Carrier::Stdio => {}
        Carrier::Http => {
            let (address, guard) = Fixture::spawn_http(era).await.unwrap();
            guards.lock().unwrap().push(guard);
            entry.source = remote(&format!("http://{address}/mcp"), entry::Carrier::Http);
        }
        Carrier::WebSocket => {
            let (address, guard) = Fixture::new(era).listen_sockets(None).await.unwrap();
            guards.lock().unwrap().push(guard);
            entry.source = remote(&format!("http://{address}/ws"), entry::Carrier::WebSocket);
        }
        Carrier::Events => {
            let (address, guard) = Fixture::new(era).listen_events().await.unwrap();
            guards.lock().unwrap().push(guard);
            entry.source = remote(&format!("http://{address}/sse"), entry::Carrier::Http);
        }
        Carrier::Unix => {
            let path = folder.insert(tempfile::tempdir().unwrap()).path().join("server.sock");
            let guard = Fixture::new(era).listen_unix(&path).await.unwrap();
            guards.lock().unwrap().push(guard);
            entry.source = Source::Socket(SocketSource::Unix(path));
        }
        Carrier::Tcp => {
            let (address, guard) = Fixture::new(era).listen_tcp().await.unwrap();
            guards.lock().unwrap().push(guard);
            let place = casemate_net::Plain::parse(&address.to_string()).unwrap();
            entry.source = Source::Socket(SocketSource::Tcp(place));
        }
    }
    let mut caller = caller(1);
    caller.capabilities =
        super::fakes::members(r#"{"elicitation":{},"sampling":{},"roots":{"listChanged":true}}"#);
    let server = Server::new(Arc::new(entry), Arc::clone(&host));
    Good { server, host, notices, guards, caller, _folder: folder }
}

fn remote(url: &str, carrier: entry::Carrier) -> Source {
    let url = url.parse().unwrap();
    Source::Http(HttpSource { url, carrier, headers: Default::default(), oauth: Default::default() })
}

impl Good {
    async fn tool(&self, name: &str, arguments: Value) -> Result<Value, Fault> {
        let (events, _kept) = mpsc::channel(64);
        self.tool_with(name, arguments, events).await
    }

    async fn tool_with(
        &self,
        name: &str,
        arguments: Value,
        events: mpsc::Sender<Event>,
    ) -> Result<Value, Fault> {
        let mut call = tool(&json!({"name": name, "arguments": arguments}).to_string());
        call.meta.progress = Some(raw("1"));
        call.meta.log_level = Some("debug".into());
        let outcome = timeout(Duration::from_secs(20), self.server.call(&self.caller, &call, events)).await;
        value(outcome.expect("the call ended")).map(|result| result["content"][0]["text"].clone())
    }

    fn calls(&self) -> u64 {
        self.guards.lock().unwrap().iter().map(|guard| *guard.calls().borrow()).sum()
    }

    fn cancelled(&self) -> u64 {
        self.guards.lock().unwrap().iter().map(|guard| *guard.cancelled().borrow()).sum()
    }

    async fn notice(&mut self, method: &Method) -> ServerNotice {
        let wanted = async {
            loop {
                let notice = self.notices.recv().await.unwrap();
                if notice.notice.method == *method {
                    return notice;
                }
            }
        };
        timeout(Duration::from_secs(10), wanted).await.expect("the notice came")
    }

    /// Ends everything; nothing may be left.
    async fn end(self) {
        drop(self.server);
        self.host.tracker.close();
        timeout(Duration::from_secs(10), self.host.tracker.wait()).await.expect("nothing is left");
    }
}

#[tokio::test]
async fn every_dialect_is_found_out_and_calls_are_answered() {
    for (era, carrier) in ALL {
        let good = good(era, carrier).await;
        let hello = good.server.hello(&good.caller).await.unwrap();
        assert_eq!(hello.revision.is_modern(), era != Era::Legacy, "{era:?} {carrier:?}");
        assert!(hello.server_info.is_some() && hello.capabilities.has("tools"), "{era:?} {carrier:?}");
        let echoed = good.tool("echo", json!({"message": "hi"})).await.unwrap();
        assert_eq!(echoed, "hi", "{era:?} {carrier:?}");
        let info: Value =
            serde_json::from_str(good.tool("request_info", json!({})).await.unwrap().as_str().unwrap())
                .unwrap();
        let expected = if era == Era::Legacy { "legacy" } else { "modern" };
        assert_eq!(info["era"], expected, "{carrier:?}: {info}");
        good.end().await;
    }
}

#[tokio::test]
async fn unknown_members_pass_byte_for_byte() {
    let mut seen = Vec::new();
    for (era, carrier) in ALL {
        let good = good(era, carrier).await;
        let (events, _kept) = mpsc::channel(4);
        let call = tool(r#"{"name":"unknown_fields","arguments":{}}"#);
        match good.server.call(&good.caller, &call, events).await.unwrap() {
            casemate_mcp::call::Answer::Result(raw) => seen.push(raw),
            error => panic!("{error:?}"),
        }
        good.end().await;
    }
    let legacy: Vec<&Raw> = [0, 3].iter().map(|at| &seen[*at]).collect();
    assert_eq!(legacy[0], legacy[1]);
    assert_eq!(seen[1], seen[4]);
}

#[tokio::test]
async fn progress_and_log_messages_reach_their_call() {
    for (era, carrier) in ALL {
        let good = good(era, carrier).await;
        for (name, method) in
            [("test_tool_with_progress", Method::Progress), ("test_tool_with_logging", Method::Message)]
        {
            let (sender, mut events) = mpsc::channel(64);
            good.tool_with(name, json!({}), sender).await.unwrap();
            let mut count = 0;
            while let Some(event) = events.recv().await {
                count += usize::from(matches!(event, Event::Notice(notice) if notice.method == method));
            }
            assert_eq!(count, 3, "{name} {era:?} {carrier:?}");
        }
        good.end().await;
    }
}

#[tokio::test]
async fn a_legacy_server_asks_in_mid_call() {
    for carrier in
        [Carrier::Stdio, Carrier::Http, Carrier::WebSocket, Carrier::Events, Carrier::Unix, Carrier::Tcp]
    {
        let good = good(Era::Legacy, carrier).await;
        let (sender, mut events) = mpsc::channel(64);
        let answering = async {
            let answer = question(&mut events).await;
            answer.send(Ok(raw(r#"{"action":"accept","content":{"name":"Ann"}}"#))).unwrap();
        };
        let asking = good.tool_with("test_input_required_result_elicitation", json!({}), sender);
        let (outcome, ()) = tokio::join!(asking, answering);
        assert_eq!(outcome.unwrap(), "Hello, Ann!", "{carrier:?}");
        good.end().await;
    }
}

#[tokio::test]
async fn list_changes_and_watched_resources_are_told() {
    for (era, carrier) in ALL {
        let mut good = good(era, carrier).await;
        good.server.watch(&good.caller, "test://watched-resource").await.unwrap();
        // A listen stream is opened in the background; until it is, changes are nobody's business.
        let mut told = None;
        for _ in 0..50 {
            good.tool("touch_resource", json!({})).await.unwrap();
            told = timeout(Duration::from_millis(100), good.notices.recv()).await.ok().flatten();
            if told.is_some() {
                break;
            }
        }
        let told = told.unwrap_or_else(|| panic!("nothing was told: {era:?} {carrier:?}"));
        assert_eq!(told.notice.method, Method::ResourceUpdated, "{era:?} {carrier:?}");
        let uri = told.notice.params.unwrap().string("uri").unwrap();
        assert_eq!(
            (uri.as_str(), told.subject),
            ("test://watched-resource", Some(good.caller.subject.clone()))
        );
        good.tool("test_trigger_tool_change", json!({})).await.unwrap();
        good.notice(&Method::ToolsChanged).await;
        good.end().await;
    }
}

#[tokio::test]
async fn a_dropped_call_is_canceled_upstream() {
    for (era, carrier) in ALL {
        let good = good(era, carrier).await;
        {
            let long = good.tool("sleep_ms", json!({"ms": 60_000}));
            let begun = eventually("it has begun", || good.calls() == 1);
            tokio::select! { _ = long => panic!("answered"), () = begun => {} }
        }
        eventually(&format!("it is canceled: {era:?} {carrier:?}"), || good.cancelled() == 1).await;
        good.tool("echo", json!({"message": "x"})).await.unwrap();
        good.end().await;
    }
}

#[tokio::test]
async fn a_server_that_ends_costs_the_call_in_flight_alone() {
    for (era, carrier) in ALL.into_iter().filter(|(_, carrier)| *carrier == Carrier::Stdio) {
        let mut good = good(era, carrier).await;
        let fault = good.tool("crash", json!({})).await.unwrap_err();
        assert!(matches!(fault, Fault::Gone { sent: true, .. }), "{fault:?}");
        assert_eq!(good.tool("echo", json!({"message": "back"})).await.unwrap(), "back");
        good.notice(&Method::ToolsChanged).await;
        good.end().await;
    }
}

#[tokio::test]
async fn a_forgotten_session_costs_nothing() {
    let mut good = good(Era::Legacy, Carrier::Http).await;
    good.server.watch(&good.caller, "test://watched-resource").await.unwrap();
    good.tool("counter", json!({})).await.unwrap();
    for expected in ["2", "3", "4"] {
        good.guards.lock().unwrap()[0].forget_sessions();
        assert_eq!(good.tool("counter", json!({})).await.unwrap(), expected, "sent once, and only once");
        good.notice(&Method::ToolsChanged).await;
    }
    let status = good.server.status();
    assert_eq!((status.restarts, status.last_error), (3, None));
    while timeout(Duration::from_millis(100), good.notices.recv()).await.is_ok() {}
    good.tool("touch_resource", json!({})).await.unwrap();
    good.notice(&Method::ResourceUpdated).await;
    good.end().await;
}

#[tokio::test]
async fn many_calls_find_the_session_forgotten_and_open_one_together() {
    let good = good(Era::Legacy, Carrier::Http).await;
    good.tool("counter", json!({})).await.unwrap();
    good.guards.lock().unwrap()[0].forget_sessions();
    let one = || good.tool("echo", json!({"message": "x"}));
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    assert!([a, b, c, d].iter().all(Result::is_ok));
    assert_eq!(good.server.status().restarts, 1);
    good.end().await;
}

#[tokio::test]
async fn a_restarted_http_server_is_found_again() {
    for era in [Era::Legacy, Era::Modern] {
        let good = good(era, Carrier::Http).await;
        good.tool("echo", json!({"message": "x"})).await.unwrap();
        let Source::Http(source) = &good.server.entry().source else { panic!("not HTTP") };
        let address = source.url.authority().unwrap().as_str().to_owned();
        let old = good.guards.lock().unwrap().pop().unwrap();
        old.stop().await;
        let down = good.tool("echo", json!({"message": "x"})).await.unwrap_err();
        assert!(matches!(down, Fault::Gone { .. } | Fault::Start { .. }), "{down:?}");
        let (_, guard) = Fixture::new(era).listen(&address).await.unwrap();
        good.guards.lock().unwrap().push(guard);
        assert_eq!(good.tool("echo", json!({"message": "back"})).await.unwrap(), "back", "{era:?}");
        good.end().await;
    }
}

#[tokio::test]
async fn a_broken_stream_is_resumed() {
    let good = good(Era::Legacy, Carrier::Http).await;
    let text = good.tool("test_reconnection", json!({})).await.unwrap();
    assert_eq!(text, "Reconnection test completed successfully");
    good.end().await;
}

#[tokio::test]
async fn large_answers_pass_up_to_the_limit() {
    for (era, carrier) in ALL {
        let good = good(era, carrier).await;
        assert_eq!(
            good.tool("blob", json!({"bytes": 60_000})).await.unwrap().as_str().unwrap().len(),
            60_000
        );
        let fault = good.tool("blob", json!({"bytes": 200_000})).await.unwrap_err();
        assert_eq!(fault, Fault::TooBig { limit: 1 << 16 }, "{era:?} {carrier:?}");
        good.tool("echo", json!({"message": "still here"})).await.unwrap();
        good.end().await;
    }
}

#[tokio::test]
async fn lists_and_errors_come_as_the_server_wrote_them() {
    for (era, carrier) in ALL {
        let good = good(era, carrier).await;
        let (events, _kept) = mpsc::channel(4);
        let list = good.server.call(&good.caller, &call(Method::ToolsList, "{}"), events).await;
        assert!(value(list).unwrap()["tools"].as_array().unwrap().len() > 20);
        let (events, _kept) = mpsc::channel(4);
        let unknown = call(Method::Other("no/such".into()), "{}");
        let answer = value(good.server.call(&good.caller, &unknown, events).await).unwrap();
        assert_eq!(answer, json!({"code": -32601}), "{era:?} {carrier:?}");
        good.end().await;
    }
}
