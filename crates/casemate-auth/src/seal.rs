//! Sealed tokens: what we hand out, and take back only unchanged, in time and from whom it was made for.
//!
//! ```text
//! token  = base64url( header nonce sealed )          unpadded
//! header = version:1 purpose:1 key:4 owner:8 expires:8
//! sealed = AES-256-GCM( context:32 payload )         with the header as associated data
//! ```
//! `context` is SHA-256 over what the token is bound to: a subject, a server, a method, and a digest of the params.
//! It is sealed in and compared after opening, which binds as strongly as associated data would, and lets the log
//! tell a token of somebody else from one that was tampered with. The header can be read by everybody, so that another
//! replica can see whose token it is; nothing is believed of it before the token was opened.
//!
//! Nonces are random. A key seals for [`ROTATE_EVERY_S`] at most, which keeps a collision of 96 bits out of reach at any
//! rate that we can serve, and opens until the last of its tokens has expired.

mod keeper;
mod ring;
#[cfg(test)]
mod tests;

use std::fmt;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use keeper::{Keeper, KeeperFault};
pub use ring::{LIFE_MAX_S, ROTATE_EVERY_S, Ring};

use crate::key::EntropyFault;

const VERSION: u8 = 1;
const HEADER: usize = 22;
const NONCE: usize = 12;
const TAG: usize = 16;
const CONTEXT: usize = 32;

/// Largest payload, in bytes. A token travels in headers and in params.
pub const PAYLOAD_MAX: usize = 64 * 1024;

/// What a token is for. A token of one purpose is nothing for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The id of a legacy client's session.
    Session,
    /// The state of a call that waits for an answer of its client (`requestState`).
    State,
    /// The id of a task.
    Task,
    /// The id of an event that a stream can be resumed after.
    Event,
    /// A link to a result that is kept.
    Result,
    /// A cookie of the console.
    Cookie,
}

impl Purpose {
    fn byte(self) -> u8 {
        match self {
            Purpose::Session => 1,
            Purpose::State => 2,
            Purpose::Task => 3,
            Purpose::Event => 4,
            Purpose::Result => 5,
            Purpose::Cookie => 6,
        }
    }
}

/// What a token is bound to. Whoever opens it has to name the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// Whose it is.
    pub subject: &'a str,
    /// Which server or endpoint it is about; empty when none.
    pub server: &'a str,
    /// Which method it is about; empty when none.
    pub method: &'a str,
    /// SHA-256 of the params that it is about; zeros when none.
    pub digest: [u8; 32],
}

impl<'a> Bound<'a> {
    /// Bound to a subject alone.
    #[must_use]
    pub fn to(subject: &'a str) -> Self {
        Bound { subject, server: "", method: "", digest: [0; 32] }
    }

    fn context(&self) -> [u8; CONTEXT] {
        let mut hash = Sha256::new();
        for part in [self.subject, self.server, self.method] {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(self.digest);
        hash.finalize().into()
    }
}

/// The replica that made a token and knows what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub [u8; 8]);

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({:016x})", u64::from_be_bytes(self.0))
    }
}

/// What was in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What was sealed.
    pub payload: Vec<u8>,
    /// Who sealed it.
    pub owner: Owner,
    /// Until when it holds, in seconds since 1970.
    pub expires: u64,
}

/// Why a token is not opened. For the log: whoever presented it is told [`SealFault::PUBLIC`], whichever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum SealFault {
    /// It has not the form of a token.
    #[error("the text is no sealed token")]
    Malformed,
    /// It is a token for something else.
    #[error("the token was made for another purpose")]
    Misused,
    /// It was sealed with a key that is not ours, or no longer.
    #[error("the token was sealed with a key that is not known here")]
    Stranger,
    /// It was changed.
    #[error("the token was tampered with")]
    Tampered,
    /// It is bound to something else.
    #[error("the token belongs to another subject, server, method or params")]
    Foreign,
    /// Its time is over.
    #[error("the token has expired")]
    Late,
}

impl SealFault {
    /// What is told to whoever presented the token.
    pub const PUBLIC: &str = "The token is not valid (any more).";
}

/// Why nothing was sealed.
#[derive(Debug, Error)]
pub enum SealingFault {
    /// The system has no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyFault),
    /// The payload is too large, or is to hold for longer than any key is kept.
    #[error("a token holds at most {PAYLOAD_MAX} bytes for at most {LIFE_MAX_S} seconds")]
    OutOfBounds,
}

/// Makes and opens sealed tokens. The keys behind it are swapped as a whole when they are rotated.
#[derive(Debug)]
pub struct Seals {
    ring: ArcSwap<Ring>,
    owner: Owner,
}

impl Seals {
    /// Seals with these keys, in the name of this replica.
    #[must_use]
    pub fn new(ring: Ring, owner: Owner) -> Self {
        Seals { ring: ArcSwap::from_pointee(ring), owner }
    }

    /// Seals with a key that nobody else has and that ends with this value.
    ///
    /// # Errors
    /// [`EntropyFault`].
    pub fn ephemeral(now_unix_s: u64) -> Result<Self, EntropyFault> {
        let mut owner = [0; 8];
        getrandom::fill(&mut owner).map_err(EntropyFault)?;
        Ok(Seals::new(Ring::fresh(now_unix_s)?, Owner(owner)))
    }

    /// Uses other keys from here on. Tokens under keys that are not among them are no longer opened.
    pub fn swap(&self, ring: Ring) {
        self.ring.store(ring.into());
    }

    /// Seals a payload until a time, in seconds since 1970.
    ///
    /// # Errors
    /// [`SealingFault`].
    pub fn seal(
        &self,
        purpose: Purpose,
        bound: &Bound<'_>,
        (payload, expires): (&[u8], u64),
    ) -> Result<String, SealingFault> {
        let ring = self.ring.load();
        let key = ring.sealing();
        if payload.len() > PAYLOAD_MAX || expires > key.tokens_end() {
            return Err(SealingFault::OutOfBounds);
        }
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(EntropyFault)?;
        let mut token = Vec::with_capacity(HEADER + NONCE + CONTEXT + payload.len() + TAG);
        token.extend_from_slice(&[VERSION, purpose.byte()]);
        token.extend_from_slice(&key.id());
        token.extend_from_slice(&self.owner.0);
        token.extend_from_slice(&expires.to_be_bytes());
        let mut sealed = Vec::with_capacity(CONTEXT + payload.len() + TAG);
        sealed.extend_from_slice(&bound.context());
        sealed.extend_from_slice(payload);
        key.seal(nonce, &token, &mut sealed).ok_or(SealingFault::OutOfBounds)?;
        token.extend_from_slice(&nonce);
        token.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// Opens a token that was made for this purpose and is bound to this, and whose time is not over.
    ///
    /// # Errors
    /// [`SealFault`], for the log.
    pub fn open(
        &self,
        purpose: Purpose,
        bound: &Bound<'_>,
        (token, now_unix_s): (&str, u64),
    ) -> Result<Opened, SealFault> {
        let mut token = decode(token)?;
        let (header, rest) = token.split_at_mut_checked(HEADER).ok_or(SealFault::Malformed)?;
        let header = Header::read(header)?;
        if header.purpose != purpose.byte() {
            return Err(SealFault::Misused);
        }
        let ring = self.ring.load();
        let key = ring.find(header.key).ok_or(SealFault::Stranger)?;
        let (nonce, sealed) = rest.split_first_chunk_mut::<NONCE>().ok_or(SealFault::Malformed)?;
        let plain = key.open(*nonce, &header.bytes, sealed).ok_or(SealFault::Tampered)?;
        let (context, payload) = plain.split_first_chunk::<CONTEXT>().ok_or(SealFault::Malformed)?;
        if *context != bound.context() {
            return Err(SealFault::Foreign);
        }
        if now_unix_s >= header.expires {
            return Err(SealFault::Late);
        }
        Ok(Opened { payload: payload.to_vec(), owner: header.owner, expires: header.expires })
    }

    /// The replica that a token says it was made by, which is a claim until the token was opened.
    #[must_use]
    pub fn claimed_owner(token: &str) -> Option<Owner> {
        let token = decode(token).ok()?;
        Header::read(token.get(..HEADER)?).ok().map(|header| header.owner)
    }

    /// The replica in whose name these seals are made.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }
}

/// What everybody can read of a token.
struct Header {
    bytes: [u8; HEADER],
    purpose: u8,
    key: [u8; 4],
    owner: Owner,
    expires: u64,
}

impl Header {
    fn read(header: &[u8]) -> Result<Header, SealFault> {
        let bytes: [u8; HEADER] = header.try_into().map_err(|_| SealFault::Malformed)?;
        let (&[version, purpose], rest) = bytes.split_first_chunk::<2>().ok_or(SealFault::Malformed)?;
        let (key, rest) = rest.split_first_chunk::<4>().ok_or(SealFault::Malformed)?;
        let (owner, rest) = rest.split_first_chunk::<8>().ok_or(SealFault::Malformed)?;
        let expires = u64::from_be_bytes(rest.try_into().map_err(|_| SealFault::Malformed)?);
        if version != VERSION {
            return Err(SealFault::Malformed);
        }
        Ok(Header { bytes, purpose, key: *key, owner: Owner(*owner), expires })
    }
}

fn decode(token: &str) -> Result<Vec<u8>, SealFault> {
    // Four characters stand for three bytes. What is longer was not made by us, and is not even looked at.
    const CHARS_MAX: usize = (HEADER + NONCE + CONTEXT + PAYLOAD_MAX + TAG).div_ceil(3) * 4;
    if token.len() > CHARS_MAX {
        return Err(SealFault::Malformed);
    }
    URL_SAFE_NO_PAD.decode(token).map_err(|_| SealFault::Malformed)
}
