//! What is kept from calls, and who is kept from calling: a small table that is swapped whole.
//!
//! While nothing is in quarantine, a call pays one atomic load for it. What is put in holds at once: new calls are refused,
//! those in flight are struck ([`Quarantine::turns`]), lists are put together anew. What rules put in ([`rules`]) is in
//! force before anybody wrote it down, and stays so until the store has it.

pub mod rules;
#[cfg(test)]
mod tests;
mod ward;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_policy::SubjectId;
use tokio::sync::watch;

use crate::clock;
pub use ward::{Ward, WardFault};

/// The most that rules keep in quarantine and that no store has taken yet. Beyond it the disk is full or gone, and calls
/// are refused anyway, since they cannot be recorded.
const OWN_MAX: usize = 4096;

/// One thing in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is meant.
    pub ward: Ward,
    /// Why; for the operator, never for callers.
    pub reason: Box<str>,
    /// Who did it: a subject, or a rule.
    pub by: Box<str>,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Until when; until it is lifted when absent.
    pub until: Option<u64>,
}

impl Entry {
    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now_unix_s: u64) -> bool {
        self.until.is_some_and(|until| until <= now_unix_s)
    }
}

/// All that is in quarantine now.
#[derive(Debug)]
pub struct Quarantine {
    /// Whether anything is: what every call looks at.
    is_armed: AtomicBool,
    table: ArcSwap<Table>,
    /// Grows with each change; what was put together from the table remembers it.
    version: AtomicU64,
    turns: watch::Sender<u64>,
    state: Mutex<State>,
}

/// Where the table comes from.
#[derive(Debug, Default)]
struct State {
    /// What the store has.
    stored: Vec<Entry>,
    /// What rules put in and the store does not have yet.
    own: Vec<Entry>,
}

/// The table, by what calls are asked about.
#[derive(Debug, Default)]
struct Table {
    gateway: Option<Arc<Entry>>,
    servers: HashMap<Box<str>, Arc<Entry>>,
    tools: HashMap<Box<str>, HashMap<Box<str>, Arc<Entry>>>,
    subjects: HashMap<Box<str>, Arc<Entry>>,
}

impl Quarantine {
    /// What was kept by the run before.
    #[must_use]
    pub fn new(stored: Vec<Entry>) -> Quarantine {
        let quarantine = Quarantine {
            is_armed: AtomicBool::new(false),
            table: ArcSwap::default(),
            version: AtomicU64::new(0),
            turns: watch::channel(0).0,
            state: Mutex::default(),
        };
        quarantine.replace(stored);
        quarantine
    }

    /// Follows the store: what it has is in force when this returns, and what it no longer has is not.
    pub fn replace(&self, stored: Vec<Entry>) {
        let mut state = self.state();
        state.stored = stored;
        self.swap(&state);
    }

    /// Puts something in, at once; false when it is in already, or when there is no room for what nobody writes down.
    pub fn confine(&self, entry: Entry) -> bool {
        let now = clock::unix_now().as_secs();
        let mut state = self.state();
        let is_in = |other: &Entry| other.ward == entry.ward && !other.is_over(now);
        if state.own.len() >= OWN_MAX || state.stored.iter().chain(&state.own).any(is_in) {
            return false;
        }
        state.own.push(entry);
        self.swap(&state);
        true
    }

    /// The store has taken what rules put in; from now on its word counts. To be called once [`Quarantine::replace`] was
    /// given what it has.
    pub fn kept(&self, wards: &[Ward]) {
        let mut state = self.state();
        let before = state.own.len();
        state.own.retain(|entry| !wards.contains(&entry.ward));
        if state.own.len() != before {
            self.swap(&state);
        }
    }

    /// Lets go of what is over.
    pub fn sweep(&self) {
        let now = clock::unix_now().as_secs();
        let mut state = self.state();
        let is_over = |entry: &Entry| entry.is_over(now);
        if state.stored.iter().chain(&state.own).any(is_over) {
            state.stored.retain(|entry| !entry.is_over(now));
            state.own.retain(|entry| !entry.is_over(now));
            self.swap(&state);
        }
    }

    /// When the next of them is over, since 1970.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        let state = self.state();
        let ends = state.stored.iter().chain(&state.own).filter_map(|entry| entry.until);
        ends.min().map(Duration::from_secs)
    }

    /// Everything that is in, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let now = clock::unix_now().as_secs();
        let state = self.state();
        let mut entries: Vec<Entry> = state.stored.iter().chain(&state.own).cloned().collect();
        drop(state);
        entries.retain(|entry| !entry.is_over(now));
        entries.sort_by(|one, other| one.ward.cmp(&other.ward));
        entries.dedup_by(|one, other| one.ward == other.ward);
        entries
    }

    /// What keeps a subject from calling: itself, or the whole gateway.
    #[must_use]
    pub fn of_subject(&self, subject: &SubjectId) -> Option<Arc<Entry>> {
        self.judge(|table| table.subjects.get(subject.as_str()))
    }

    /// What keeps calls from a server: itself, or the whole gateway.
    #[must_use]
    pub fn of_server(&self, server: &str) -> Option<Arc<Entry>> {
        self.judge(|table| table.servers.get(server))
    }

    /// What keeps calls from a tool, by its server's own name for it: itself, its server, or the whole gateway.
    #[must_use]
    pub fn of_tool(&self, server: &str, tool: &str) -> Option<Arc<Entry>> {
        self.of_server(server).or_else(|| self.judge(|table| table.tools.get(server)?.get(tool)))
    }

    /// Grows with each change.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Tells of each change from now on. Whoever asks for this first and judges then misses none.
    pub(crate) fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    fn judge(&self, find: impl FnOnce(&Table) -> Option<&Arc<Entry>>) -> Option<Arc<Entry>> {
        if !self.is_armed.load(Ordering::Acquire) {
            return None;
        }
        let table = self.table.load();
        let now = clock::unix_now().as_secs();
        let holds = |entry: &&Arc<Entry>| !entry.is_over(now);
        table.gateway.as_ref().filter(holds).or_else(|| find(&table).filter(holds)).cloned()
    }

    fn swap(&self, state: &State) {
        let mut table = Table::default();
        let entries = state.own.iter().chain(&state.stored);
        entries.for_each(|entry| table.add(entry));
        let is_empty = table.is_empty();
        self.table.store(Arc::new(table));
        self.is_armed.store(!is_empty, Ordering::Release);
        let version = self.version.fetch_add(1, Ordering::AcqRel) + 1;
        // Sent last: whoever is woken by it finds the new table.
        self.turns.send_replace(version);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, entry: &Entry) {
        let kept = Arc::new(entry.clone());
        match &entry.ward {
            Ward::Gateway => self.gateway = Some(kept),
            Ward::Server(server) => drop(self.servers.insert(server.as_str().into(), kept)),
            Ward::Tool(server, tool) => {
                let tools = self.tools.entry(server.as_str().into()).or_default();
                tools.insert(tool.clone(), kept);
            }
            Ward::Subject(subject) => drop(self.subjects.insert(subject.clone(), kept)),
        }
    }

    fn is_empty(&self) -> bool {
        self.gateway.is_none() && self.servers.is_empty() && self.tools.is_empty() && self.subjects.is_empty()
    }
}
