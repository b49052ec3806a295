//! Guessing is made hopeless: an address whose credentials are not accepted has to wait, twice as long each time.
//!
//! Honest users may share an address with somebody who guesses. A credential that was good from an address within the
//! last hour is never held up there, and nobody waits for more than a minute. A good credential forgives nothing:
//! otherwise whoever has one could guess for others in between.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Addresses that are held up, and good credentials, that are remembered.
const KEPT_MAX: usize = 65_536;

/// The first wait; the next ones are twice as long each.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// When nothing failed for so long, all is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(900);

/// For how long a good credential is remembered after its last use.
const GOOD_FOR: Duration = Duration::from_secs(3600);

/// How exactly the last use is known. Within it, a use costs a look and no change.
const GOOD_WITHIN: Duration = Duration::from_secs(60);

/// Who failed and who did not, lately.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: Mutex<HashMap<u64, Failures>>,
    good: Mutex<HashMap<u64, Instant>>,
}

/// What is held against an address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

impl Attempts {
    /// How long to wait before a credential may be tried, unless it may now.
    pub(super) fn may_try(&self, address: u64, credential: u64) -> Result<(), Duration> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = failures.get(&address).copied() else { return Ok(()) };
        drop(failures);
        let now = clock::instant();
        if now >= held.until || self.is_good(credential, now) {
            return Ok(());
        }
        Err(held.until.saturating_duration_since(now))
    }

    /// A credential was not accepted, and there were too many such already.
    pub(super) fn failed(&self, address: u64) {
        let now = clock::instant();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut failures, |held| now < held.last + FORGET_AFTER);
        let held = failures.entry(address).or_insert(Failures { count: 0, last: now, until: now });
        if now >= held.last + FORGET_AFTER {
            held.count = 0;
        }
        held.count = held.count.saturating_add(1);
        held.last = now;
        let doubled = WAIT_MIN.saturating_mul(2_u32.saturating_pow(held.count - 1));
        held.until = now + doubled.min(WAIT_MAX);
    }

    /// A credential was accepted.
    pub(super) fn good(&self, credential: u64) {
        let now = clock::instant();
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        match good.get_mut(&credential) {
            Some(used) if now < *used + GOOD_WITHIN => {}
            Some(used) => *used = now,
            None => {
                make_room(&mut good, |used| now < *used + GOOD_FOR);
                good.insert(credential, now);
            }
        }
    }

    fn is_good(&self, credential: u64, now: Instant) -> bool {
        let good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        good.get(&credential).is_some_and(|used| now < *used + GOOD_FOR)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.failures.lock().unwrap().len().max(self.good.lock().unwrap().len())
    }
}

/// Forgets what is old when there is no room; and, when nothing is, an eighth of what there is: a flood of addresses
/// must not keep new ones from being held up.
fn make_room<T>(kept: &mut HashMap<u64, T>, is_fresh: impl Fn(&T) -> bool) {
    if kept.len() < KEPT_MAX {
        return;
    }
    kept.retain(|_, one| is_fresh(one));
    if kept.len() >= KEPT_MAX {
        // Keys are hashes that nobody can foresee, so these are as good as random ones.
        let mut at = 0_usize;
        kept.retain(|_, _| {
            at += 1;
            !at.is_multiple_of(8)
        });
    }
}
