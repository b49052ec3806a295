//! What every kind of session has in common: a number, an owner, and two ends, one for being idle and one for good.
//!
//! A session is named by a sealed token that is bound to its owner, so that possession authenticates nobody. Here are
//! its number, which lists and revocations show in place of the token, and its lease.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::key::EntropyFault;

/// The number of a session: 128 random bits. It opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionNumber([u8; 16]);

impl SessionNumber {
    /// A new number.
    ///
    /// # Errors
    /// [`EntropyFault`].
    pub fn generate() -> Result<Self, EntropyFault> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(EntropyFault)?;
        Ok(SessionNumber(bytes))
    }

    /// The number as it is sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for SessionNumber {
    fn from(bytes: [u8; 16]) -> Self {
        SessionNumber(bytes)
    }
}

/// The first half, in hexadecimal: enough to name one session among all that are open.
impl fmt::Display for SessionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionNumber({self})")
    }
}

/// How long a session lasts: until it was idle for too long, and never beyond its end.
#[derive(Debug)]
pub struct Lease {
    opened: u64,
    used: AtomicU64,
    idle_s: u64,
    ends: u64,
}

/// Whether a session still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It is.
    Live,
    /// It was not used for too long.
    Idle,
    /// Its time is over, however much it was used.
    Over,
}

impl Lease {
    /// A lease from now on.
    #[must_use]
    pub fn new(now_unix_s: u64, idle_max: Duration, life_max: Duration) -> Self {
        Lease {
            opened: now_unix_s,
            used: AtomicU64::new(now_unix_s),
            idle_s: idle_max.as_secs().max(1),
            ends: now_unix_s.saturating_add(life_max.as_secs().max(1)),
        }
    }

    /// Says that the session is in use. A clock that was set back makes no use older.
    pub fn touch(&self, now_unix_s: u64) {
        self.used.fetch_max(now_unix_s, Ordering::Relaxed);
    }

    /// How the session is now.
    #[must_use]
    pub fn state(&self, now_unix_s: u64) -> LeaseState {
        if now_unix_s >= self.ends {
            LeaseState::Over
        } else if now_unix_s.saturating_sub(self.used()) >= self.idle_s {
            LeaseState::Idle
        } else {
            LeaseState::Live
        }
    }

    /// When it was opened, in seconds since 1970.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// When it was last used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// When it ends for good.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_twice() {
        let lease = Lease::new(1000, Duration::from_secs(60), Duration::from_secs(100));
        assert_eq!(lease.state(1059), LeaseState::Live);
        assert_eq!(lease.state(1060), LeaseState::Idle);
        lease.touch(1059);
        assert_eq!(lease.state(1099), LeaseState::Live);
        lease.touch(1099);
        assert_eq!(lease.state(1100), LeaseState::Over, "however much it is used");
    }

    #[test]
    fn a_clock_that_jumps_prolongs_nothing() {
        let lease = Lease::new(1000, Duration::from_secs(60), Duration::from_secs(100));
        lease.touch(500);
        assert_eq!(lease.state(900), LeaseState::Live, "it was set back");
        assert_eq!(lease.state(u64::MAX), LeaseState::Over);
        assert_eq!(lease.ends(), 1100);
    }
}
