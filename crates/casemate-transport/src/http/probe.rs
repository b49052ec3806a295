//! One request to a listener, to see what it answers: for `doctor`, which looks at its own gateway.
//!
//! It sends no credential and takes any certificate, since it asks what is there and trusts nothing of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a listener may take for an answer.
const TIME_MAX: Duration = Duration::from_secs(5);
/// More than the head of any answer of ours.
const HEAD_MAX: u64 = 16 * 1024;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name to ask for, where it speaks TLS.
    pub tls: Option<String>,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its status.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Seen {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Option<Seen> {
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Some(Seen { status, headers: headers.collect() })
    }
}

impl Probe {
    /// Sends the lines of a request's head, without the last empty one, and reads the head of the answer.
    ///
    /// # Errors
    /// What the system or the TLS library says; an answer that is none of HTTP.
    pub async fn ask(&self, head: &str) -> io::Result<Seen> {
        let asked = async {
            let stream = TcpStream::connect(self.address).await?;
            match &self.tls {
                None => exchange(stream, head).await,
                Some(name) => {
                    let name = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
                    exchange(connector()?.connect(name, stream).await?, head).await
                }
            }
        };
        tokio::time::timeout(TIME_MAX, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn exchange<I: AsyncRead + AsyncWrite + Unpin>(mut stream: I, head: &str) -> io::Result<Seen> {
    let lines = head.trim_end().replace('\n', "\r\n");
    stream.write_all(format!("{lines}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut bytes = Vec::new();
    // The end of a connection can be a reset when it comes with the answer.
    let read = stream.take(HEAD_MAX).read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    match text.split_once("\r\n\r\n").and_then(|(head, _)| Seen::parse(head)) {
        Some(seen) => Ok(seen),
        None => Err(read.err().unwrap_or_else(|| io::ErrorKind::InvalidData.into())),
    }
}

fn connector() -> io::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.dangerous();
    let config = builder.with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes every certificate.
#[derive(Debug)]
pub(super) struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
