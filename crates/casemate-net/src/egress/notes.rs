//! Telling the witness, without a flood of attempts becoming a flood of reports.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use crate::attempt::{Attempt, Protocol, Reason, Verdict, Witness};

/// How many kinds of refusals are told apart between two calls of [`Notes::settle`].
const KINDS_MAX: usize = 128;

/// Tells the witness of everything that is attempted.
#[derive(Debug)]
pub(super) struct Notes {
    witness: Arc<dyn Witness>,
    refused: Mutex<Refused>,
}

/// What was refused since the last reckoning.
#[derive(Debug, Default)]
struct Refused {
    /// How many of each kind came after the first one, which was told at once.
    repeated: HashMap<Attempt, u64>,
    /// How many came that were not told apart any more.
    beyond: HashMap<Protocol, u64>,
}

impl Notes {
    pub(super) fn new(witness: Arc<dyn Witness>) -> Notes {
        Notes { witness, refused: Mutex::default() }
    }

    /// Tells of a connection that was allowed, or has ended. Their number has a quota.
    pub(super) fn carried(&self, attempt: &Attempt) {
        self.witness.attempt(attempt);
    }

    /// Tells of something that was refused, or counts it.
    pub(super) fn refused(&self, attempt: Attempt) {
        if self.is_first(&attempt) {
            self.witness.attempt(&attempt);
        }
    }

    fn is_first(&self, attempt: &Attempt) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = refused.repeated.get_mut(attempt) {
            *count += 1;
            return false;
        }
        if refused.repeated.len() >= KINDS_MAX {
            *refused.beyond.entry(attempt.protocol).or_default() += 1;
            return false;
        }
        refused.repeated.insert(attempt.clone(), 0);
        true
    }

    /// Tells what was only counted, and begins anew.
    pub(super) fn settle(&self) {
        let refused = mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        for (attempt, times) in refused.repeated.into_iter().filter(|(_, times)| *times > 0) {
            self.witness.attempt(&Attempt { times, ..attempt });
        }
        for (protocol, times) in refused.beyond {
            let verdict = Verdict::Refused(Reason::Flood);
            self.witness.attempt(&Attempt { name: None, address: None, port: 0, protocol, verdict, times });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Seen;
    use super::*;

    fn attempt(port: u16) -> Attempt {
        let verdict = Verdict::Refused(Reason::NotGranted);
        Attempt { name: None, address: None, port, protocol: Protocol::Tcp, verdict, times: 1 }
    }

    #[test]
    fn what_repeats_is_told_once_and_counted() {
        let seen = Arc::new(Seen::default());
        let notes = Notes::new(seen.clone());
        for _ in 0..5 {
            notes.refused(attempt(1));
        }
        notes.refused(attempt(2));
        assert_eq!(seen.take(), [attempt(1), attempt(2)]);
        notes.settle();
        assert_eq!(seen.take(), [Attempt { times: 4, ..attempt(1) }]);
        notes.settle();
        assert_eq!(seen.take(), []);
        notes.refused(attempt(1));
        assert_eq!(seen.take(), [attempt(1)]);
    }

    #[test]
    fn a_flood_is_counted_to_the_last_attempt() {
        let seen = Arc::new(Seen::default());
        let notes = Notes::new(seen.clone());
        for round in 0..3 {
            for port in 0..1000 {
                notes.refused(attempt(port));
            }
            assert!(seen.len() <= KINDS_MAX, "in round {round}");
        }
        notes.settle();
        let told = seen.take();
        assert_eq!(told.iter().map(|attempt| attempt.times).sum::<u64>(), 3000);
        assert_eq!(told.len(), 2 * KINDS_MAX + 1);
        assert_eq!(told.last().map(|last| &last.verdict), Some(&Verdict::Refused(Reason::Flood)));
    }
}
