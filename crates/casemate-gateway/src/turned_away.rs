//! What was refused before it was a call: counted by address and minute, so that strangers are on record and cannot fill
//! the disk.
//!
//! An address has one line for each minute in which it was refused something. At most [`NAMED_MAX`] addresses are told
//! apart in a minute, and at most [`LINES_PER_DAY`] lines are written for them in a day; whoever is beyond that is counted
//! in one line that names nobody.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use crate::ports::{CallId, Recorder, TurnedAway};
use crate::refusal::Code;

/// Addresses that are told apart in one minute. A scan from more is one event, and its addresses mean little.
const NAMED_MAX: usize = 64;
/// Lines with an address that are written in a day: 5 MB at most.
const LINES_PER_DAY: u32 = 10_000;
/// Reasons that are told apart in one line; there are hardly more.
const REASONS_MAX: usize = 32;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// One refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    /// Where it came from; `None` for a process of this machine.
    pub(crate) address: Option<IpAddr>,
    /// What it was refused with.
    pub(crate) code: Code,
    /// More precisely, in a word or two that nobody else chose; empty where the code says it all.
    pub(crate) label: &'static str,
    /// The id that the answer quoted.
    pub(crate) call: CallId,
    pub(crate) unix_ms: u64,
}

/// The refusals that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct TurnedAways {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    minute: u64,
    day: u64,
    written_today: u32,
    named: HashMap<Option<IpAddr>, Tally>,
    /// Those of everybody else.
    rest: Option<Tally>,
}

#[derive(Debug, Clone)]
struct Tally {
    count: u64,
    first: (u64, CallId),
    last: (u64, CallId),
    reasons: BTreeMap<(&'static str, &'static str), u64>,
}

impl TurnedAways {
    /// Counts one, and writes those of the minute before when a new one has begun.
    pub(crate) fn note(&self, recorder: &dyn Recorder, noted: &Noted) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(recorder, noted.unix_ms);
        let address = noted.address.map(network);
        let known = state.named.contains_key(&address);
        if known || (state.named.len() < NAMED_MAX && state.may_write()) {
            state.named.entry(address).or_insert_with(|| Tally::new(noted)).add(noted);
        } else {
            state.rest.get_or_insert_with(|| Tally::new(noted)).add(noted);
        }
    }

    /// Writes what belongs to a minute that is over.
    pub(crate) fn sweep(&self, recorder: &dyn Recorder, unix_ms: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).turn(recorder, unix_ms);
    }

    /// Writes everything, at the end.
    pub(crate) fn settle(&self, recorder: &dyn Recorder) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).write(recorder);
    }
}

impl State {
    fn turn(&mut self, recorder: &dyn Recorder, unix_ms: u64) {
        let minute = unix_ms / MINUTE_MS;
        if minute != self.minute {
            self.write(recorder);
            self.minute = minute;
        }
        if unix_ms / DAY_MS != self.day {
            self.day = unix_ms / DAY_MS;
            self.written_today = 0;
        }
    }

    /// Whether one more line for an address fits into the day, those that wait counted.
    fn may_write(&self) -> bool {
        let waiting = u32::try_from(self.named.len()).unwrap_or(u32::MAX);
        self.written_today.saturating_add(waiting) < LINES_PER_DAY
    }

    fn write(&mut self, recorder: &dyn Recorder) {
        let named = std::mem::take(&mut self.named);
        self.written_today =
            self.written_today.saturating_add(u32::try_from(named.len()).unwrap_or(u32::MAX));
        let from = |address: Option<IpAddr>| address.map_or("unix".to_owned(), shown);
        let named = named.into_iter().map(|(address, tally)| (from(address), tally));
        let rest = self.rest.take().map(|tally| ("others".to_owned(), tally));
        let mut lines: Vec<(String, Tally)> = named.chain(rest).collect();
        lines.sort_by_key(|(_, tally)| tally.first.0);
        for (from, tally) in lines {
            let reasons: Vec<String> =
                tally.reasons.iter().map(|(reason, count)| said(*reason, *count)).collect();
            recorder.turned_away(&TurnedAway {
                from: &from,
                count: tally.count,
                first: tally.first,
                last: tally.last,
                reasons: &reasons,
            });
        }
    }
}

impl Tally {
    fn new(noted: &Noted) -> Tally {
        let now = (noted.unix_ms, noted.call);
        Tally { count: 0, first: now, last: now, reasons: BTreeMap::new() }
    }

    fn add(&mut self, noted: &Noted) {
        self.count += 1;
        self.last = (noted.unix_ms, noted.call);
        let reason = (noted.code.as_str(), noted.label);
        if self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }
}

fn said((code, label): (&str, &str), count: u64) -> String {
    match label {
        "" => format!("{code}: {count}"),
        label => format!("{code} {label}: {count}"),
    }
}

/// With IPv6 everyone has a /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

fn shown(network: IpAddr) -> String {
    match network {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/64"),
    }
}

#[cfg(test)]
mod tests;
