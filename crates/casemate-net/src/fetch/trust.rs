//! Whose certificates are trusted.

use std::fmt::{self, Debug};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::sync::OnceCell;

/// Whose certificates are trusted: those of the system, and further ones. They are read with the first connection, away
/// from the threads that serve calls, since that takes longer than all else of it.
pub struct Trust {
    further: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// Why certificates cannot be trusted.
#[derive(Debug, Error)]
pub enum TrustFault {
    /// The text is no list of certificates.
    #[error("there is no certificate in the form of PEM\nhint: it begins with -----BEGIN CERTIFICATE-----")]
    Pem,
    /// The system has no certificates, and no other was given.
    #[error("this system has no trusted certificates\nhint: install the package ca-certificates")]
    None,
    /// One that cannot be used, or no TLS.
    #[error("the certificates cannot be used")]
    Unusable(#[source] rustls::Error),
}

impl Trust {
    /// Those of the system.
    #[must_use]
    pub fn system() -> Trust {
        Trust { further: Vec::new(), config: OnceCell::new() }
    }

    /// Those of the system, and all of a PEM file.
    ///
    /// # Errors
    /// [`TrustFault`].
    pub fn and_pem(pem: &[u8]) -> Result<Trust, TrustFault> {
        let further = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let further = further.map_err(|_| TrustFault::Pem)?;
        if further.is_empty() {
            return Err(TrustFault::Pem);
        }
        let mut roots = RootCertStore::empty();
        for certificate in &further {
            roots.add(certificate.clone()).map_err(TrustFault::Unusable)?;
        }
        Ok(Trust { further, config: OnceCell::new() })
    }

    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, TrustFault> {
        let config = self.config.get_or_try_init(|| async {
            let further = self.further.clone();
            let made = tokio::task::spawn_blocking(move || config(further)).await;
            made.unwrap_or(Err(TrustFault::None))
        });
        config.await.map(Arc::clone)
    }
}

impl Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("further", &self.further.len()).finish_non_exhaustive()
    }
}

/// Whom the system trusts.
pub(super) fn system_roots() -> Result<RootCertStore, TrustFault> {
    roots(Vec::new())
}

fn roots(further: Vec<CertificateDer<'static>>) -> Result<RootCertStore, TrustFault> {
    let mut roots = RootCertStore::empty();
    // A single certificate of the system that cannot be read is no reason to trust none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(further);
    if roots.is_empty() { Err(TrustFault::None) } else { Ok(roots) }
}

fn config(further: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, TrustFault> {
    let roots = roots(further)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(TrustFault::Unusable)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
