//! What a certificate says.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Most names of one certificate that are looked at.
const NAMES_MAX: usize = 64;

/// A client's certificate, verified when its connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the whole certificate: names it and no other.
    pub fingerprint: [u8; 32],
    /// Whom it was made for, as `CN=agent, O=Example`.
    pub subject: Box<str>,
    /// Its alternative names.
    pub names: Vec<AlternativeName>,
    /// When it is good. A connection can outlive it, so whoever accepts it looks at the clock.
    pub validity: Validity,
}

/// One alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlternativeName {
    /// A name of the DNS.
    Dns(Box<str>),
    /// An address of electronic mail.
    Email(Box<str>),
    /// A URI, such as `spiffe://example.com/agent`.
    Uri(Box<str>),
    /// An IP address.
    Ip(IpAddr),
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
        if !rest.is_empty() {
            return None;
        }
        let extension = parsed.subject_alternative_name().ok()?;
        let names = extension.map(|extension| &extension.value.general_names);
        let names = names.into_iter().flatten().take(NAMES_MAX).filter_map(AlternativeName::of).collect();
        Some(ClientCertificate {
            fingerprint: Sha256::digest(der.as_ref()).into(),
            subject: parsed.subject().to_string().into(),
            names,
            validity: Validity::of(&parsed)?,
        })
    }

    /// The fingerprint in hexadecimal digits, as `openssl x509 -fingerprint -sha256` has it without colons, in lower case.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        self.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl AlternativeName {
    fn of(name: &GeneralName<'_>) -> Option<AlternativeName> {
        Some(match name {
            GeneralName::DNSName(text) => AlternativeName::Dns((*text).into()),
            GeneralName::RFC822Name(text) => AlternativeName::Email((*text).into()),
            GeneralName::URI(text) => AlternativeName::Uri((*text).into()),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
                let six = || <[u8; 16]>::try_from(*bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
                AlternativeName::Ip(four.or_else(|_| six()).ok()?)
            }
            _ => return None,
        })
    }
}

impl fmt::Display for AlternativeName {
    /// With its kind in front, as OpenSSL writes it: `DNS:agent.example`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlternativeName::Dns(text) => write!(f, "DNS:{text}"),
            AlternativeName::Email(text) => write!(f, "email:{text}"),
            AlternativeName::Uri(text) => write!(f, "URI:{text}"),
            AlternativeName::Ip(address) => write!(f, "IP:{address}"),
        }
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
