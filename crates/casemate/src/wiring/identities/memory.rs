//! Tokens that were judged good a moment ago, so that a signature is verified once a minute and not with each call.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use casemate_auth::issuers::Accepted;
use casemate_policy::{Subject, SubjectId};
use sha2::{Digest, Sha256};

/// How long a token is remembered, in seconds (DESIGN.md section 4 of the journey: at most a minute).
const KEPT_FOR_S: u64 = 60;

/// How many tokens, and how many subjects, are remembered. Beyond that those that are over go, or else all.
const KEPT_MAX: usize = 16 * 1024;

/// A token by its hash: a copy of our memory shows no token.
type Hash = [u8; 32];

/// What was judged.
#[derive(Debug, Default)]
pub(super) struct Memory {
    tokens: RwLock<HashMap<Hash, Kept>>,
    /// The last token of each subject, for what lasts longer than a request.
    subjects: RwLock<HashMap<SubjectId, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    accepted: Arc<Accepted>,
    subject: Arc<Subject>,
    until_unix_s: u64,
}

impl Memory {
    /// The subject of a token that was judged in this generation, for this resource.
    pub(super) fn find(&self, presented: &str, asked: (&str, u64, u64)) -> Option<Arc<Subject>> {
        let (resource, generation, now_unix_s) = asked;
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let kept = tokens.get(&hash(presented))?;
        let is_good = kept.is_good(generation, now_unix_s) && kept.accepted.is_for(resource);
        is_good.then(|| Arc::clone(&kept.subject))
    }

    /// Remembers a token for a minute, and its subject until it ends.
    pub(super) fn keep(
        &self,
        presented: &str,
        (accepted, subject): (Accepted, &Arc<Subject>),
        now_unix_s: u64,
    ) {
        let expires = accepted.verified.expires;
        let kept = Kept { accepted: Arc::new(accepted), subject: Arc::clone(subject), until_unix_s: expires };
        let soon = Kept { until_unix_s: expires.min(now_unix_s.saturating_add(KEPT_FOR_S)), ..kept.clone() };
        insert(&self.tokens, hash(presented), soon, now_unix_s);
        insert(&self.subjects, subject.id.clone(), kept, now_unix_s);
    }

    /// The subject of that id, as long as a token that it came with is good.
    pub(super) fn current(&self, id: &SubjectId, generation: u64, now_unix_s: u64) -> Option<Arc<Subject>> {
        let subjects = self.subjects.read().unwrap_or_else(PoisonError::into_inner);
        let kept = subjects.get(id).filter(|kept| kept.is_good(generation, now_unix_s))?;
        Some(Arc::clone(&kept.subject))
    }
}

impl Kept {
    fn is_good(&self, generation: u64, now_unix_s: u64) -> bool {
        self.accepted.generation == generation && now_unix_s < self.until_unix_s
    }
}

fn insert<K: std::hash::Hash + Eq>(map: &RwLock<HashMap<K, Kept>>, key: K, kept: Kept, now_unix_s: u64) {
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
