//! What a certificate says.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// A client's certificate, verified when its connection was made: its chain, its dates, its purpose, and that the client
/// holds its key. Whom it stands for is for others to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate itself, DER.
    pub der: Box<[u8]>,
    /// When it is good. A connection can outlive it, so whoever accepts it looks at the clock.
    pub validity: Validity,
}

/// When a certificate is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: u64,
    /// The last one.
    pub until: u64,
}

impl ClientCertificate {
    /// Reads a certificate; `None` when it cannot be understood, which makes it nobody's.
    pub(super) fn of_der(der: &CertificateDer<'_>) -> Option<ClientCertificate> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        let validity = Validity::of(&parsed)?;
        rest.is_empty().then(|| ClientCertificate { der: der.as_ref().into(), validity })
    }
}

impl Validity {
    /// Of the first certificate of a PEM file.
    #[must_use]
    pub fn of_pem(pem: &[u8]) -> Option<Validity> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        Validity::of(&parsed)
    }

    /// Whether it is good at that time.
    #[must_use]
    pub fn covers(self, unix_s: u64) -> bool {
        (self.from..=self.until).contains(&unix_s)
    }

    fn of(parsed: &X509Certificate<'_>) -> Option<Validity> {
        let validity = parsed.validity();
        let seconds = |time: i64| u64::try_from(time).ok();
        let until = seconds(validity.not_after.timestamp())?;
        // What began before 1970 has begun.
        Some(Validity { from: seconds(validity.not_before.timestamp()).unwrap_or(0), until })
    }
}
