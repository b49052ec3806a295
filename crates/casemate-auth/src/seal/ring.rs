//! The keys that tokens are sealed with: one that seals, and those before it, which still open.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;

use super::NONCE;
use crate::key::EntropyFault;

/// For how long a key seals: a day.
pub const ROTATE_EVERY_S: u64 = 86_400;

/// For how long a token may hold, and so for how long a key that seals no more still opens: 31 days.
pub const LIFE_MAX_S: u64 = 31 * 86_400;

const KEY: usize = 32;

/// One key. It tells nobody what it is.
#[derive(Clone)]
pub(super) struct SealKey {
    id: [u8; 4],
    created: u64,
    key: LessSafeKey,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey").field("created", &self.created).finish_non_exhaustive()
    }
}

impl SealKey {
    /// A key from what is stored of it; `None` when that is no key.
    pub(super) fn of(id: [u8; 4], stored: &[u8]) -> Option<Self> {
        let (key, created) = stored.split_first_chunk::<KEY>()?;
        let created = u64::from_be_bytes(created.try_into().ok()?);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some(SealKey { id, created, key })
    }

    /// A new key, and what is to be stored of it.
    pub(super) fn fresh(now_unix_s: u64) -> Result<(Self, Zeroizing<Vec<u8>>), EntropyFault> {
        let mut id = [0; 4];
        getrandom::fill(&mut id).map_err(EntropyFault)?;
        let mut stored = Zeroizing::new(vec![0; KEY]);
        getrandom::fill(&mut stored).map_err(EntropyFault)?;
        stored.extend_from_slice(&now_unix_s.to_be_bytes());
        // Of the right length by construction; a key that is none is as good as no randomness.
        let key = SealKey::of(id, &stored).ok_or(EntropyFault(getrandom::Error::UNEXPECTED))?;
        Ok((key, stored))
    }

    pub(super) fn id(&self) -> [u8; 4] {
        self.id
    }

    pub(super) fn created(&self) -> u64 {
        self.created
    }

    /// Until when tokens of this key may hold: it is kept for as long.
    pub(super) fn tokens_end(&self) -> u64 {
        self.created.saturating_add(ROTATE_EVERY_S).saturating_add(LIFE_MAX_S)
    }

    pub(super) fn seal(&self, nonce: [u8; NONCE], header: &[u8], plain: &mut Vec<u8>) -> Option<()> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), plain).ok()
    }

    pub(super) fn open<'a>(
        &self,
        nonce: [u8; NONCE],
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_in_place(nonce, Aad::from(header), sealed).ok().map(|plain| &*plain)
    }
}

/// The keys of an installation. There is always one that seals.
#[derive(Debug, Clone)]
pub struct Ring {
    sealing: SealKey,
    before: Vec<SealKey>,
}

impl Ring {
    /// One new key.
    ///
    /// # Errors
    /// [`EntropyFault`].
    pub fn fresh(now_unix_s: u64) -> Result<Self, EntropyFault> {
        let (sealing, _) = SealKey::fresh(now_unix_s)?;
        Ok(Ring { sealing, before: Vec::new() })
    }

    /// A new key that seals from now on, and all these, which still open.
    ///
    /// # Errors
    /// [`EntropyFault`].
    pub fn turned(&self, now_unix_s: u64) -> Result<Self, EntropyFault> {
        let (sealing, _) = SealKey::fresh(now_unix_s)?;
        let before = self.before.iter().chain([&self.sealing]).cloned().collect();
        Ok(Ring { sealing, before })
    }

    /// The keys, of which the newest seals; `None` without any.
    pub(super) fn of(mut keys: Vec<SealKey>) -> Option<Self> {
        keys.sort_by_key(|key| (key.created, key.id));
        let sealing = keys.pop()?;
        Some(Ring { sealing, before: keys })
    }

    pub(super) fn sealing(&self) -> &SealKey {
        &self.sealing
    }

    pub(super) fn find(&self, id: [u8; 4]) -> Option<&SealKey> {
        std::iter::once(&self.sealing).chain(self.before.iter().rev()).find(|key| key.id == id)
    }
}
