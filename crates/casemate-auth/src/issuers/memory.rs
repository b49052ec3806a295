//! Tokens that were judged good a moment ago, so that a signature is verified once a minute and not with each call.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::Accepted;

/// How long a token is remembered, in seconds (DESIGN.md section 4 of the journey: at most a minute).
const KEPT_FOR_S: u64 = 60;

/// How many tokens, and how many subjects, are remembered. Beyond that those that are over go, or else all.
const KEPT_MAX: usize = 16 * 1024;

/// A token by its hash: a copy of our memory shows no token.
type Hash = [u8; 32];

/// What was judged, each with whom it stands for: an `S`, which this crate has no word for.
#[derive(Debug)]
pub struct Memory<S> {
    tokens: RwLock<HashMap<Hash, Kept<S>>>,
    /// The last token of each subject, for what lasts longer than a request.
    subjects: RwLock<HashMap<Box<str>, Kept<S>>>,
}

#[derive(Debug)]
struct Kept<S> {
    accepted: Arc<Accepted>,
    subject: Arc<S>,
    until_unix_s: u64,
}

impl<S> Default for Memory<S> {
    fn default() -> Self {
        Memory { tokens: RwLock::default(), subjects: RwLock::default() }
    }
}

impl<S> Memory<S> {
    /// The subject of a token that was judged in this generation, for this resource: what is asked with is the resource,
    /// the generation and the time, in seconds since 1970.
    #[must_use]
    pub fn find(&self, presented: &str, asked: (&str, u64, u64)) -> Option<Arc<S>> {
        let (resource, generation, now_unix_s) = asked;
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let kept = tokens.get(&hash(presented))?;
        let is_good = kept.is_good(generation, now_unix_s) && kept.accepted.is_for(resource);
        is_good.then(|| Arc::clone(&kept.subject))
    }

    /// Remembers a token for a minute, and its subject until it ends.
    pub fn keep(&self, presented: &str, (accepted, id, subject): (Accepted, &str, &Arc<S>), now_unix_s: u64) {
        let expires = accepted.verified.expires;
        let accepted = Arc::new(accepted);
        let until = |until_unix_s| Kept {
            accepted: Arc::clone(&accepted),
            subject: Arc::clone(subject),
            until_unix_s,
        };
        let soon = until(expires.min(now_unix_s.saturating_add(KEPT_FOR_S)));
        insert(&self.tokens, hash(presented), soon, now_unix_s);
        insert(&self.subjects, id.into(), until(expires), now_unix_s);
    }

    /// The subject of that id, as long as a token that it came with is good.
    #[must_use]
    pub fn current(&self, id: &str, generation: u64, now_unix_s: u64) -> Option<Arc<S>> {
        let subjects = self.subjects.read().unwrap_or_else(PoisonError::into_inner);
        let kept = subjects.get(id).filter(|kept| kept.is_good(generation, now_unix_s))?;
        Some(Arc::clone(&kept.subject))
    }
}

impl<S> Kept<S> {
    fn is_good(&self, generation: u64, now_unix_s: u64) -> bool {
        self.accepted.generation == generation && now_unix_s < self.until_unix_s
    }
}

fn insert<K: std::hash::Hash + Eq, S>(
    map: &RwLock<HashMap<K, Kept<S>>>,
    key: K,
    kept: Kept<S>,
    now_unix_s: u64,
) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= KEPT_MAX {
        let generation = kept.accepted.generation;
        map.retain(|_, old| old.is_good(generation, now_unix_s));
    }
    if map.len() >= KEPT_MAX {
        map.clear();
    }
    map.insert(key, kept);
}

fn hash(presented: &str) -> Hash {
    Sha256::digest(presented).into()
}
