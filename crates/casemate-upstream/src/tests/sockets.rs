//! Servers over a WebSocket or a plain socket that do what they should not, and the credentials that they are shown.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use casemate_net::Plain;
use casemate_testkit::fixture::Guard;
use casemate_testkit::{Era, Fixture};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::fakes::{caller, entry, host, tool, value};
use crate::entry::{Carrier, HttpSource, OutputRate, SocketSource, Source};
use crate::{
    Credentials, Errand, Fault, Fetching, Host, Invitation, Launch, Launcher, Process, Rejection, Remedy,
    Server, Soon,
};

/// Tokens that are handed out one after the other, and what was said when one was refused.
#[derive(Debug, Default)]
struct Tokens {
    left: Mutex<Vec<&'static str>>,
    current: Mutex<Option<SecretString>>,
    refusals: Mutex<Vec<u16>>,
}

impl Credentials for Tokens {
    fn token<'a>(&'a self, _: Errand<'a>) -> Fetching<'a, Option<SecretString>> {
        Box::pin(async { self.current.lock().unwrap().clone() })
    }

    fn refused<'a>(&'a self, _: Errand<'a>, rejection: Rejection<'a>) -> Fetching<'a, Remedy> {
        self.refusals.lock().unwrap().push(rejection.status.as_u16());
        let next = self.left.lock().unwrap().pop().map(SecretString::from);
        Box::pin(async move {
            match next {
                Some(token) => {
                    *self.current.lock().unwrap() = Some(token.clone());
                    Remedy::Token(token)
                }
                None => Remedy::Login,
            }
        })
    }

    fn invite<'a>(&'a self, _: Errand<'a>) -> Fetching<'a, Option<Invitation>> {
        Box::pin(std::future::ready(None))
    }

    fn present(&self, _: &casemate_policy::SubjectId, _: &str) {}
}

/// Nothing is started here.
#[derive(Debug)]
struct NoLauncher;

impl Launcher for NoLauncher {
    fn launch(&self, _: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(std::future::ready(Err("nothing is started here".to_owned())))
    }
}

fn hosted(tokens: Arc<Tokens>) -> Arc<Host> {
    let (sink, _) = mpsc::channel(16);
    let host = host(Arc::new(NoLauncher), TaskTracker::new(), sink);
    let mut host = Arc::into_inner(host).expect("nobody else has it");
    host.credentials = tokens;
    Arc::new(host)
}

fn websocket(address: std::net::SocketAddr, headers: &[(&str, &str)]) -> Source {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
    Source::Http(HttpSource {
        url: format!("http://{address}/ws").parse().unwrap(),
        carrier: Carrier::WebSocket,
        headers: headers.collect(),
        oauth: Default::default(),
    })
}

fn server_of(source: Source, tokens: Arc<Tokens>) -> Arc<Server> {
    let mut entry = entry();
    entry.source = source;
    Server::new(Arc::new(entry), hosted(tokens))
}

async fn echo(server: &Server) -> Result<serde_json::Value, Fault> {
    let (events, _kept) = mpsc::channel(4);
    let call = tool(&json!({"name": "echo", "arguments": {"message": "hi"}}).to_string());
    let outcome = timeout(Duration::from_secs(20), server.call(&caller(1), &call, events)).await;
    value(outcome.expect("the call ended")).map(|result| result["content"][0]["text"].clone())
}

async fn guarded() -> (std::net::SocketAddr, Guard) {
    Fixture::new(Era::Dual).listen_sockets(Some("s3cret")).await.unwrap()
}

#[tokio::test]
async fn what_may_be_said_over_time_holds_for_whole_messages_too() {
    let (sockets, _one) = Fixture::new(Era::Legacy).listen_sockets(None).await.unwrap();
    let (events, _two) = Fixture::new(Era::Legacy).listen_events().await.unwrap();
    let over_events = HttpSource {
        url: format!("http://{events}/sse").parse().unwrap(),
        carrier: Carrier::Http,
        headers: Default::default(),
        oauth: Default::default(),
    };
    for source in [websocket(sockets, &[]), Source::Http(over_events)] {
        let server = |rate| {
            let mut entry = entry();
            (entry.source, entry.output) = (source.clone(), rate);
            Server::new(Arc::new(entry), hosted(Arc::default()))
        };
        let message = "x".repeat(30_000);
        let arguments = json!({"name": "echo", "arguments": {"message": message}}).to_string();
        let say = async |server: &Server| {
            let (events, _kept) = mpsc::channel(4);
            let call = tool(&arguments);
            let outcome = timeout(Duration::from_secs(20), server.call(&caller(1), &call, events)).await;
            outcome.expect("the call ended").map(drop)
        };
        let usual = server(OutputRate::default());
        for _ in 0..10 {
            say(&usual).await.unwrap();
        }
        // Sixteen times that may come at once: two of these messages, and in the time that all take not all ten.
        let rate = OutputRate { bytes_per_second: 4 << 10 };
        let (bounded, mut said) = (server(rate), Ok(()));
        for _ in 0..10 {
            said = said.and(say(&bounded).await);
        }
        assert_eq!(said.unwrap_err(), Fault::OverLimit { overrun: rate.overrun() });
    }
}

#[tokio::test]
async fn a_websocket_is_asked_for_with_the_credentials_of_a_request() {
    let (address, _guard) = guarded().await;
    let with_header = websocket(address, &[("Authorization", "Bearer s3cret")]);
    assert_eq!(echo(&server_of(with_header, Arc::default())).await.unwrap(), "hi");

    // Without a token, with an old one and with a good one: a login's token is asked for as over HTTP.
    let tokens = Arc::new(Tokens { left: Mutex::new(vec!["s3cret"]), ..Tokens::default() });
    assert_eq!(echo(&server_of(websocket(address, &[]), Arc::clone(&tokens))).await.unwrap(), "hi");
    assert_eq!(*tokens.refusals.lock().unwrap(), [401]);

    let tokens = Arc::new(Tokens { left: Mutex::new(vec!["worse", "wrong"]), ..Tokens::default() });
    let fault = echo(&server_of(websocket(address, &[]), tokens)).await.unwrap_err();
    assert_eq!(fault, Fault::Login);

    let wrong = websocket(address, &[("Authorization", "Bearer wrong")]);
    let fault = echo(&server_of(wrong, Arc::default())).await.unwrap_err().to_string();
    assert!(fault.contains("opens no WebSocket") && fault.contains("401"), "{fault}");
    assert!(!fault.contains("wrong"), "{fault}");
}

/// Answers one connection with this text once it has read a head.
async fn answering(text: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            _ = stream.get_mut().write_all(text.as_bytes()).await;
            // The client may keep the connection or not.
            _ = stream.read_line(&mut line).await;
        }
    });
    address
}

#[tokio::test]
async fn a_handshake_that_answers_another_request_is_none() {
    let wrong_key = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let no_key = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for (text, expected) in [
        (wrong_key, "does not fit the key"),
        (no_key, "does not fit the key"),
        (page, "answers with status 200"),
        ("HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n", "status 302"),
    ] {
        let server = server_of(websocket(answering(text).await, &[]), Arc::default());
        let fault = echo(&server).await.unwrap_err();
        assert!(matches!(fault, Fault::Start { .. }), "{fault:?}");
        assert!(fault.to_string().contains(expected), "{fault}");
    }
}

#[tokio::test]
async fn noise_ends_a_connection_where_it_is_put_up_with_on_a_pipe() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Plain::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            _ = stream.write_all(b"220 mail.example ESMTP ready\r\n").await;
            let mut line = String::new();
            _ = BufReader::new(stream).read_line(&mut line).await;
        }
    });
    let server = server_of(Source::Socket(SocketSource::Tcp(place)), Arc::default());
    let fault = echo(&server).await.unwrap_err().to_string();
    assert!(fault.contains("no message"), "{fault}");
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.sock");
    let unix = |path: &Path| Source::Socket(SocketSource::Unix(path.to_owned()));
    let fault = echo(&server_of(unix(&path), Arc::default())).await.unwrap_err().to_string();
    assert!(fault.contains("none.sock does not answer"), "{fault}");
    drop(UnixListener::bind(&path).unwrap());
    let fault = echo(&server_of(unix(&path), Arc::default())).await.unwrap_err().to_string();
    assert!(fault.contains("none.sock does not answer"), "{fault}");
    let metadata = Plain::parse("169.254.169.254:80").unwrap();
    let server = server_of(Source::Socket(SocketSource::Tcp(metadata)), Arc::default());
    let fault = echo(&server).await.unwrap_err().to_string();
    assert!(fault.contains("metadata service"), "{fault}");
}

#[tokio::test]
async fn a_server_that_takes_no_posts_and_has_no_stream_of_events_is_told_apart() {
    let remote = |address: std::net::SocketAddr| {
        Source::Http(HttpSource {
            url: format!("http://{address}/sse").parse().unwrap(),
            carrier: Carrier::Http,
            headers: Default::default(),
            oauth: Default::default(),
        })
    };
    let nothing =
        answering("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 7\r\n\r\nno such").await;
    let fault = echo(&server_of(remote(nothing), Arc::default())).await.unwrap_err().to_string();
    assert!(fault.contains("status 404") && fault.contains("no such"), "{fault}");
    // Its posts would carry our credentials.
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n\
                  event: endpoint\ndata: http://evil.example/take\n\n";
    let elsewhere = by_method("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", stream).await;
    let fault = echo(&server_of(remote(elsewhere), Arc::default())).await.unwrap_err().to_string();
    assert!(fault.contains("405") && fault.contains("another server"), "{fault}");
}

/// Answers posts with the one and everything else with the other.
async fn by_method(posts: &'static str, others: &'static str) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            TaskTracker::new().spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut line, mut is_post) = (String::new(), false);
                while line != "\r\n" {
                    line.clear();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    is_post |= line.starts_with("POST ");
                }
                let text = if is_post { posts } else { others };
                _ = stream.get_mut().write_all(text.as_bytes()).await;
                if !is_post {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    address
}
