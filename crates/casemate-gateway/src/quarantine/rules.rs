//! When something is put in quarantine without a person.
//!
//! A rule acts on what no honest server or client does by accident, or not so often; what it puts in, a person lifts. None
//! of them touches a local user: whoever owns the installation must not be locked out of it by a loop in an agent.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use casemate_mcp::names::ServerName;

/// Within what time different places count together.
const ESCAPES_WITHIN_S: u64 = 3600;

/// How often a find in one place is told of, and how many places are told apart.
const TOLD_EVERY_S: u64 = 60;
const TOUCHES_MAX: usize = 1024;

/// What can be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// A definition is another than was approved. The thing itself is blocked in any case; this is for its server.
    Drift,
    /// A subject is refused again and again.
    Refusals,
    /// A cell tries to reach what no grant can open by a name, or lies about whom it asks for.
    Escapes,
    /// A value that was planted in a cell has left it.
    Honeytokens,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 4] = [Trigger::Drift, Trigger::Refusals, Trigger::Escapes, Trigger::Honeytokens];

    /// Its name in the configuration and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Drift => "drift",
            Trigger::Refusals => "refusals",
            Trigger::Escapes => "escapes",
            Trigger::Honeytokens => "honeytokens",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == name)
    }
}

/// Which rules act, and from when on. How often a subject may be refused is a rate among the others
/// ([`crate::snapshot::Pace::refusals`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Those that act. Default: all but drift.
    pub on: BTreeSet<Trigger>,
    /// For how long a subject is kept out that was refused too often. Default 15 min.
    pub refused_for: Duration,
    /// Different forbidden places that a server may try within an hour. Default 16.
    pub escapes_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            on: [Trigger::Refusals, Trigger::Escapes, Trigger::Honeytokens].into(),
            refused_for: Duration::from_secs(900),
            escapes_max: 16,
        }
    }
}

/// The places that servers tried in vain. A server that is started anew for every call tries the same place each time;
/// that is one place.
#[derive(Debug, Default)]
pub(crate) struct Escapes {
    hasher: RandomState,
    servers: Mutex<HashMap<ServerName, Window>>,
}

#[derive(Debug)]
struct Window {
    since: u64,
    places: HashSet<u64>,
}

impl Escapes {
    /// Notes a place, and says whether it is one too many. Memory is bounded by the servers of the configuration, each with
    /// as many places as may be tried.
    pub(crate) fn note(&self, (server, place): (&ServerName, &str), (max, now_unix_s): (usize, u64)) -> bool {
        let place = self.hasher.hash_one(place);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Window { since: now_unix_s, places: HashSet::new() };
        let window = servers.entry(server.clone()).or_insert_with(fresh);
        if now_unix_s.saturating_sub(window.since) >= ESCAPES_WITHIN_S {
            *window = fresh();
        }
        if window.places.len() <= max {
            window.places.insert(place);
        }
        window.places.len() > max
    }
}

/// Places in which planted values were found, and when that was last told.
#[derive(Debug, Default)]
pub(crate) struct Touches(Mutex<HashMap<(Arc<str>, String), u64>>);

impl Touches {
    /// Whether a find has to be told of: once a minute for each place. A server that repeats what it found fills no disk.
    pub(crate) fn note(&self, (owner, seen): (&Arc<str>, &str), now_unix_s: u64) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOUCHES_MAX {
            told.retain(|_, at| now_unix_s < at.saturating_add(TOLD_EVERY_S));
        }
        let place = (Arc::clone(owner), seen.to_owned());
        let is_new = told.get(&place).is_none_or(|at| now_unix_s >= at.saturating_add(TOLD_EVERY_S));
        if is_new && told.len() < TOUCHES_MAX {
            told.insert(place, now_unix_s);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_counts_once_and_an_hour_later_anew() {
        let escapes = Escapes::default();
        let server = ServerName::parse("git").unwrap();
        let note = |place: &str, now| escapes.note((&server, place), (2, now));
        for _ in 0..100 {
            assert!(!note("169.254.169.254:80", 1), "an honest library looks for credentials there");
        }
        assert!(!note("127.0.0.1:22", 2));
        assert!(note("10.0.0.1:22", 3), "a third place within the hour");
        assert!(note("127.0.0.1:22", 4), "and it stays too many");
        assert!(!note("10.0.0.9:22", 1 + ESCAPES_WITHIN_S));
        let other = ServerName::parse("wiki").unwrap();
        assert!(!escapes.note((&other, "10.0.0.1:22"), (2, 5)));
    }

    #[test]
    fn a_find_is_told_of_once_a_minute_and_without_end_fills_no_memory() {
        let touches = Touches::default();
        let owner: Arc<str> = "git".into();
        assert!(touches.note((&owner, "a log"), 100));
        assert!(!touches.note((&owner, "a log"), 159));
        assert!(touches.note((&owner, "an answer"), 159));
        assert!(touches.note((&owner, "a log"), 160));
        for number in 0..10_000 {
            touches.note((&owner, &number.to_string()), 160);
        }
        assert!(touches.0.lock().unwrap().len() <= TOUCHES_MAX);
    }

    #[test]
    fn places_without_end_fill_no_memory() {
        let escapes = Escapes::default();
        let server = ServerName::parse("git").unwrap();
        for number in 0..10_000 {
            escapes.note((&server, &number.to_string()), (16, 1));
        }
        assert_eq!(escapes.servers.lock().unwrap()[&server].places.len(), 17);
    }
}
