//! One API key.
//!
//! ```text
//! key      = "cm_" secret checksum                 52 characters
//! secret   = 43 characters of base64url            32 bytes from the system's random source, unpadded
//! checksum = 6 characters of base64url             the first 36 bits of SHA-256 of "cm_" secret
//! ```
//! The prefix and the checksum let a secret scanner recognize a key beyond doubt, and let us tell a key that
//! was mistyped or cut off from one that is not known. The checksum adds no secret and gives none away: it is a
//! function of the text that it stands beside. What is stored is SHA-256 of the whole text. A slow hash would
//! buy nothing: there are 2^256 secrets, not a dictionary of them.

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use casemate_mcp::names::RoleName;
use casemate_store::KeyRecord;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;

const PREFIX: &str = "cm_";
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const KEY_CHARS: usize = PREFIX.len() + SECRET_CHARS + CHECKSUM_CHARS;

/// How many bytes of the hash make the public id: enough that two keys of one installation never share one.
const ID_BYTES: usize = 6;

/// The text of a key. Whoever has it is its subject, so it is shown once and never kept; its memory is wiped.
#[derive(Clone)]
pub struct KeySecret(SecretString);

/// What a key is recognized by: SHA-256 of its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// What is to be known of a new key.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// The role that its holder acts in.
    pub role: RoleName,
    /// The patterns that it is narrowed to, which whoever makes it has checked; by none when absent.
    pub scope: Option<Vec<String>>,
    /// From when on it is refused, in seconds since 1970; never when absent.
    pub expires: Option<u64>,
}

/// The system has no random bytes to give. There is no other source that would do.
#[derive(Debug, Error)]
#[error("the system gives no random bytes, so no key can be made")]
pub struct EntropyFault(#[source] pub(crate) getrandom::Error);

/// Makes a key: the secret for whoever asked, and the record to store.
///
/// # Errors
/// [`EntropyFault`].
pub fn issue(wanted: NewKey, now_unix_s: u64) -> Result<(KeySecret, KeyRecord), EntropyFault> {
    let secret = KeySecret::generate()?;
    let hash = KeyHash::of(secret.expose());
    let record = KeyRecord {
        id: hash.id(),
        name: wanted.name,
        role: wanted.role,
        scope: wanted.scope,
        hash: hash.0,
        created: now_unix_s,
        expires: wanted.expires,
        revoked: None,
        last_used: None,
    };
    Ok((secret, record))
}

impl KeySecret {
    /// Makes a new key of 256 random bits.
    ///
    /// # Errors
    /// [`EntropyFault`].
    pub fn generate() -> Result<Self, EntropyFault> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(EntropyFault)?;
        // Large enough from the start: a text that grows leaves a copy of itself behind.
        let mut text = Zeroizing::new(String::with_capacity(KEY_CHARS));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        let checksum = checksum(&text);
        text.extend(checksum.iter().map(|byte| char::from(*byte)));
        Ok(KeySecret(SecretString::from(text.as_str())))
    }

    /// The text itself, for the one time that it is shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(redacted)")
    }
}

impl KeyHash {
    /// The hash of a text that has the form of a key and the right checksum.
    #[must_use]
    pub fn read(presented: &str) -> Option<Self> {
        let (secret, sum) = presented.split_at_checked(KEY_CHARS - CHECKSUM_CHARS)?;
        // Whether a text is well formed is no secret: anyone can work it out without us.
        let is_key =
            presented.len() == KEY_CHARS && secret.starts_with(PREFIX) && checksum(secret) == sum.as_bytes();
        is_key.then(|| KeyHash::of(presented))
    }

    /// The hash as it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public id of the key: 12 hexadecimal digits of the hash, so that whoever holds a key can tell which
    /// entry of a list or a log it is.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares without telling by its duration where the two differ.
    pub(crate) fn ct_eq(&self, stored: &[u8; 32]) -> Choice {
        self.0.ct_eq(stored)
    }

    /// The hash of a stored key.
    pub(crate) fn stored(hash: [u8; 32]) -> Self {
        KeyHash(hash)
    }

    fn of(text: &str) -> Self {
        KeyHash(Sha256::digest(text).into())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(redacted)")
    }
}

fn checksum(secret: &str) -> [u8; CHECKSUM_CHARS] {
    let digest = Sha256::digest(secret);
    let mut out = [b'A'; CHECKSUM_CHARS];
    let mut encoded = [0; SECRET_CHARS];
    if URL_SAFE_NO_PAD.encode_slice(digest, &mut encoded).is_ok() {
        for (out, encoded) in out.iter_mut().zip(encoded) {
            *out = encoded;
        }
    }
    out
}
