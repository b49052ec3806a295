//! Certificates of clients: whom one stands for.
//!
//! The transport has verified the certificate: its chain up to an authority that is trusted for clients, its dates, and
//! that the client has the private key. Here it is only read.

#[cfg(test)]
mod tests;

use casemate_mcp::names::RoleName;
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Bytes of a certificate. Those with dozens of names have some 4 KiB.
const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;

/// How many names of a certificate are looked at.
const NAMES_MAX: usize = 256;

/// Which certificates are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Our name for whoever holds them.
    pub name: String,
    /// What their roles are.
    pub roles: Vec<RoleName>,
    /// SHA-256 of a certificate: this very one, whoever has issued it.
    pub sha256: Option<[u8; 32]>,
    /// Names of which a certificate has one, as it has it: `DNS:`, `URI:` or `email:` and an alternative name, or `CN:`
    /// and the subject's common name.
    pub names: Vec<String>,
}

/// Why a certificate stands for nobody.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateFault {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// No entry speaks of it.
    #[error("no entry of identity.certificates speaks of the certificate {0}")]
    Unknown(String),
    /// Several do.
    #[error("several entries of identity.certificates speak of the certificate: {0}")]
    Ambiguous(String),
}

/// Whose a certificate is; `der` is the certificate itself.
///
/// # Errors
/// [`CertificateFault`].
pub fn holder<'a>(holders: &'a [Holder], der: &[u8]) -> Result<&'a Holder, CertificateFault> {
    if der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateFault::Malformed);
    }
    let names = names(der)?;
    let sha256: [u8; 32] = Sha256::digest(der).into();
    let is_theirs = |holder: &&Holder| {
        holder.sha256 == Some(sha256) || holder.names.iter().any(|name| names.contains(name))
    };
    let found = holders.iter().filter(is_theirs).collect::<Vec<_>>();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            Err(CertificateFault::Unknown(sha256.iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
        }
        several => {
            let names = several.iter().map(|holder| holder.name.as_str()).collect::<Vec<_>>();
            Err(CertificateFault::Ambiguous(names.join(", ")))
        }
    }
}

fn names(der: &[u8]) -> Result<Vec<String>, CertificateFault> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateFault::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateFault::Malformed);
    }
    let mut names = Vec::new();
    // Of several common names none is the one (a name that is read in two ways is none).
    let mut common = certificate.subject().iter_common_name();
    if let (Some(one), None) = (common.next(), common.next()) {
        names.extend(one.as_str().ok().map(|name| format!("CN:{name}")));
    }
    let alternative = certificate.subject_alternative_name().map_err(|_| CertificateFault::Malformed)?;
    for name in alternative.iter().flat_map(|names| &names.value.general_names).take(NAMES_MAX) {
        match name {
            GeneralName::DNSName(name) => names.push(format!("DNS:{name}")),
            GeneralName::URI(name) => names.push(format!("URI:{name}")),
            GeneralName::RFC822Name(name) => names.push(format!("email:{name}")),
            _ => {}
        }
    }
    Ok(names)
}
