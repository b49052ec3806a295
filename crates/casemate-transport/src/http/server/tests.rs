use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::http::events;
use crate::http::inbound::BodyFault;
use crate::http::reply::ReplyBody;
use crate::http::shell::HttpLimits;

const PEER: Peer = Peer::Tcp(SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000));

/// What the service saw, in order.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Path(String),
    Reject(String),
    Body(Result<Bytes, BodyFault>),
    Dropped,
    Closed,
}

/// Answers by path and tells what it saw.
struct Probe {
    seen: mpsc::Sender<Seen>,
    tracker: TaskTracker,
}

struct TellDrop(mpsc::Sender<Seen>);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.0.try_send(Seen::Dropped).unwrap();
    }
}

impl Service for Probe {
    async fn call(&self, arrival: Result<Head, Reject>, body: Inbound) -> Reply {
        let head = match arrival {
            Ok(head) => head,
            Err(reject) => {
                self.seen.send(Seen::Reject(reject.reason.to_string())).await.unwrap();
                return Reply::text(reject.reason.status(), "refused");
            }
        };
        self.seen.send(Seen::Path(head.path().to_owned())).await.unwrap();
        match head.path() {
            "/echo" => {
                let body = body.read(2_000_000, Duration::from_secs(60)).await;
                self.seen.send(Seen::Body(body.clone())).await.unwrap();
                body.map_or_else(
                    |_| Reply::empty(StatusCode::BAD_REQUEST),
                    |body| Reply::json(StatusCode::OK, body),
                )
            }
            "/parts" => {
                let parts = ["{", "", "\"a\":", "1}"].map(Bytes::from).to_vec();
                Reply::json_parts(StatusCode::OK, parts)
                    .with(HeaderName::from_static("content-security-policy"), HeaderValue::from_static("own"))
            }
            "/hang" => {
                let _tell = TellDrop(self.seen.clone());
                drop(body.read(100, Duration::from_secs(60)).await);
                std::future::pending().await
            }
            "/events" => {
                let (sender, body) = events::channel(4);
                let seen = self.seen.clone();
                self.tracker.spawn(async move {
                    sender.send(events::Event::message(Bytes::from_static(b"{}"))).await.unwrap();
                    sender.closed().await;
                    seen.send(Seen::Closed).await.unwrap();
                });
                Reply::events(body)
            }
            "/big" => {
                let piece = Bytes::from(vec![b'x'; 1_000_000]);
                Reply { body: ReplyBody::Parts(vec![piece; 100]), ..Reply::empty(StatusCode::OK) }
            }
            "/unread" => Reply::empty(StatusCode::UNAUTHORIZED),
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }
}

struct Setup {
    server: Server<Probe>,
    seen: mpsc::Receiver<Seen>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

fn setup(limits: HttpLimits) -> Setup {
    let (sender, seen) = mpsc::channel(64);
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let shell = Arc::new(ArcSwap::from_pointee(Shell { limits, ..Shell::default() }));
    let service = Arc::new(Probe { seen: sender, tracker: tracker.clone() });
    let server = Server::new(shell, service, stop.clone(), tracker.clone());
    Setup { server, seen, stop, tracker }
}

impl Setup {
    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.server.admit(theirs, PEER);
        ours
    }
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

/// Reads one answer: its head, and as much body as it announces.
async fn answer(stream: &mut DuplexStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn requests_share_a_connection_also_pipelined() {
    let setup = setup(HttpLimits::default());
    let mut stream = setup.connect();
    let mut both = request("POST", "/echo", "{\"a\":1}");
    both.extend(request("POST", "/parts", ""));
    stream.write_all(&both).await.unwrap();
    let (head, body) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert_eq!(body, "{\"a\":1}");
    for line in [
        "content-type: application/json",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "content-security-policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is missing in {head}");
    }
    let (head, body) = answer(&mut stream).await;
    assert!(head.contains("\r\ncontent-length: 7\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-security-policy: own\r\n"), "the service's own value stays");
    assert_eq!(body, "{\"a\":1}");
    stream.write_all(&request("POST", "/echo", &"y".repeat(1_000_000))).await.unwrap();
    assert_eq!(answer(&mut stream).await.1.len(), 1_000_000);
}

#[tokio::test]
async fn a_refused_head_is_shown_to_the_service() {
    let mut setup = setup(HttpLimits::default());
    let mut stream = setup.connect();
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    assert!(answer(&mut stream).await.0.starts_with("http/1.1 403 "));
    assert!(matches!(setup.seen.recv().await, Some(Seen::Reject(reason)) if reason.contains("Host")));
    stream.write_all(&request("POST", "/parts", "")).await.unwrap();
    assert!(answer(&mut stream).await.0.starts_with("http/1.1 200 "), "the connection goes on");
}

#[tokio::test]
async fn malformed_and_oversized_heads_get_an_error() {
    let setup =
        setup(HttpLimits { header_bytes_max: 8 * 1024, header_count_max: 20, ..HttpLimits::default() });
    let long = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(9_000));
    let many = format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(20));
    for (text, status) in [("GARBAGE\r\n\r\n", "400"), (&long, "431"), (&many, "431")] {
        let mut stream = setup.connect();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{text:.40} gave {reply}");
        assert!(reply.contains("x-content-type-options: nosniff\r\n"), "{text:.40} gave {reply}");
        assert!(reply.ends_with("\r\n\r\n") && reply.matches("HTTP/1.1").count() == 1, "{reply}");
    }
}

#[tokio::test]
async fn a_disconnect_drops_the_call() {
    let mut setup = setup(HttpLimits::default());
    let mut stream = setup.connect();
    stream.write_all(&request("POST", "/hang", "{}")).await.unwrap();
    assert_eq!(setup.seen.recv().await, Some(Seen::Path("/hang".into())));
    drop(stream);
    assert_eq!(setup.seen.recv().await, Some(Seen::Dropped));
}

#[tokio::test]
async fn a_disconnect_ends_a_stream_of_events() {
    let mut setup = setup(HttpLimits::default());
    let mut stream = setup.connect();
    stream.write_all(&request("GET", "/events", "")).await.unwrap();
    let (head, _) = answer(&mut stream).await;
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\nx-accel-buffering: no\r\n"), "{head}");
    let mut chunk = [0; 15];
    stream.read_exact(&mut chunk).await.unwrap();
    assert_eq!(&chunk, b"A\r\ndata: {}\n\n\r\n");
    drop(stream);
    assert_eq!(setup.seen.recv().await, Some(Seen::Path("/events".into())));
    assert_eq!(setup.seen.recv().await, Some(Seen::Closed));
}

#[tokio::test]
async fn an_unread_body_does_not_hold_up_the_answer() {
    let setup = setup(HttpLimits::default());
    let mut stream = setup.connect();
    let head = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let (head, _) = answer(&mut stream).await;
    assert!(head.starts_with("http/1.1 401 "), "not 100: the body was never asked for: {head}");
}

#[tokio::test(start_paused = true)]
async fn slow_heads_slow_bodies_and_idle_connections_are_cut() {
    let limits = HttpLimits {
        head_time_max: Duration::from_secs(10),
        idle_time_max: Duration::from_secs(30),
        ..HttpLimits::default()
    };
    let mut setup = setup(limits);
    let end = |mut stream: DuplexStream| async move {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    };
    let start = Instant::now();
    end(setup.connect()).await;
    assert_eq!(start.elapsed().as_secs(), 10, "says nothing");

    let start = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(setup.connect());
    setup.tracker.spawn(async move {
        for byte in request("POST", "/echo", "{}") {
            writer.write_all(&[byte]).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        io::Result::Ok(())
    });
    reader.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10, "sends its head byte by byte");

    let mut stream = setup.connect();
    stream.write_all(&request("GET", "/parts", "")).await.unwrap();
    answer(&mut stream).await;
    let start = Instant::now();
    tokio::time::sleep(Duration::from_secs(25)).await;
    stream.write_all(b"POST /echo HTTP/1.1\r\n").await.unwrap();
    end(stream).await;
    assert_eq!(start.elapsed().as_secs(), 35, "idle for a while, then slow: the head has its own time");

    let mut stream = setup.connect();
    stream.write_all(&request("GET", "/parts", "")).await.unwrap();
    answer(&mut stream).await;
    let start = Instant::now();
    end(stream).await;
    assert_eq!(start.elapsed().as_secs(), 30, "idle");

    while setup.seen.try_recv().is_ok() {}
    let mut stream = setup.connect();
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{").await.unwrap();
    answer(&mut stream).await;
    assert_eq!(setup.seen.recv().await, Some(Seen::Path("/echo".into())));
    assert_eq!(setup.seen.recv().await, Some(Seen::Body(Err(BodyFault::TooSlow))));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
    let setup = setup(HttpLimits { idle_time_max: Duration::from_secs(30), ..HttpLimits::default() });
    let mut stream = setup.connect();
    stream.write_all(&request("GET", "/big", "")).await.unwrap();
    let start = Instant::now();
    let mut taken = 0;
    while start.elapsed() < Duration::from_secs(200) {
        tokio::time::sleep(Duration::from_secs(20)).await;
        taken += stream.read(&mut vec![0; 64 * 1024]).await.unwrap();
    }
    assert!(taken > 5 * 64 * 1024, "still served: {taken}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() < 1_000_000, "what was already in the pipe: {}", rest.len());
}

#[tokio::test]
async fn stopping_finishes_what_runs_and_closes_the_rest() {
    let mut setup = setup(HttpLimits::default());
    let mut idle = setup.connect();
    idle.write_all(&request("GET", "/parts", "")).await.unwrap();
    answer(&mut idle).await;
    setup.seen.recv().await;
    let mut busy = setup.connect();
    busy.write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    assert_eq!(setup.seen.recv().await, Some(Seen::Path("/echo".into())));
    setup.stop.cancel();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0, "the idle one is closed");
    busy.write_all(b"{}").await.unwrap();
    let (head, body) = answer(&mut busy).await;
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert_eq!(body, "{}");
    setup.tracker.close();
    setup.tracker.wait().await;
}

/// A stream that notes how much it was last asked to read.
struct Asked {
    stream: DuplexStream,
    bytes: Arc<AtomicUsize>,
}

impl AsyncRead for Asked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.bytes.store(buffer.remaining(), Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Asked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_gives_its_buffers_back_and_goes_on_where_it_was() {
    let setup = setup(HttpLimits::default());
    let bytes = Arc::new(AtomicUsize::new(0));
    let (mut stream, theirs) = tokio::io::duplex(64 * 1024);
    setup.server.admit(Asked { stream: theirs, bytes: Arc::clone(&bytes) }, PEER);
    let asked = || bytes.load(Ordering::Relaxed);
    let pause = || tokio::time::sleep(Duration::from_secs(5));

    let text = request("POST", "/echo", "{\"a\":1}");
    let (begin, end) = text.split_at(7);
    for _ in 0..3 {
        stream.write_all(begin).await.unwrap();
        pause().await;
        assert!(asked() > 4_096, "in the middle of a head: {}", asked());
        stream.write_all(end).await.unwrap();
        assert_eq!(answer(&mut stream).await.1, "{\"a\":1}");
        pause().await;
        assert!(asked() < 64, "at rest: {}", asked());
    }
    // The beginning of a request that came with the one before it is not lost.
    stream.write_all(&[&text, begin].concat()).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, "{\"a\":1}");
    pause().await;
    stream.write_all(end).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, "{\"a\":1}");
    pause().await;
    setup.stop.cancel();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "one at rest ends with the server");
    setup.tracker.close();
    setup.tracker.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_connection_rests_frees_its_place() {
    let setup = setup(HttpLimits { connections_per_address_max: 1, ..HttpLimits::default() });
    let mut first = setup.connect();
    first.write_all(&request("GET", "/parts", "")).await.unwrap();
    answer(&mut first).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(first);
    setup.tracker.close();
    setup.tracker.wait().await;
    let mut second = setup.connect();
    second.write_all(&request("GET", "/parts", "")).await.unwrap();
    assert!(answer(&mut second).await.0.starts_with("http/1.1 200 "));
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let setup = setup(HttpLimits { connections_per_address_max: 1, ..HttpLimits::default() });
    let first = setup.connect();
    let mut second = setup.connect();
    let mut reply = String::new();
    second.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("retry-after: 1\r\n"), "{reply}");
    assert!(reply.contains("x-content-type-options: nosniff\r\n"), "{reply}");
    drop(first);
    setup.tracker.close();
    setup.tracker.wait().await;
    let mut third = setup.connect();
    third.write_all(&request("GET", "/parts", "")).await.unwrap();
    assert!(answer(&mut third).await.0.starts_with("http/1.1 200 "));
}
