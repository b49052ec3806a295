//! The state of many buckets, in bounded memory.
//!
//! A bucket that is full again says as much as one that was never used, so it is forgotten when room is needed. When
//! there is none even then, whoever comes newly shares one bucket with all the others that have none: a flood of
//! made-up names costs the flood, makes no room by pushing somebody's used-up bucket out, and never gets a second
//! allowance.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, PoisonError};

use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::state::StateStore;
use tokio::time::Instant;

use crate::clock;

/// Parts with a lock of their own.
const SHARDS: usize = 16;

/// Buckets of one part. All parts together take some 2 MiB at most.
const SHARD_MAX: usize = 4096;

/// How often a full part looks for buckets to forget.
const SWEEP_EVERY_NS: u64 = 100_000_000;

/// What stands for all who have no bucket of their own.
const OTHERS: u64 = u64::MAX;

/// The time since a beginning. Follows tokio's clock, so that tests can set it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    origin: Instant,
}

impl Ticks {
    pub(super) fn start() -> Self {
        Ticks { origin: clock::instant() }
    }
}

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let since = clock::instant().saturating_duration_since(self.origin);
        Nanos::from(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Buckets by the hash of whom they are for.
#[derive(Debug)]
pub(super) struct Buckets {
    ticks: Ticks,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    /// When each bucket is full again, in nanoseconds.
    full_at: HashMap<u64, u64, BuildHasherDefault<AsItIs>>,
    swept_at: u64,
}

impl Buckets {
    pub(super) fn new(ticks: Ticks) -> Self {
        Buckets { ticks, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().full_at.len()).sum()
    }
}

impl StateStore for Buckets {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        // The upper bits choose the part, the lower ones the place in its table.
        let at = usize::try_from(key >> 60).unwrap_or_default() % SHARDS;
        let Some(shard) = self.shards.get(at) else { return decide(None).map(|(done, _)| done) };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if shard.full_at.contains_key(key) || shard.has_room(&self.ticks) { *key } else { OTHERS };
        let (done, full_at) = decide(shard.full_at.get(&key).copied().map(Nanos::from))?;
        shard.full_at.insert(key, full_at.as_u64());
        Ok(done)
    }
}

impl Shard {
    fn has_room(&mut self, ticks: &Ticks) -> bool {
        if self.full_at.len() < SHARD_MAX {
            return true;
        }
        let now = ticks.now().as_u64();
        if now >= self.swept_at.saturating_add(SWEEP_EVERY_NS) {
            self.swept_at = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        self.full_at.len() < SHARD_MAX
    }
}

/// The keys are hashes already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
