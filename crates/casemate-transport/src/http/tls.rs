//! TLS on the listener: our certificate, those of clients, and both read anew while connections go on.

mod certificate;
mod files;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use certificate::{ClientCertificate, Validity};
pub use files::FileFault;

/// How long a handshake may take. A client needs two round trips; whoever takes longer holds a place for nothing.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// Where certificates and keys lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate and those that lead to its authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM; readable by its owner alone.
    pub key: PathBuf,
    /// Whose certificates clients may show.
    pub clients: Option<ClientFiles>,
}

/// What is asked of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities that sign their certificates, PEM.
    pub authorities: PathBuf,
    /// Whether a client may do without.
    pub demand: Demand,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// One that has none can show another credential.
    Offered,
    /// Without one there is no connection.
    Required,
}

/// Why there can be no TLS.
#[derive(Debug, Error)]
pub enum TlsFault {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileFault),
    /// A file does not hold what it should.
    #[error("{} holds no {wanted} in the form of PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The certificate is none, or its key is another's.
    #[error("the certificate {} and the key {} cannot be used together", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The authorities of clients cannot be used.
    #[error("the certificates of {} cannot be used as authorities", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a look at the files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// What was in force still is.
    Same,
    /// New connections get what is there now; those that are open keep what they began with.
    Changed,
}

/// The TLS of a listener.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    /// What the configuration was made from.
    read: Mutex<Read>,
}

/// What was in the files.
#[derive(PartialEq, Eq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Option<Vec<u8>>,
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Read(…)")
    }
}

impl Tls {
    /// Reads everything.
    ///
    /// # Errors
    /// [`TlsFault`].
    pub fn open(files: TlsFiles) -> Result<Arc<Tls>, TlsFault> {
        let read = Read::of(&files)?;
        let config = ArcSwap::from_pointee(read.config(&files)?);
        Ok(Arc::new(Tls { files, config, read: Mutex::new(read) }))
    }

    /// Reads everything anew. When something is wrong with it, what was in force stays so.
    ///
    /// # Errors
    /// [`TlsFault`].
    pub fn reload(&self) -> Result<Reloaded, TlsFault> {
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Read::of(&self.files)?;
        if *before == now {
            return Ok(Reloaded::Same);
        }
        self.config.store(Arc::new(now.config(&self.files)?));
        *before = now;
        Ok(Reloaded::Changed)
    }

    /// The files that are read.
    #[must_use]
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// When our certificate begins and ceases to be valid; `None` when it does not say so in a way that we understand.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Validity::of_pem(&read.certificate)
    }

    /// Shakes hands, within bounds: 64 KiB of messages (rustls), and a time.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let handshake = TlsAcceptor::from(self.config.load_full()).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("it took too long".to_owned()),
        }
    }
}

impl Read {
    fn of(files: &TlsFiles) -> Result<Read, TlsFault> {
        let authorities = files.clients.as_ref().map(|clients| files::public(&clients.authorities));
        Ok(Read {
            certificate: files::public(&files.certificate)?,
            key: files::private(&files.key)?,
            authorities: authorities.transpose()?,
        })
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsFault> {
        let chain = certificates(&self.certificate);
        let chain =
            chain.ok_or_else(|| TlsFault::Pem { path: files.certificate.clone(), wanted: "certificate" })?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|_| TlsFault::Pem { path: files.key.clone(), wanted: "private key" })?;
        let unusable = |source| TlsFault::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions);
        let builder = builder.map_err(unusable)?;
        let builder = match (&files.clients, &self.authorities) {
            (Some(clients), Some(pem)) => {
                let fault = |source| TlsFault::Authorities { path: clients.authorities.clone(), source };
                let none = || TlsFault::Pem { path: clients.authorities.clone(), wanted: "certificate" };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem).ok_or_else(none)? {
                    roots.add(certificate).map_err(|error| fault(error.into()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match clients.demand {
                    Demand::Offered => verifier.allow_unauthenticated(),
                    Demand::Required => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| fault(error.into()))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.require_ems = true;
        if files.clients.is_some() {
            // A resumed session would bring back a certificate that nobody looked at again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(config)
    }
}

/// All certificates of a PEM file; `None` when there is none, or something is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty())
}

/// The certificate that the client showed, which rustls has verified: its chain, its dates, its purpose, and that the
/// client holds its key.
pub(super) fn shown(stream: &TlsStream<TcpStream>) -> Option<Arc<ClientCertificate>> {
    let (_, connection) = stream.get_ref();
    let shown = connection.peer_certificates()?.first()?;
    ClientCertificate::of_der(shown).map(Arc::new)
}
