//! Who began which task, and with which tool.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use sha2::{Digest, Sha256};

/// Tasks that are remembered; beyond them one of the subject with the most is forgotten.
const ALL_MAX: usize = 16_384;

/// The same of one subject: beyond them its oldest is forgotten. Where a server serves several subjects in one conversation,
/// nobody reaches a forgotten one any more.
const OWN_MAX: usize = 4_096;

/// Tools that are remembered of one id. A server that counts its tasks begins anew when it is started again; none gives one id
/// to so many.
const TOOLS_MAX: usize = 8;

/// A server, and the digest of its id for a task: a server writes ids as long as it likes, and none of them is too long to
/// be remembered.
type Key = (ServerName, [u8; 32]);

/// Who began which task. A server that serves several subjects in one conversation takes all of them for one client,
/// so that the id alone would open another's task.
#[derive(Debug, Default)]
pub(super) struct Begun {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Those with one id, each of another subject.
    entries: HashMap<Key, Vec<Entry>>,
    /// Those of each subject, the oldest first.
    order: HashMap<SubjectId, VecDeque<Key>>,
    /// How many there are.
    count: usize,
}

#[derive(Debug)]
struct Entry {
    owner: SubjectId,
    /// All that began a task with this id, the newest last; nobody knows which of them a late result is of.
    tools: Vec<Box<str>>,
    /// Whether the server gave the id to somebody else since: what it answers now is theirs.
    is_passed_on: bool,
}

impl Begun {
    pub(super) fn begin(&self, (server, id): (&ServerName, &str), owner: &SubjectId, tool: Option<&str>) {
        let key = key(server, id);
        let mut book = self.lock();
        if let Some(entry) = book.entry(&key, owner) {
            entry.began_again(tool);
        } else {
            book.make_room(owner);
            book.count += 1;
            book.order.entry(owner.clone()).or_default().push_back(key.clone());
            let tools = tool.into_iter().map(Box::from).collect();
            let entry = Entry { owner: owner.clone(), tools, is_passed_on: false };
            book.entries.entry(key.clone()).or_default().push(entry);
        }
        let all = book.entries.get_mut(&key).into_iter().flatten();
        all.filter(|entry| entry.owner != *owner).for_each(|entry| entry.is_passed_on = true);
    }

    pub(super) fn is_own(&self, (server, id): (&ServerName, &str), subject: &SubjectId) -> bool {
        self.lock().entry(&key(server, id), subject).is_some_and(|entry| !entry.is_passed_on)
    }

    pub(super) fn tools(
        &self,
        (server, id): (&ServerName, &str),
        subject: &SubjectId,
    ) -> Option<Vec<Box<str>>> {
        let mut book = self.lock();
        let tools =
            book.entry(&key(server, id), subject).map(|entry| entry.tools.clone()).unwrap_or_default();
        (tools.len() <= TOOLS_MAX).then_some(tools)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(server: &ServerName, id: &str) -> Key {
    (server.clone(), Sha256::digest(id).into())
}

impl Entry {
    /// The server gave the id to its owner once more.
    fn began_again(&mut self, tool: Option<&str>) {
        self.is_passed_on = false;
        if let Some(tool) = tool {
            if let Some(at) = self.tools.iter().position(|known| **known == *tool) {
                let known = self.tools.remove(at);
                self.tools.push(known);
            } else if self.tools.len() <= TOOLS_MAX {
                self.tools.push(tool.into());
            }
        }
    }
}

impl Book {
    fn entry(&mut self, key: &Key, owner: &SubjectId) -> Option<&mut Entry> {
        self.entries.get_mut(key)?.iter_mut().find(|entry| entry.owner == *owner)
    }

    fn make_room(&mut self, owner: &SubjectId) {
        if self.order.get(owner).is_some_and(|own| own.len() >= OWN_MAX) {
            self.forget_oldest(owner);
        } else if self.count >= ALL_MAX {
            // Whoever begins tasks without end pushes out their own.
            let most = self.order.iter().max_by_key(|(_, own)| own.len()).map(|(subject, _)| subject.clone());
            most.iter().for_each(|subject| self.forget_oldest(subject));
        }
    }

    fn forget_oldest(&mut self, subject: &SubjectId) {
        let Some(own) = self.order.get_mut(subject) else { return };
        if let Some(oldest) = own.pop_front()
            && let Some(entries) = self.entries.get_mut(&oldest)
        {
            self.count -= 1;
            entries.retain(|entry| entry.owner != *subject);
            if entries.is_empty() {
                self.entries.remove(&oldest);
            }
        }
        if self.order.get(subject).is_some_and(VecDeque::is_empty) {
            self.order.remove(subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (ServerName, ServerName, SubjectId, SubjectId) {
        let (one, two) = (ServerName::parse("one").unwrap(), ServerName::parse("two").unwrap());
        (one, two, SubjectId::key("ann"), SubjectId::key("bob"))
    }

    #[test]
    fn a_task_is_its_subjects_at_its_server() {
        let (tasks, (one, two, ann, bob)) = (Begun::default(), names());
        tasks.begin((&one, "t"), &ann, Some("slow"));
        assert!(tasks.is_own((&one, "t"), &ann) && !tasks.is_own((&one, "t"), &bob));
        assert!(!tasks.is_own((&two, "t"), &ann) && !tasks.is_own((&one, "u"), &ann));
        assert_eq!(tasks.tools((&one, "t"), &ann).unwrap(), ["slow".into()]);
        assert!(tasks.tools((&one, "t"), &bob).unwrap().is_empty());
    }

    #[test]
    fn an_id_that_a_server_gives_once_more_is_the_newest_owners_and_never_the_older_ones_again() {
        let (tasks, (one, _, ann, bob)) = (Begun::default(), names());
        tasks.begin((&one, "1"), &ann, Some("slow"));
        tasks.begin((&one, "1"), &bob, Some("quick"));
        assert!(tasks.is_own((&one, "1"), &bob) && !tasks.is_own((&one, "1"), &ann));
        assert_eq!(
            tasks.tools((&one, "1"), &ann).unwrap(),
            ["slow".into()],
            "each has a server of their own"
        );
        (0..OWN_MAX).for_each(|at| tasks.begin((&one, &format!("bob's {at}")), &bob, None));
        assert!(
            !tasks.is_own((&one, "1"), &bob) && !tasks.is_own((&one, "1"), &ann),
            "forgotten, not returned"
        );
        tasks.begin((&one, "1"), &ann, None);
        assert!(tasks.is_own((&one, "1"), &ann));
    }

    #[test]
    fn all_tools_that_had_an_id_are_known_of_it_and_too_many_are_none_that_anybody_could_judge() {
        let (tasks, (one, _, ann, _)) = (Begun::default(), names());
        for tool in ["a", "b", "a"] {
            tasks.begin((&one, "1"), &ann, Some(tool));
        }
        assert_eq!(
            tasks.tools((&one, "1"), &ann).unwrap(),
            ["b".into(), "a".into()],
            "the newest is the last"
        );
        (0..TOOLS_MAX * 2).for_each(|at| tasks.begin((&one, "1"), &ann, Some(&format!("t{at}"))));
        assert_eq!(tasks.tools((&one, "1"), &ann), None);
    }

    #[test]
    fn no_id_is_too_long_to_be_remembered() {
        let (tasks, (one, _, ann, _)) = (Begun::default(), names());
        let id = "x".repeat(1 << 20);
        tasks.begin((&one, &id), &ann, Some("slow"));
        assert_eq!(tasks.tools((&one, &id), &ann).unwrap(), ["slow".into()]);
    }

    #[test]
    fn a_flood_of_tasks_pushes_out_those_of_the_flooder() {
        let (tasks, (one, _, ann, _)) = (Begun::default(), names());
        tasks.begin((&one, "hers"), &ann, None);
        for flooder in 0..6 {
            let flooder = SubjectId::key(&format!("flooder-{flooder}"));
            (0..OWN_MAX + 9).for_each(|at| tasks.begin((&one, &format!("{flooder}{at}")), &flooder, None));
        }
        let book = tasks.lock();
        let entries: usize = book.entries.values().map(Vec::len).sum();
        assert!(entries <= ALL_MAX, "{entries}");
        assert_eq!(entries, book.count);
        assert_eq!(entries, book.order.values().map(VecDeque::len).sum::<usize>());
        drop(book);
        assert!(tasks.is_own((&one, "hers"), &ann));
    }
}
