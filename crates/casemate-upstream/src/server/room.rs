//! The instances of one server and what is known about them; everything that its one lock guards.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use casemate_mcp::json::Raw;
use casemate_policy::SubjectId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::breaker::Breaker;
use crate::entry::Resilience;
use crate::instance::{Instance, Lease};
use crate::probe::Era;
use crate::{Fault, Hello, State, Status};

/// Resources that one caller may watch at once.
const WATCHES_MAX: usize = 1024;
/// Kinds of instances that are remembered after their end, to notice what changed over a restart.
const KINDS_MAX: usize = 256;

/// Which instance serves a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Whose it is; nobody's when shared.
    pub(super) subject: Option<SubjectId>,
    /// The capabilities that are offered to it: an object.
    pub(super) offered: Raw,
    /// The call that has an instance of its own; 0 for those that last.
    pub(super) call: u64,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.subject.hash(state);
        self.offered.as_bytes().hash(state);
        self.call.hash(state);
    }
}

impl Key {
    /// The key of all instances that are like this one.
    fn kind(&self) -> Key {
        Key { call: 0, ..self.clone() }
    }
}

/// What becomes of a start; nothing while it is under way.
pub(super) type Started = watch::Receiver<Option<Result<(), Fault>>>;

/// One instance, or one to be.
#[derive(Debug)]
pub(super) struct Slot {
    /// Tells a slot from a later one under the same key.
    pub(super) serial: u64,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    Starting {
        started: Started,
        /// Gives up the start.
        stop: CancellationToken,
    },
    Running(Arc<Instance>),
}

/// Everything that the server's lock guards.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) breaker: Breaker,
    /// The dialect that the server spoke the last time.
    pub(super) era: Option<Era>,
    pub(super) last_error: Option<String>,
    slots: HashMap<Key, Slot>,
    instances_max: usize,
    /// How often each resource is watched.
    watches: HashMap<Key, BTreeMap<Box<str>, usize>>,
    /// What instances said they are.
    hellos: HashMap<Key, Arc<Hello>>,
    /// Those that were lost and not replaced yet.
    lost: HashSet<Key>,
    restarts: u64,
    is_halted: bool,
    /// It is in quarantine: nothing is started, whoever asks.
    is_confined: bool,
    /// Whether anything was ever started.
    is_used: bool,
}

impl Room {
    pub(super) fn new(resilience: Resilience) -> Room {
        Room {
            breaker: Breaker::new(resilience),
            era: None,
            last_error: None,
            slots: HashMap::new(),
            instances_max: resilience.instances_max,
            watches: HashMap::new(),
            hellos: HashMap::new(),
            lost: HashSet::new(),
            restarts: 0,
            is_halted: false,
            is_confined: false,
            is_used: false,
        }
    }

    /// A place in the running instance, if there is one that takes calls.
    pub(super) fn lease(&self, key: &Key) -> Option<Lease> {
        match &self.slots.get(key)?.phase {
            Phase::Running(instance) if !instance.life.is_stopping() => Some(instance.lease()),
            _ => None,
        }
    }

    /// The start that is under way, if there is one.
    pub(super) fn starting(&self, key: &Key) -> Option<Started> {
        match &self.slots.get(key)?.phase {
            // A start whose task is gone will never be done.
            Phase::Starting { started, .. } if started.has_changed().is_ok() => Some(started.clone()),
            _ => None,
        }
    }

    /// Makes room for one more instance, by ending the one that has been idle for the longest if need be.
    ///
    /// # Errors
    /// [`Fault::Busy`] when none is idle.
    pub(super) fn make_room(&mut self, key: &Key) -> Result<(), Fault> {
        self.slots.remove(key);
        if self.slots.len() < self.instances_max {
            return Ok(());
        }
        let idle = self.slots.iter().filter_map(|(key, slot)| match &slot.phase {
            Phase::Running(instance) if instance.in_flight() == 0 && !self.is_watched(key) => {
                Some((instance.used(), key))
            }
            _ => None,
        });
        let oldest = idle.min_by_key(|(used, _)| *used).map(|(_, key)| key.clone());
        let busy = Fault::Busy { instances_max: self.instances_max };
        self.discard(&oldest.ok_or(busy)?);
        Ok(())
    }

    /// Puts a start in.
    pub(super) fn insert(&mut self, key: Key, slot: Slot) {
        self.slots.insert(key, slot);
    }

    /// Runs something with the first start of all.
    pub(super) fn first_start(&mut self, then: impl FnOnce()) {
        if !std::mem::replace(&mut self.is_used, true) {
            then();
        }
    }

    /// Turns a start into a running instance, unless it was given up. Says what is to be told about it.
    pub(super) fn arrive(&mut self, key: &Key, serial: u64, instance: &Arc<Instance>) -> Option<Arrival> {
        let slot = self.slots.get_mut(key).filter(|slot| slot.serial == serial)?;
        slot.phase = Phase::Running(Arc::clone(instance));
        self.era = instance.proven.or(self.era);
        let kind = key.kind();
        let was_lost = self.lost.remove(&kind);
        if was_lost {
            self.restarts += 1;
        }
        if self.hellos.len() >= KINDS_MAX {
            self.hellos.clear();
        }
        let before = self.hellos.insert(kind, Arc::clone(&instance.hello));
        let is_changed = was_lost || before.is_some_and(|before| before.raw != instance.hello.raw);
        let watched = self.watches.get(key).map(|uris| uris.keys().cloned().collect()).unwrap_or_default();
        Some(Arrival { is_changed, watched })
    }

    /// Takes a slot out. Returns whether it was there.
    pub(super) fn remove(&mut self, key: &Key, serial: u64) -> bool {
        let is_there = self.slots.get(key).is_some_and(|slot| slot.serial == serial);
        if is_there {
            self.slots.remove(key);
        }
        is_there
    }

    /// Ends an instance or a start.
    pub(super) fn discard(&mut self, key: &Key) {
        match self.slots.remove(key).map(|slot| slot.phase) {
            Some(Phase::Running(instance)) => instance.life.stop(),
            Some(Phase::Starting { stop, .. }) => stop.cancel(),
            None => {}
        }
    }

    /// Remembers that an instance was lost. Returns whether somebody waits for news of it.
    pub(super) fn mark_lost(&mut self, key: &Key) -> bool {
        if self.lost.len() < KINDS_MAX {
            self.lost.insert(key.kind());
        }
        self.is_watched(key) && !self.is_halted()
    }

    /// Takes an idle instance out. Returns whether it was idle.
    pub(super) fn retire(&mut self, key: &Key, serial: u64) -> bool {
        let is_idle = self.slots.get(key).is_some_and(|slot| match &slot.phase {
            Phase::Running(instance) => slot.serial == serial && instance.in_flight() == 0,
            Phase::Starting { .. } => false,
        });
        is_idle && !self.is_watched(key) && self.remove(key, serial)
    }

    /// What an instance of this kind said it is.
    pub(super) fn hello(&self, key: &Key) -> Option<Arc<Hello>> {
        self.hellos.get(&key.kind()).cloned()
    }

    /// Takes no more calls and hands over all instances; starts are given up.
    pub(super) fn halt(&mut self) -> Vec<Arc<Instance>> {
        self.is_halted = true;
        self.clear()
    }

    /// Starts nothing from here on, and hands over all instances; starts are given up.
    pub(super) fn confine(&mut self) -> Vec<Arc<Instance>> {
        self.is_confined = true;
        self.clear()
    }

    /// Starts instances again.
    pub(super) fn release(&mut self) {
        self.is_confined = false;
    }

    fn clear(&mut self) -> Vec<Arc<Instance>> {
        let mut running = Vec::new();
        for slot in std::mem::take(&mut self.slots).into_values() {
            match slot.phase {
                Phase::Running(instance) => running.push(instance),
                Phase::Starting { stop, .. } => stop.cancel(),
            }
        }
        running
    }

    /// Takes calls again.
    pub(super) fn resume(&mut self) {
        self.is_halted = false;
    }

    pub(super) fn is_halted(&self) -> bool {
        self.is_halted || self.is_confined
    }

    /// Counts a watch. Returns whether it is the first one on the resource, so that the server has to be told.
    ///
    /// # Errors
    /// [`Fault::Busy`] when the caller watches too much.
    pub(super) fn begin_watch(&mut self, key: &Key, uri: &str) -> Result<bool, Fault> {
        let uris = self.watches.entry(key.clone()).or_default();
        if uris.len() >= WATCHES_MAX && !uris.contains_key(uri) {
            return Err(Fault::Busy { instances_max: self.instances_max });
        }
        let count = uris.entry(uri.into()).or_default();
        *count += 1;
        Ok(*count == 1)
    }

    /// Takes a watch away. Returns whether it was the last one on the resource.
    pub(super) fn end_watch(&mut self, key: &Key, uri: &str) -> bool {
        let Some(uris) = self.watches.get_mut(key) else { return false };
        let Some(count) = uris.get_mut(uri) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        uris.remove(uri);
        if uris.is_empty() {
            self.watches.remove(key);
        }
        true
    }

    pub(super) fn is_watched(&self, key: &Key) -> bool {
        self.watches.contains_key(key)
    }

    /// How the server is, from here.
    pub(super) fn status(&self, now: Instant) -> Status {
        let mut instances: Vec<_> = self
            .slots
            .values()
            .filter_map(|slot| match &slot.phase {
                Phase::Running(instance) => Some(instance.status()),
                Phase::Starting { .. } => None,
            })
            .collect();
        instances.sort_by_key(|instance| instance.started);
        Status {
            state: self.state(now, instances.is_empty()),
            instances,
            restarts: self.restarts,
            last_error: self.last_error.clone(),
            dropped: 0,
        }
    }

    fn state(&self, now: Instant, nothing_runs: bool) -> State {
        if self.is_halted && nothing_runs {
            State::Stopped
        } else if let Some(until) = self.breaker.open_until(now) {
            State::CircuitOpen { until }
        } else if !nothing_runs {
            State::Running
        } else if let Some(until) = self.breaker.start_at(now) {
            State::Backoff { until }
        } else if !self.slots.is_empty() {
            State::Starting
        } else if self.breaker.is_troubled() {
            State::Failed
        } else {
            State::Idle
        }
    }
}

/// What follows from an instance that has just started.
#[derive(Debug)]
pub(super) struct Arrival {
    /// It replaces one that was lost, or says something else than the one before it.
    pub(super) is_changed: bool,
    /// The resources that its caller watches.
    pub(super) watched: Vec<Box<str>>,
}
