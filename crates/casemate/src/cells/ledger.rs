//! Gathers the connections of a server that are alike, so that a server which connects in a loop does not fill the disk.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use casemate_net::{Attempt, Verdict};
use casemate_store::records::Traffic;

/// Places that are told apart within one stretch of time. A wildcard may stand for any number of names.
const PLACES_MAX: usize = 256;

/// Where connections went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    /// The name, or nothing where only an address was dialed.
    pub(super) name: Option<String>,
    /// The address, where there is no name.
    pub(super) address: Option<IpAddr>,
    /// The port. All places that were too many to be told apart are 0.
    pub(super) port: u16,
}

/// What happened at one place and was not told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    /// Connections that were allowed.
    pub(super) allowed: u64,
    /// Connections that have ended.
    pub(super) ended: u64,
    /// What those carried.
    pub(super) traffic: Traffic,
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is told now, as it is.
    Told,
    /// It is told with the others of its place.
    Gathered,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    places: BTreeMap<Place, Line>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    has_allowed: bool,
    has_ended: bool,
    sum: Sum,
}

impl Ledger {
    /// Takes note of an attempt. The first connection to a place is told when it stands and when it ends, and so is every
    /// refusal: casemate-net gathers those by itself.
    pub(super) fn note(&mut self, attempt: &Attempt) -> Fate {
        if matches!(attempt.verdict, Verdict::Refused(_)) {
            return Fate::Told;
        }
        let line = self.line(attempt);
        match &attempt.verdict {
            Verdict::Allowed if std::mem::replace(&mut line.has_allowed, true) => {
                line.sum.allowed += attempt.times;
                Fate::Gathered
            }
            Verdict::Ended(traffic) if std::mem::replace(&mut line.has_ended, true) => {
                line.sum.ended += attempt.times;
                let sum = &mut line.sum.traffic;
                sum.bytes_in = sum.bytes_in.saturating_add(traffic.bytes_in);
                sum.bytes_out = sum.bytes_out.saturating_add(traffic.bytes_out);
                sum.millis = sum.millis.saturating_add(millis(traffic.duration));
                Fate::Gathered
            }
            _ => Fate::Told,
        }
    }

    /// Ends a stretch of time: what was gathered since the last time, and nothing for places at which nothing was.
    pub(super) fn settle(&mut self) -> Vec<(Place, Sum)> {
        let places = std::mem::take(&mut self.places);
        places
            .into_iter()
            .map(|(place, line)| (place, line.sum))
            .filter(|(_, sum)| *sum != Sum::default())
            .collect()
    }

    fn line(&mut self, attempt: &Attempt) -> &mut Line {
        let place = Place {
            name: attempt.name.clone(),
            address: attempt.address.filter(|_| attempt.name.is_none()),
            port: attempt.port,
        };
        let is_known = self.places.contains_key(&place) || self.places.len() < PLACES_MAX;
        self.places.entry(if is_known { place } else { Place::default() }).or_default()
    }
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { allowed: 0, ended: 0, traffic: Traffic { bytes_in: 0, bytes_out: 0, millis: 0 } }
    }
}

/// A duration as records have it.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use casemate_net::{End, Protocol, Reason};

    use super::*;

    fn attempt(name: &str, verdict: Verdict) -> Attempt {
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        Attempt {
            name: Some(name.to_owned()),
            address,
            port: 443,
            protocol: Protocol::Tcp,
            verdict,
            times: 1,
        }
    }

    fn ended(bytes_in: u64) -> Verdict {
        let duration = Duration::from_millis(5);
        Verdict::Ended(casemate_net::Traffic { bytes_out: 1, bytes_in, duration, end: End::Closed })
    }

    #[test]
    fn the_first_connection_is_told_and_a_thousand_more_are_one_sum() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.note(&attempt("a.example", Verdict::Allowed)), Fate::Told);
        assert_eq!(ledger.note(&attempt("a.example", ended(10))), Fate::Told);
        assert_eq!(ledger.settle(), []);
        for _ in 0..1001 {
            ledger.note(&attempt("a.example", Verdict::Allowed));
            ledger.note(&attempt("a.example", ended(10)));
        }
        let [(place, sum)] = ledger.settle().try_into().unwrap();
        assert_eq!((place.name.as_deref(), place.address, place.port), (Some("a.example"), None, 443));
        assert_eq!((sum.allowed, sum.ended), (1000, 1000));
        assert_eq!(sum.traffic, Traffic { bytes_in: 10_000, bytes_out: 1000, millis: 5000 });
        assert_eq!(ledger.settle(), []);
    }

    #[test]
    fn refusals_are_always_told() {
        let mut ledger = Ledger::default();
        for _ in 0..3 {
            let refused = attempt("b.example", Verdict::Refused(Reason::NotGranted));
            assert_eq!(ledger.note(&refused), Fate::Told);
        }
        assert_eq!(ledger.settle(), []);
    }

    #[test]
    fn names_without_end_do_not_grow_the_ledger() {
        let mut ledger = Ledger::default();
        for index in 0..10_000 {
            ledger.note(&attempt(&format!("n{index}.example"), Verdict::Allowed));
        }
        let [(place, sum)] = ledger.settle().try_into().unwrap();
        assert_eq!(place, Place::default());
        assert_eq!(sum.allowed, 10_000 - PLACES_MAX as u64 - 1);
    }
}
