//! All keys of an installation, as one immutable table. Whoever changes keys builds a new table and swaps it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use casemate_store::KeyRecord;
use thiserror::Error;

use crate::key::KeyHash;

/// Why a presented key is not accepted. Callers are told one and the same thing about all of them; the reason
/// is for the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// It is no key of ours: wrong form, or mistyped.
    #[error("the text is not an API key, or was mistyped or cut off")]
    Malformed,
    /// It has the form of a key and is not in the table.
    #[error("the API key is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the API key {id} has expired")]
    Expired {
        /// The key's public id.
        id: String,
    },
    /// It was withdrawn.
    #[error("the API key {id} was revoked")]
    Revoked {
        /// The key's public id.
        id: String,
    },
}

/// The keys by their hash.
///
/// The table is looked up by SHA-256 of what was presented, and such a lookup may take longer when the hash
/// resembles a stored one. That tells an attacker nothing of use: it would speak of the hash of a text of
/// theirs, and to come closer to a stored hash they would have to choose texts by their hash, which is to
/// break SHA-256; what they came close to would still be a hash and not a key. The hashing of the map is keyed
/// at random too. Nevertheless the last comparison, the one that decides, takes the same time for all inputs.
#[derive(Debug, Clone, Default)]
pub struct KeyTable {
    by_hash: HashMap<KeyHash, KeyRecord>,
}

impl KeyTable {
    /// Arranges stored keys for lookup.
    #[must_use]
    pub fn from_records(records: impl IntoIterator<Item = KeyRecord>) -> Self {
        let by_hash = records.into_iter().map(|record| (KeyHash::stored(record.hash), record)).collect();
        KeyTable { by_hash }
    }

    /// The key that was presented, when it is known, neither revoked nor expired at that time.
    ///
    /// # Errors
    /// [`KeyFault`], for the log only. A key that is both revoked and expired counts as revoked.
    pub fn verify(&self, presented: &str, now_unix_s: u64) -> Result<&KeyRecord, KeyFault> {
        let hash = KeyHash::read(presented).ok_or(KeyFault::Malformed)?;
        let record = self.by_hash.get(&hash).filter(|record| hash.ct_eq(&record.hash).into());
        let record = record.ok_or(KeyFault::Unknown)?;
        if record.revoked.is_some() {
            return Err(KeyFault::Revoked { id: record.id.clone() });
        }
        if record.expires.is_some_and(|expires| now_unix_s >= expires) {
            return Err(KeyFault::Expired { id: record.id.clone() });
        }
        Ok(record)
    }

    /// How many keys there are, expired and revoked ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// True when there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }
}
