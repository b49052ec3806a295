//! Who began which task, and with which tool.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;

use super::ID_MAX;

/// Tasks that are remembered; beyond them one of the subject with the most is forgotten.
const ALL_MAX: usize = 16_384;

/// The same of one subject: beyond them its oldest is forgotten. Where a server serves several subjects in one conversation,
/// nobody reaches a forgotten one any more.
const OWN_MAX: usize = 4_096;

type Key = (ServerName, Box<str>);

/// Who began which task. A server that serves several subjects in one conversation takes all of them for one client,
/// so that the id alone would open another's task.
#[derive(Debug, Default)]
pub(super) struct Begun {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<Key, Entry>,
    /// Those of each subject, the oldest first.
    order: HashMap<SubjectId, VecDeque<Key>>,
}

#[derive(Debug)]
struct Entry {
    owner: SubjectId,
    tool: Option<Box<str>>,
}

impl Begun {
    pub(super) fn begin(&self, (server, id): (&ServerName, &str), owner: &SubjectId, tool: Option<&str>) {
        if id.len() > ID_MAX {
            return;
        }
        let key = (server.clone(), Box::from(id));
        let mut book = self.lock();
        if book.entries.contains_key(&key) {
            return;
        }
        if book.order.get(owner).is_some_and(|own| own.len() >= OWN_MAX) {
            book.forget_oldest(owner);
        } else if book.entries.len() >= ALL_MAX {
            // Whoever begins tasks without end pushes out their own.
            let most = book.order.iter().max_by_key(|(_, own)| own.len()).map(|(subject, _)| subject.clone());
            most.iter().for_each(|subject| book.forget_oldest(subject));
        }
        book.order.entry(owner.clone()).or_default().push_back(key.clone());
        book.entries.insert(key, Entry { owner: owner.clone(), tool: tool.map(Box::from) });
    }

    pub(super) fn is_own(&self, (server, id): (&ServerName, &str), subject: &SubjectId) -> bool {
        let key = (server.clone(), Box::from(id));
        self.lock().entries.get(&key).is_some_and(|entry| entry.owner == *subject)
    }

    pub(super) fn tool(&self, (server, id): (&ServerName, &str), subject: &SubjectId) -> Option<Box<str>> {
        let key = (server.clone(), Box::from(id));
        let book = self.lock();
        book.entries.get(&key).filter(|entry| entry.owner == *subject)?.tool.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn forget_oldest(&mut self, subject: &SubjectId) {
        let Some(own) = self.order.get_mut(subject) else { return };
        if let Some(oldest) = own.pop_front() {
            self.entries.remove(&oldest);
        }
        if self.order.get(subject).is_some_and(VecDeque::is_empty) {
            self.order.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_stays_with_the_first_who_began_it() {
        let tasks = Begun::default();
        let (one, two) = (ServerName::parse("one").unwrap(), ServerName::parse("two").unwrap());
        let (ann, bob) = (SubjectId::key("ann"), SubjectId::key("bob"));
        tasks.begin((&one, "t"), &ann, Some("slow"));
        tasks.begin((&one, "t"), &bob, None);
        assert!(tasks.is_own((&one, "t"), &ann) && !tasks.is_own((&one, "t"), &bob));
        assert!(!tasks.is_own((&two, "t"), &ann) && !tasks.is_own((&one, "u"), &ann));
        assert_eq!(tasks.tool((&one, "t"), &ann).as_deref(), Some("slow"));
        assert_eq!(tasks.tool((&one, "t"), &bob), None);
    }

    #[test]
    fn a_flood_of_tasks_pushes_out_those_of_the_flooder() {
        let tasks = Begun::default();
        let one = ServerName::parse("one").unwrap();
        let ann = SubjectId::key("ann");
        tasks.begin((&one, "hers"), &ann, None);
        for flooder in 0..6 {
            let flooder = SubjectId::key(&format!("flooder-{flooder}"));
            (0..OWN_MAX + 9).for_each(|at| tasks.begin((&one, &format!("{flooder}{at}")), &flooder, None));
        }
        let book = tasks.lock();
        assert!(book.entries.len() <= ALL_MAX, "{}", book.entries.len());
        assert_eq!(book.entries.len(), book.order.values().map(VecDeque::len).sum::<usize>());
        drop(book);
        assert!(tasks.is_own((&one, "hers"), &ann));
    }
}
