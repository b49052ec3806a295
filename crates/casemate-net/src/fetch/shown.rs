//! A certificate that we show ourselves, seen as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use thiserror::Error;

use super::trust::{TrustFault, system_roots};

/// Why a client would not accept it.
#[derive(Debug, Error)]
pub enum ShownFault {
    /// The text is no list of certificates.
    #[error("there is no certificate in the form of PEM")]
    Pem,
    /// It is for other names.
    #[error("it is not for {name}")]
    Name {
        /// What clients call us.
        name: String,
    },
    /// It has ended, or has not begun.
    #[error("it, or one that vouches for it, is not valid at this time")]
    Time,
    /// No authority that this machine trusts vouches for it, or what is between the two is not in the file.
    #[error("no authority that this system trusts vouches for it, with what is in the file")]
    Untrusted,
    /// This machine trusts nobody.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// Something else is wrong with it.
    #[error("it would not be accepted")]
    Other(#[source] Error),
}

/// Whether a client that trusts whom this machine trusts accepts a chain of certificates (PEM, our own first) for a name,
/// at a time in seconds since 1970.
///
/// # Errors
/// [`ShownFault`].
pub fn accepted(pem: &[u8], name: &str, unix_s: u64) -> Result<(), ShownFault> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    judged(&chain.map_err(|_| ShownFault::Pem)?, name, unix_s)
}

fn judged(chain: &[CertificateDer<'static>], name: &str, unix_s: u64) -> Result<(), ShownFault> {
    let (own, between) = chain.split_first().ok_or(ShownFault::Pem)?;
    let other = || ShownFault::Name { name: name.to_owned() };
    let server = ServerName::try_from(name.to_owned()).map_err(|_| other())?;
    // Before who vouches for it: a wrong name is wrong whoever does.
    let parsed = ParsedCertificate::try_from(own).map_err(ShownFault::Other)?;
    verify_server_name(&parsed, &server).map_err(|_| other())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(system_roots()?);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(|_| TrustFault::None)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(unix_s));
    match verifier.verify_server_cert(own, between, &server, &[], now) {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Err(ShownFault::Untrusted),
        Err(Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Err(ShownFault::Time),
        Err(fault) => Err(ShownFault::Other(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_its_name_first_and_then_by_who_vouches_for_it() {
        let made = rcgen::generate_simple_self_signed(vec!["mcp.example.com".to_owned()]).unwrap();
        let judge = |name: &str| judged(&[made.cert.der().clone()], name, 1_800_000_000).unwrap_err();
        for other in ["example.com", "mcp.example.com.evil", "127.0.0.1", "::1", "no name", ""] {
            assert!(matches!(judge(other), ShownFault::Name { .. }), "{other}");
        }
        // Nobody vouches for it, or there is nobody on this machine who could.
        let alone = judge("mcp.example.com");
        assert!(matches!(alone, ShownFault::Untrusted | ShownFault::Trust(_)), "{alone:?}");
        for nothing in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "hello"] {
            let fault = accepted(nothing.as_bytes(), "mcp.example.com", 0).unwrap_err();
            assert!(matches!(fault, ShownFault::Pem | ShownFault::Other(_)), "{nothing:?}: {fault:?}");
        }
    }
}
