//! Whose tasks are whose, where the server cannot tell; and of which tool a task is.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;

use crate::catalog::Item;

/// Tasks that are remembered; beyond them the oldest is forgotten, and nobody reaches it any more.
const KEPT_MAX: usize = 16_384;

/// Longest id of a task that is remembered, in bytes.
const ID_MAX: usize = 1024;

type Key = (ServerName, Box<str>);

/// Who began which task. A server that serves several subjects in one conversation takes all of them for one client,
/// so that the id alone would open another's task.
#[derive(Debug, Default)]
pub struct Tasks {
    begun: Mutex<Kept<Key, SubjectId>>,
    promised: Mutex<Kept<(SubjectId, Key), Arc<Item>>>,
}

/// What is remembered of so many tasks, the oldest first to go.
#[derive(Debug)]
struct Kept<K, V> {
    all: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept { all: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    fn keep(&mut self, key: K, value: V) {
        if self.all.insert(key.clone(), value).is_some() {
            return;
        }
        if self.order.len() >= KEPT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
        self.order.push_back(key);
    }
}

impl Tasks {
    /// Remembers who began a task. The first one keeps it.
    pub fn begin(&self, server: &ServerName, id: &str, owner: &SubjectId) {
        if id.len() > ID_MAX {
            return;
        }
        let key = (server.clone(), Box::from(id));
        let mut begun = locked(&self.begun);
        if !begun.all.contains_key(&key) {
            begun.keep(key, owner.clone());
        }
    }

    /// Remembers of which tool a subject's task is, for what the tool declares of its results. Of two tasks of one id the later
    /// counts: the process that had the first may be gone.
    pub(crate) fn promise(&self, (server, id): (&ServerName, &str), owner: &SubjectId, tool: &Arc<Item>) {
        if id.len() <= ID_MAX {
            let key = (owner.clone(), (server.clone(), Box::from(id)));
            locked(&self.promised).keep(key, Arc::clone(tool));
        }
    }

    /// The tool of a task that the subject began.
    pub(crate) fn promised(&self, (server, id): (&ServerName, &str), owner: &SubjectId) -> Option<Arc<Item>> {
        let key = (owner.clone(), (server.clone(), Box::from(id)));
        locked(&self.promised).all.get(&key).cloned()
    }

    /// Whether the subject began that task.
    #[must_use]
    pub fn is_own(&self, server: &ServerName, id: &str, subject: &SubjectId) -> bool {
        let key = (server.clone(), Box::from(id));
        locked(&self.begun).all.get(&key) == Some(subject)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_stays_with_the_first_who_began_it_and_old_ones_are_forgotten() {
        let tasks = Tasks::default();
        let (one, two) = (ServerName::parse("one").unwrap(), ServerName::parse("two").unwrap());
        let (ann, bob) = (SubjectId::key("ann"), SubjectId::key("bob"));
        tasks.begin(&one, "t", &ann);
        tasks.begin(&one, "t", &bob);
        assert!(tasks.is_own(&one, "t", &ann) && !tasks.is_own(&one, "t", &bob));
        assert!(!tasks.is_own(&two, "t", &ann) && !tasks.is_own(&one, "u", &ann));
        (0..KEPT_MAX).for_each(|at| tasks.begin(&two, &at.to_string(), &bob));
        assert!(!tasks.is_own(&one, "t", &ann));
        assert_eq!(tasks.begun.lock().unwrap().all.len(), KEPT_MAX);
    }
}
