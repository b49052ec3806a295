use std::collections::VecDeque;
use std::sync::Mutex;

use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::http::events::{self, Event};
use crate::http::head::{Head, LAST_EVENT_ID, Reject};
use crate::http::inbound::Inbound;
use crate::http::reply::Reply;
use crate::http::server::{Server, Service};
use crate::http::shell::Shell;
use crate::listener::{Listener, UnixSocket};

/// Echoes bodies, and tells from where and how it was called.
#[derive(Default)]
struct Echo {
    seen: Mutex<Vec<(String, String)>>,
}

impl Service for Echo {
    async fn call(&self, arrival: Result<Head, Reject>, body: Inbound) -> Reply {
        let head = arrival.unwrap();
        let line = format!("{} {}", head.method, head.uri);
        self.seen.lock().unwrap().push((line, format!("{:?}", head.peer)));
        let body = body.read(2_000_000, Duration::from_secs(10)).await.unwrap();
        match head.path() {
            "/json" => Reply::json(StatusCode::OK, body),
            "/error" => Reply::json(StatusCode::BAD_REQUEST, body),
            "/accepted" => Reply::empty(StatusCode::ACCEPTED),
            "/moved" => Reply::empty(StatusCode::FOUND)
                .with(http::header::LOCATION, HeaderValue::from_static("http://127.0.0.1:1/")),
            "/page" => Reply::text(StatusCode::BAD_GATEWAY, "x".repeat(100_000)),
            "/events" => {
                let (sender, stream) = events::channel(4);
                sender.try_send(Event { id: Some("7".into()), data: body, ..Event::default() }).unwrap();
                Reply::events(stream)
            }
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }
}

struct Setup {
    echo: Arc<Echo>,
    endpoint: Endpoint,
    stop: CancellationToken,
    tracker: TaskTracker,
}

async fn serve(listener: Listener) -> (Arc<Echo>, CancellationToken, TaskTracker) {
    let echo = Arc::new(Echo::default());
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let shell = Arc::new(ArcSwap::from_pointee(Shell::default()));
    let server = Server::new(shell, Arc::clone(&echo), stop.clone(), tracker.clone());
    tracker.spawn(server.run(listener));
    (echo, stop, tracker)
}

async fn setup() -> Setup {
    let listener = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let uri = format!("http://{}/json?a=b", listener.local_addr().unwrap());
    let (echo, stop, tracker) = serve(listener).await;
    let endpoint = Client::new(ClientOptions::default()).endpoint(&uri.parse().unwrap()).unwrap();
    Setup { echo, endpoint, stop, tracker }
}

impl Setup {
    async fn post(&self, path: &str, body: &'static str) -> Posted {
        self.endpoint.at(path).unwrap().post(HeaderMap::new(), Bytes::from(body)).await.unwrap()
    }

    /// How many connections the server saw.
    fn connections(&self) -> usize {
        let seen = self.echo.seen.lock().unwrap();
        seen.iter().map(|(_, peer)| peer).collect::<std::collections::HashSet<_>>().len()
    }
}

#[tokio::test]
async fn a_megabyte_goes_there_and_back_over_one_connection() {
    let setup = setup().await;
    let body = Bytes::from(vec![b'x'; 1_000_000]);
    for _ in 0..20 {
        let posted = setup.endpoint.post(HeaderMap::new(), body.clone()).await.unwrap();
        let Posted::Json { status, body: echoed, .. } = posted else { panic!("{posted:?}") };
        assert_eq!((status, echoed), (StatusCode::OK, body.clone()));
    }
    assert_eq!(setup.connections(), 1);
    assert_eq!(setup.echo.seen.lock().unwrap()[0].0, "POST /json?a=b");
}

#[tokio::test]
async fn every_kind_of_answer_is_told_apart() {
    let setup = setup().await;
    assert!(matches!(setup.post("/json", "{}").await, Posted::Json { body, .. } if body == "{}"));
    let error = setup.post("/error", "{\"e\":1}").await;
    assert!(matches!(error, Posted::Json { status: StatusCode::BAD_REQUEST, .. }), "{error:?}");
    assert!(matches!(setup.post("/accepted", "{}").await, Posted::Accepted { .. }));
    let moved = setup.post("/moved", "{}").await;
    assert!(matches!(moved, Posted::Other { status: StatusCode::FOUND, .. }), "not followed: {moved:?}");
    let page = setup.post("/page", "{}").await;
    assert!(
        matches!(&page, Posted::Other { body, .. } if body.len() == OTHER_BYTES_MAX),
        "{:?}",
        page.status()
    );
    let posted = setup.post("/events", "{\"a\":1}").await;
    let Posted::Events { mut events, .. } = posted else { panic!("{posted:?}") };
    let event = events.next().await.unwrap().unwrap();
    assert_eq!((event.id.as_deref(), &*event.data), (Some("7"), &b"{\"a\":1}"[..]));
    assert_eq!(events.last_id(), Some("7"));
    assert!(events.next().await.unwrap().is_none());
    let gone = setup.endpoint.at("/x").unwrap().delete(HeaderMap::new()).await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_that_was_read_to_the_wanted_event_keeps_its_connection() {
    let setup = setup().await;
    for _ in 0..5 {
        let posted = setup.post("/events", "{}").await;
        let Posted::Events { mut events, .. } = posted else { panic!("{posted:?}") };
        events.next().await.unwrap().unwrap();
    }
    assert_eq!(setup.connections(), 1);
}

#[tokio::test]
async fn an_end_that_comes_after_the_wanted_event_is_seen_at_the_drop() {
    const EVENT: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let endpoint = Client::new(ClientOptions::default()).endpoint(&uri.parse().unwrap()).unwrap();
    let mut stream = None;
    for _ in 0..2 {
        let serve = async {
            let mut stream = match stream.take() {
                Some(stream) => stream,
                None => listener.accept().await.unwrap().0,
            };
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0, "the connection is used again");
            stream.write_all(EVENT.as_bytes()).await.unwrap();
            stream
        };
        let call = endpoint.post(HeaderMap::new(), Bytes::new());
        let (answer, mut served) = tokio::join!(call, serve);
        let Ok(Posted::Events { mut events, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(events.next().await.unwrap().unwrap().data, "1");
        served.write_all(b"0\r\n\r\n").await.unwrap();
        // The reactor has to hear of it; there is no event to wait for that would not read it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(events);
        stream = Some(served);
    }
}

#[tokio::test]
async fn calls_at_once_take_a_connection_each_and_leave_them_to_the_next() {
    let setup = setup().await;
    for _ in 0..3 {
        let one = || setup.post("/json", "{}");
        tokio::join!(one(), one(), one());
    }
    assert!(setup.connections() <= 3, "{}", setup.connections());
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run/control.sock");
    let (_echo, _stop, _tracker) = serve(Listener::Unix(UnixSocket::bind(&path).unwrap())).await;
    let client = Client::new(ClientOptions::default());
    let endpoint = client.unix_endpoint(&path, "/json").unwrap();
    let posted = endpoint.post(HeaderMap::new(), Bytes::from_static(b"[1]")).await.unwrap();
    assert!(matches!(posted, Posted::Json { body, .. } if body == "[1]"));
    let missing = client.unix_endpoint(&home.path().join("none.sock"), "/").unwrap();
    assert!(missing.get_events(HeaderMap::new()).await.unwrap_err().never_sent());
}

#[tokio::test]
async fn a_restarted_server_costs_no_call() {
    let setup = setup().await;
    setup.post("/json", "{}").await;
    let authority = setup.endpoint.host.to_str().unwrap().to_owned();
    setup.stop.cancel();
    setup.tracker.close();
    setup.tracker.wait().await;
    let fault = setup.endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Connect { .. }) && fault.never_sent(), "{fault:?}");
    let listener = Listener::bind_tcp(authority.parse().unwrap()).await.unwrap();
    let _server = serve(listener).await;
    assert!(matches!(setup.post("/json", "{}").await, Posted::Json { .. }));
}

/// A server that answers each connection with the next script, after one request was read, and then closes. It
/// gives the heads of the requests.
fn scripted(listener: TcpListener, scripts: &[&'static str]) -> tokio::sync::mpsc::Receiver<String> {
    let mut scripts: VecDeque<_> = scripts.iter().copied().collect();
    let (sender, heads) = tokio::sync::mpsc::channel(16);
    TaskTracker::new().spawn(async move {
        while let Some(script) = scripts.pop_front() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            sender.send(String::from_utf8(head).unwrap()).await.unwrap();
            stream.write_all(script.as_bytes()).await.unwrap();
        }
    });
    heads
}

async fn scripted_endpoint(
    scripts: &[&'static str],
    options: ClientOptions,
) -> (Endpoint, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/mcp", listener.local_addr().unwrap());
    let heads = scripted(listener, scripts);
    (Client::new(options).endpoint(&uri.parse().unwrap()).unwrap(), heads)
}

#[tokio::test]
async fn an_answer_that_breaks_off_may_have_been_sent() {
    let scripts = [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        "garbage\r\n\r\n",
    ];
    let (endpoint, _heads) = scripted_endpoint(&scripts, ClientOptions::default()).await;
    for script in scripts {
        let fault = endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap_err();
        assert!(fault.may_have_been_sent(), "{script:?}: {fault:?}");
    }
}

#[tokio::test]
async fn how_much_is_taken_can_change_while_an_endpoint_is_in_use() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n[1,2,3,4,5]";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/mcp", listener.local_addr().unwrap());
    let _heads = scripted(listener, &[answer, answer]);
    let client = Client::new(ClientOptions { message_bytes_max: 11, ..ClientOptions::default() });
    let endpoint = client.endpoint(&uri.parse().unwrap()).unwrap();
    endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap();
    client.take_messages_up_to(10);
    let fault = endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap_err();
    assert!(matches!(fault, ClientFault::Body { source: BodyFault::TooLarge { limit: 10 } }), "{fault:?}");
}

#[tokio::test]
async fn what_is_too_long_or_too_late_is_refused() {
    let options = ClientOptions { message_bytes_max: 10, ..ClientOptions::default() };
    let scripts = [
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[1,2,3,4,5]",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 12345678",
    ];
    let (endpoint, _heads) = scripted_endpoint(&scripts, options).await;
    for _ in 0..2 {
        let fault = endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap_err();
        assert!(
            matches!(fault, ClientFault::Body { source: BodyFault::TooLarge { limit: 10 } }),
            "{fault:?}"
        );
    }
    let posted = endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap();
    let Posted::Events { mut events, .. } = posted else { panic!("{posted:?}") };
    assert!(matches!(events.next().await, Err(ClientFault::Event { .. })));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    let options = ClientOptions { head_time_max: Duration::from_millis(20), ..ClientOptions::default() };
    let endpoint = Client::new(options).endpoint(&uri.parse().unwrap()).unwrap();
    let fault = endpoint.post(HeaderMap::new(), Bytes::new()).await.unwrap_err();
    assert!(matches!(fault, ClientFault::HeadTime) && fault.may_have_been_sent(), "{fault:?}");
}

#[tokio::test]
async fn a_server_without_tls_gets_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("https://{}/", listener.local_addr().unwrap());
    let endpoint = Client::new(ClientOptions::default()).endpoint(&uri.parse().unwrap()).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret"));
    let call = endpoint.post(headers, Bytes::new());
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = vec![0; 4096];
        let count = stream.read(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        hello.truncate(count);
        hello
    };
    let (fault, hello) = tokio::join!(call, plain);
    let fault = fault.unwrap_err();
    assert!(matches!(fault, ClientFault::Connect { .. }) && fault.never_sent(), "{fault:?}");
    assert_eq!(hello.first(), Some(&0x16), "a TLS handshake");
    assert!(!hello.windows(6).any(|part| part == b"secret"));
}

#[tokio::test]
async fn a_broken_stream_is_resumed_where_it_broke() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let first = format!("{HEAD}id: a\nretry: 5\ndata:\n\nid: b\ndata: 1\n\ndata: lost");
    let broken = format!("{CHUNKED}10\r\nid: c\ndata: 2\n\n\r\nffff\r\n");
    let last = format!("{HEAD}data: 3\n\n");
    let busy = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_owned();
    let gone = "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n".to_owned();
    let scripts = [first, broken, busy, last, gone].map(|script| &*script.leak());
    let (endpoint, mut heads) = scripted_endpoint(&scripts, ClientOptions::default()).await;
    let posted = endpoint.post(HeaderMap::new(), Bytes::from_static(b"{}")).await.unwrap();
    let Posted::Events { events, .. } = posted else { panic!("{posted:?}") };
    let mut headers = HeaderMap::new();
    headers.insert("mcp-session-id", HeaderValue::from_static("s"));
    let retry = Duration::from_secs(3600);
    let mut events = ResumingEvents::new(events, ResumePlan { endpoint, headers, retry, tries_max: 2 });
    let mut data = Vec::new();
    let end = loop {
        match events.next().await {
            Ok(Some(event)) => data.push(String::from_utf8(event.data.to_vec()).unwrap()),
            end => break end,
        }
    };
    assert_eq!(data, ["", "1", "2", "3"]);
    assert!(matches!(end, Err(ClientFault::NotResumed { status: StatusCode::NOT_FOUND })), "{end:?}");
    assert!(heads.recv().await.unwrap().starts_with("POST /mcp "));
    for id in ["b", "c", "c", "c"] {
        let head = heads.recv().await.unwrap();
        assert!(head.starts_with("GET /mcp ") && head.contains("mcp-session-id: s\r\n"), "{head}");
        assert!(head.contains(&format!("{LAST_EVENT_ID}: {id}\r\n")), "{head}");
    }
    assert!(matches!(events.next().await, Ok(None)), "the end stays the end");
}

#[tokio::test]
async fn a_stream_without_ids_ends_at_its_end() {
    let script = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    let (endpoint, _heads) = scripted_endpoint(&[script], ClientOptions::default()).await;
    let posted = endpoint.get_events(HeaderMap::new()).await.unwrap();
    let Posted::Events { events, .. } = posted else { panic!("{posted:?}") };
    let plan = ResumePlan { endpoint, headers: HeaderMap::new(), retry: Duration::ZERO, tries_max: 5 };
    let mut events = ResumingEvents::new(events, plan);
    assert_eq!(events.next().await.unwrap().unwrap().data, "1");
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn only_http_addresses_without_credentials_are_called() {
    let client = Client::new(ClientOptions::default());
    for text in ["ftp://x/", "/path", "localhost:80"] {
        let fault = client.endpoint(&text.parse().unwrap()).unwrap_err();
        assert!(matches!(fault, EndpointFault::Scheme(_)), "{text}: {fault:?}");
    }
    let fault = client.endpoint(&"http://user:secret@x/".parse().unwrap()).unwrap_err();
    assert_eq!(fault, EndpointFault::Credentials);
    assert!(!fault.to_string().contains("secret"));
    for (text, host) in [("https://x:443/", "x"), ("http://x:443", "x:443"), ("http://[::1]:80", "[::1]")] {
        assert_eq!(client.endpoint(&text.parse().unwrap()).unwrap().host, host);
    }
    let endpoint = client.endpoint(&"http://x".parse().unwrap()).unwrap();
    assert_eq!(endpoint.target, "/");
    for path in ["", "x", "http://y/", "/a b"] {
        assert!(endpoint.at(path).is_err(), "{path:?}");
    }
}
