//! Whose tasks are whose, where the server cannot tell.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;

/// Tasks that are remembered; beyond them the oldest is forgotten, and nobody reaches it any more.
const KEPT_MAX: usize = 16_384;

/// Longest id of a task that is remembered, in bytes.
const ID_MAX: usize = 1024;

type Key = (ServerName, Box<str>);

/// Who began which task. A server that serves several subjects in one conversation takes all of them for one client,
/// so that the id alone would open another's task.
#[derive(Debug, Default)]
pub struct Tasks {
    begun: Mutex<Begun>,
}

#[derive(Debug, Default)]
struct Begun {
    owners: HashMap<Key, SubjectId>,
    order: VecDeque<Key>,
}

impl Tasks {
    /// Remembers who began a task. The first one keeps it.
    pub fn begin(&self, server: &ServerName, id: &str, owner: &SubjectId) {
        if id.len() > ID_MAX {
            return;
        }
        let key = (server.clone(), Box::from(id));
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.owners.contains_key(&key) {
            return;
        }
        if begun.order.len() >= KEPT_MAX
            && let Some(oldest) = begun.order.pop_front()
        {
            begun.owners.remove(&oldest);
        }
        begun.order.push_back(key.clone());
        begun.owners.insert(key, owner.clone());
    }

    /// Whether the subject began that task.
    #[must_use]
    pub fn is_own(&self, server: &ServerName, id: &str, subject: &SubjectId) -> bool {
        let key = (server.clone(), Box::from(id));
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.owners.get(&key) == Some(subject)
    }
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
        assert_eq!(tasks.begun.lock().unwrap().owners.len(), KEPT_MAX);
    }
}
