//! HTTP servers that a script plays: headers, odd replies, and what must never be sent.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use casemate_transport::http::events::{self, Event as Sse};
use casemate_transport::http::{Head, Inbound, Reject, Reply, Server as HttpServer, Service, Shell};
use casemate_transport::listener::Listener;
use http::{HeaderName, HeaderValue, Method as Verb, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fakes::{Rig, caller, entry, eventually, tool};
use crate::entry::{HttpSource, ServerEntry, Source};
use crate::{Fault, Soon, State};

type Script = Box<dyn Fn(Exchange) -> Soon<'static, Reply> + Send + Sync>;

/// One request as a server sees it.
#[derive(Debug, Clone)]
struct Exchange {
    nth: usize,
    verb: Verb,
    headers: http::HeaderMap,
    body: Value,
}

impl Exchange {
    fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn answer(&self, result: Value) -> Reply {
        json_reply(200, json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result}))
    }

    fn refusal(&self, status: u16, code: i64) -> Reply {
        let error = json!({"code": code, "message": "no", "data": {"supported": ["2026-07-28"]}});
        json_reply(status, json!({"jsonrpc": "2.0", "id": self.body["id"], "error": error}))
    }
}

fn json_reply(status: u16, body: Value) -> Reply {
    Reply::json(StatusCode::from_u16(status).unwrap(), body.to_string().into())
}

struct Scripted {
    script: Script,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

impl Service for Scripted {
    async fn call(&self, arrival: Result<Head, Reject>, body: Inbound) -> Reply {
        let head = arrival.unwrap();
        let body = body.read(1 << 20, Duration::from_secs(5)).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let exchange = {
            let mut seen = self.seen.lock().unwrap();
            let exchange = Exchange { nth: seen.len(), verb: head.method, headers: head.headers, body };
            seen.push(exchange.clone());
            exchange
        };
        (self.script)(exchange).await
    }
}

struct Web {
    rig: Rig,
    seen: Arc<Mutex<Vec<Exchange>>>,
    stop: CancellationToken,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn web<W: Future<Output = Reply> + Send + 'static>(
    change: impl FnOnce(&mut ServerEntry),
    script: impl Fn(Exchange) -> W + Send + Sync + 'static,
) -> Web {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    let seen = Arc::default();
    let service =
        Scripted { script: Box::new(move |exchange| Box::pin(script(exchange))), seen: Arc::clone(&seen) };
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let shell = Arc::new(arc_swap::ArcSwap::from_pointee(Shell::default()));
    let server = HttpServer::new(shell, Arc::new(service), stop.clone(), tracker.clone());
    tracker.spawn(server.run(listener));
    let headers = [("X-Key".to_owned(), "s3cret".into())].into();
    let source = HttpSource { url, carrier: Default::default(), headers, oauth: Default::default() };
    let rig = Rig::with(
        |entry| {
            entry.source = Source::Http(source);
            change(entry);
        },
        |_, _| async { panic!("no process is started for an HTTP server") },
    );
    Web { rig, seen, stop }
}

impl Web {
    fn seen(&self, method: &str) -> Vec<Exchange> {
        self.seen.lock().unwrap().iter().filter(|exchange| exchange.method() == method).cloned().collect()
    }

    fn verbs(&self, verb: &Verb) -> usize {
        self.seen.lock().unwrap().iter().filter(|exchange| exchange.verb == *verb).count()
    }
}

fn discovered(exchange: &Exchange) -> Reply {
    exchange.answer(json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}))
}

fn initialized(exchange: &Exchange) -> Reply {
    let reply = exchange.answer(json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}));
    let id = HeaderValue::from_str(&format!("session-{}", exchange.nth)).unwrap();
    reply.with(HeaderName::from_static("mcp-session-id"), id)
}

/// A legacy server without a general stream.
fn legacy(exchange: &Exchange) -> Reply {
    match (exchange.verb.as_str(), exchange.method()) {
        ("POST", "initialize") => initialized(exchange),
        ("POST", "server/discover") => json_reply(400, json!({"error": "Bad Request"})),
        ("POST", "tools/call") => exchange.answer(json!({"ok": exchange.header("mcp-session-id")})),
        ("POST", _) => Reply::empty(StatusCode::ACCEPTED),
        ("DELETE", _) => Reply::empty(StatusCode::OK),
        _ => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

#[tokio::test]
async fn a_modern_request_repeats_in_its_headers_what_its_body_says() {
    let web = web(
        |_| {},
        |exchange| async move {
            if exchange.method() == "server/discover" {
                discovered(&exchange)
            } else {
                exchange.answer(json!({}))
            }
        },
    )
    .await;
    let mut caller = caller(1);
    caller.param_headers = vec![("Mcp-Param-Region".into(), "Köln".into())];
    web.rig.call_with(&caller, &tool(r#"{"name":"wetter für alle"}"#)).await.unwrap();
    let call = &web.seen("tools/call")[0];
    let shown = ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region", "x-key", "accept"];
    let shown: Vec<&str> = shown.iter().map(|name| call.header(name)).collect();
    assert_eq!(
        shown,
        [
            "2026-07-28",
            "tools/call",
            "=?base64?d2V0dGVyIGbDvHIgYWxsZQ==?=",
            "=?base64?S8O2bG4=?=",
            "s3cret",
            "application/json, text/event-stream",
        ]
    );
    assert_eq!(call.header("mcp-session-id"), "");
    assert_eq!(web.seen("server/discover").len(), 1);
    assert!(!format!("{:?}", web.rig.server).contains("s3cret"), "secrets are not shown");
}

#[tokio::test]
async fn the_probe_falls_back_as_the_protocol_prescribes() {
    type Refuse = fn(&Exchange) -> Reply;
    let table: [(&str, Refuse); 6] = [
        ("400 with a page", |_| Reply::text(StatusCode::BAD_REQUEST, "Bad Request")),
        ("400 with an error that both dialects know", |exchange| exchange.refusal(400, -32000)),
        ("404", |_| Reply::empty(StatusCode::NOT_FOUND)),
        ("405", |_| Reply::empty(StatusCode::METHOD_NOT_ALLOWED)),
        ("200 with method not found", |exchange| exchange.refusal(200, -32601)),
        ("500", |_| Reply::empty(StatusCode::INTERNAL_SERVER_ERROR)),
    ];
    for (what, reply) in table {
        let web = web(
            |_| {},
            move |exchange| async move {
                if exchange.method() == "server/discover" { reply(&exchange) } else { legacy(&exchange) }
            },
        )
        .await;
        let hello = web.rig.server.hello(&caller(1)).await.unwrap();
        assert_eq!(hello.revision.as_str(), "2025-06-18", "{what}");
    }
}

#[tokio::test]
async fn a_legacy_session_is_opened_carried_and_ended() {
    let web = web(|_| {}, |exchange| async move { legacy(&exchange) }).await;
    let session = web.rig.call(&caller(1)).await.unwrap()["ok"].as_str().unwrap().to_owned();
    assert!(session.starts_with("session-"), "{session}");
    let initialized = &web.seen("notifications/initialized")[0];
    assert_eq!(initialized.header("mcp-session-id"), session);
    assert_eq!(initialized.header("mcp-protocol-version"), "2025-06-18");
    eventually("its general stream is asked for", || web.verbs(&Verb::GET) == 1).await;
    web.rig.server.stop().await;
    assert_eq!(web.verbs(&Verb::DELETE), 1);
    assert_eq!(web.verbs(&Verb::GET), 1, "405 is believed");
}

#[tokio::test]
async fn a_session_is_opened_anew_also_when_the_server_says_it_in_its_own_way() {
    for gone in [404, 400] {
        let web = web(|_| {}, move |exchange| async move {
            let is_old = exchange.header("mcp-session-id").ends_with("-1");
            if exchange.method() == "tools/call" && is_old {
                return json_reply(gone, json!({"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "no session"}}));
            }
            legacy(&exchange)
        })
        .await;
        let answer = web.rig.call(&caller(1)).await.unwrap();
        assert_ne!(answer["ok"], "session-1", "{gone}");
        assert_eq!((web.seen("initialize").len(), web.seen("tools/call").len()), (2, 2), "{gone}");
        assert_eq!(web.rig.server.status().last_error, None);
    }
}

#[tokio::test]
async fn a_server_that_never_keeps_its_session_is_not_asked_forever() {
    let web = web(
        |_| {},
        |exchange| async move {
            if exchange.method() == "tools/call" {
                Reply::empty(StatusCode::NOT_FOUND)
            } else {
                legacy(&exchange)
            }
        },
    )
    .await;
    let fault = web.rig.call(&caller(1)).await.unwrap_err();
    assert!(matches!(&fault, Fault::Gone { sent: false, why } if why.contains("404")), "{fault:?}");
    assert_eq!(web.seen("tools/call").len(), 2);
}

#[tokio::test]
async fn a_call_lost_after_sending_is_sent_again_only_where_that_is_safe() {
    for (replay_safe, sent) in [(false, 1), (true, 2)] {
        let web = web(
            |_| {},
            |exchange| async move {
                if exchange.method() != "tools/call" {
                    return legacy(&exchange);
                }
                // A stream that ends without an answer, and gives no id to resume it with.
                let (sender, body) = events::channel(1);
                sender
                    .try_send(Sse::message(Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"x/y\"}")))
                    .unwrap();
                Reply::events(body)
            },
        )
        .await;
        let mut caller = caller(1);
        caller.replay_safe = replay_safe;
        let fault = web.rig.call(&caller).await.unwrap_err();
        assert!(matches!(fault, Fault::Gone { sent: true, .. }), "{fault:?}");
        assert_eq!(web.seen("tools/call").len(), sent);
    }
}

#[tokio::test]
async fn a_legacy_call_that_times_out_is_canceled_by_a_message() {
    let web = web(
        |_| {},
        |exchange| async move {
            if exchange.method() == "tools/call" { std::future::pending().await } else { legacy(&exchange) }
        },
    )
    .await;
    let mut hurried = caller(1);
    hurried.timeout = Some(Duration::from_millis(200));
    assert!(matches!(web.rig.call(&hurried).await, Err(Fault::Timeout { hard: false, .. })));
    eventually("it is canceled", || !web.seen("notifications/cancelled").is_empty()).await;
    let id = web.seen("tools/call")[0].body["id"].clone();
    assert_eq!(web.seen("notifications/cancelled")[0].body["params"]["requestId"], id);
}

#[tokio::test]
async fn a_stream_that_never_ends_does_not_keep_the_time_from_running_out() {
    let web = web(
        |_| {},
        |exchange| async move {
            if exchange.method() != "tools/call" {
                return legacy(&exchange);
            }
            let (sender, body) = events::channel(64);
            TaskTracker::new().spawn(async move {
                let noise = Bytes::from_static(
                    b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}",
                );
                while sender.send(Sse::message(noise.clone())).await.is_ok() {}
            });
            Reply::events(body)
        },
    )
    .await;
    let mut hurried = caller(1);
    hurried.timeout = Some(Duration::from_millis(300));
    let start = tokio::time::Instant::now();
    let fault = web.rig.call(&hurried).await.unwrap_err();
    assert!(matches!(fault, Fault::Timeout { .. }) && start.elapsed() < Duration::from_secs(5), "{fault:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers_delays_its_own_calls_alone() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap()).parse().unwrap();
    let mut hanging = entry();
    hanging.timeouts.start = Duration::from_millis(300);
    hanging.source = Source::Http(HttpSource {
        url,
        carrier: Default::default(),
        headers: Default::default(),
        oauth: Default::default(),
    });
    let rig = Rig::with(|entry| *entry = hanging, |_, _| async {});
    let start = tokio::time::Instant::now();
    let fault = rig.call(&caller(1)).await.unwrap_err();
    assert!(matches!(fault, Fault::Start { .. }) && start.elapsed() < Duration::from_secs(3), "{fault:?}");
}

#[tokio::test]
async fn a_dead_address_is_left_alone_after_some_failures() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: http::Uri = format!("http://{}/mcp", nobody.local_addr().unwrap()).parse().unwrap();
    drop(nobody);
    let source = Source::Http(HttpSource {
        url,
        carrier: Default::default(),
        headers: Default::default(),
        oauth: Default::default(),
    });
    let rig = Rig::with(
        |entry| {
            entry.source = source;
            entry.resilience.backoff_min = Duration::from_millis(1);
            entry.resilience.failures_max = 3;
        },
        |_, _| async {},
    );
    for _ in 0..3 {
        let fault = rig.call(&caller(1)).await.unwrap_err();
        assert!(matches!(&fault, Fault::Start { why } if why.contains("cannot connect")), "{fault:?}");
    }
    assert!(matches!(rig.call(&caller(1)).await, Err(Fault::CircuitOpen { .. })));
    assert!(matches!(rig.server.status().state, State::CircuitOpen { .. }));
}

#[tokio::test]
async fn refused_credentials_are_told_as_such() {
    let web = web(|_| {}, |_| async { Reply::text(StatusCode::UNAUTHORIZED, "who are you?") }).await;
    let fault = web.rig.call(&caller(1)).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::Start { why } if why.contains("401") && why.contains("who are you?")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn a_modern_server_that_was_replaced_by_a_legacy_one_is_found_out() {
    let web = web(
        |_| {},
        |exchange| async move {
            match exchange.method() {
                "server/discover" if exchange.nth == 0 => discovered(&exchange),
                "tools/call" if exchange.header("mcp-session-id").is_empty() => exchange.refusal(400, -32000),
                _ => legacy(&exchange),
            }
        },
    )
    .await;
    let answer = web.rig.call(&caller(1)).await.unwrap();
    assert!(answer["ok"].as_str().unwrap().starts_with("session-"));
    assert_eq!(web.seen("tools/call").len(), 2);
}

#[tokio::test]
async fn an_answer_is_found_among_other_messages_of_its_stream() {
    let web = web(
        |_| {},
        |exchange| async move {
            if exchange.method() != "tools/call" {
                return legacy(&exchange);
            }
            let (sender, body) = events::channel(8);
            let say = |text: String| sender.try_send(Sse::message(text.into())).unwrap();
            say(String::new());
            say("garbage".into());
            say(json!({"jsonrpc": "2.0", "id": 999, "result": {}}).to_string());
            say(json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}).to_string());
            say(json!({"jsonrpc": "2.0", "id": exchange.body["id"], "result": {"found": true}}).to_string());
            Reply::events(body)
        },
    )
    .await;
    assert_eq!(web.rig.call(&caller(1)).await.unwrap(), json!({"found": true}));
    let answered = || web.seen.lock().unwrap().iter().any(|exchange| exchange.body["id"] == "p");
    eventually("the ping is answered", answered).await;
    assert!(web.rig.server.logs().iter().any(|line| line == "stream: garbage"));
}

#[tokio::test]
async fn a_modern_server_asks_nothing_on_its_stream() {
    let web = web(
        |_| {},
        |exchange| async move {
            if exchange.method() != "tools/call" {
                return discovered(&exchange);
            }
            let (sender, body) = events::channel(64);
            let say = |text: Value| sender.try_send(Sse::message(text.to_string().into())).unwrap();
            for id in 0..50 {
                say(json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {}}));
            }
            say(json!({"jsonrpc": "2.0", "id": exchange.body["id"], "result": {"found": true}}));
            Reply::events(body)
        },
    )
    .await;
    let (sender, mut events) = mpsc::channel(64);
    let outcome = web.rig.server.call(&caller(1), &tool("{}"), sender).await;
    assert_eq!(super::fakes::value(outcome).unwrap(), json!({"found": true}));
    assert!(events.recv().await.is_none(), "no question and no report");
    assert!(web.rig.server.logs().iter().any(|line| line.starts_with("protocol: a request on a stream")));
}

#[tokio::test]
async fn a_question_on_the_general_stream_finds_the_only_call() {
    let (general, _keep) = tokio::sync::broadcast::channel::<String>(8);
    let (answered, _keep_too) = tokio::sync::broadcast::channel::<Value>(8);
    let web = web(
        |_| {},
        move |exchange| {
            let (general, answered) = (general.clone(), answered.clone());
            async move {
                if exchange.verb == Verb::GET {
                    let (sender, body) = events::channel(8);
                    let mut asked = general.subscribe();
                    TaskTracker::new().spawn(async move {
                        while let Ok(text) = asked.recv().await {
                            _ = sender.send(Sse::message(text.into())).await;
                        }
                    });
                    return Reply::events(body);
                }
                if exchange.method() == "tools/call" {
                    let mut replies = answered.subscribe();
                    let ask =
                        json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}});
                    // The stream may not be there yet; a real server keeps what it has to say.
                    while general.send(ask.to_string()).unwrap_or(0) < 2 {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    return exchange.answer(json!({"heard": replies.recv().await.unwrap()}));
                }
                if exchange.body.get("result").is_some() {
                    _ = answered.send(exchange.body.clone());
                    return Reply::empty(StatusCode::ACCEPTED);
                }
                legacy(&exchange)
            }
        },
    )
    .await;
    let (sender, mut events) = mpsc::channel(8);
    let (caller, call) = (caller(1), tool("{}"));
    let answering = async {
        super::fakes::question(&mut events).await.send(Ok(super::fakes::raw("{\"a\":1}"))).unwrap();
        std::future::pending::<()>().await
    };
    let outcome = tokio::select! {
        outcome = web.rig.server.call(&caller, &call, sender) => outcome,
        () = answering => unreachable!(),
    };
    let heard = super::fakes::value(outcome).unwrap();
    assert_eq!(heard["heard"], json!({"jsonrpc": "2.0", "id": "q", "result": {"a": 1}}));
}
