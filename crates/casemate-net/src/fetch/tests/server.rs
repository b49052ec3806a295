//! A server that answers with exactly the bytes that it is told to.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What is sent once a request has arrived, and what follows.
#[derive(Clone)]
pub(super) enum Answer {
    /// These bytes, and the end.
    Bytes(String),
    /// These bytes, and nothing more, while the connection stays open.
    Stall(String),
    /// The first bytes, and then the second ones for ever.
    Endless(String, String),
}

impl Answer {
    pub(super) fn json(body: &str) -> Answer {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        Answer::Bytes(format!("{head}content-length: {}\r\n\r\n{body}", body.len()))
    }

    pub(super) fn redirect(to: &str) -> Answer {
        Answer::Bytes(format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
        ))
    }
}

/// Listens on 127.0.0.1, with TLS for `issuer.example` and for its address, and without.
pub(super) struct Server {
    plain: u16,
    secure: u16,
    certificate: String,
    seen: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Gives one answer after another, and the last one from then on.
    pub(super) async fn with(answers: impl IntoIterator<Item = Answer>) -> Server {
        let names = ["issuer.example".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let script = Script { answers: Arc::new(answers.into_iter().collect()), seen: Arc::default() };
        let (plain, secure) = (listener().await, listener().await);
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let mut server = Server {
            plain: port(&plain),
            secure: port(&secure),
            certificate: pem(made.cert.der()),
            seen: Arc::clone(&script.seen),
            _tasks: JoinSet::new(),
        };
        let of_plain = script.clone();
        server._tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = plain.accept().await {
                open.spawn(of_plain.clone().serve(stream));
            }
        });
        server._tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = secure.accept().await {
                let (acceptor, script) = (acceptor.clone(), script.clone());
                open.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        script.serve(stream).await;
                    }
                });
            }
        });
        server
    }

    /// An address of it over TLS, under any name.
    pub(super) fn at(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.secure)
    }

    /// An address of it without TLS, under any name.
    pub(super) fn plain_at(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.plain)
    }

    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// All requests that have arrived, each as it came.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

#[derive(Clone)]
struct Script {
    answers: Arc<Vec<Answer>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(request) = request(&mut stream).await else { return };
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(request);
            (seen.len() - 1).min(self.answers.len() - 1)
        };
        let (first, then) = match &self.answers[index] {
            Answer::Bytes(bytes) | Answer::Stall(bytes) => (bytes, None),
            Answer::Endless(first, then) => (first, Some(then)),
        };
        let mut written = stream.write_all(first.as_bytes()).await;
        while let (Ok(()), Some(then)) = (&written, then) {
            written = stream.write_all(then.as_bytes()).await;
        }
        if matches!(self.answers[index], Answer::Stall(_)) {
            // Until the other side goes.
            let _ = stream.flush().await;
            let _ = stream.read(&mut [0; 1]).await;
        }
        let _ = stream.shutdown().await;
    }
}

/// A head, and as much of a body as it announces.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= announced.map_or(0, |length| length.parse().unwrap()) {
            return Some(text);
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener")
}

fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for chunk in der.chunks(48) {
        for three in chunk.chunks(3) {
            let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for digit in 0..4 {
                let is_filled = digit <= three.len();
                let index = (bits >> (18 - 6 * digit)) as usize & 63;
                text.push(if is_filled { DIGITS[index].into() } else { '=' });
            }
        }
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}
