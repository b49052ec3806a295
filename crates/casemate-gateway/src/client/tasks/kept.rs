//! Results that we keep ourselves: a client of 2025-11-25 wanted a task, and its server, which decides that alone in the modern
//! dialect, answered at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_mcp::call::Answer;
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::Raw;
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use tokio::time::Instant;

use crate::clock;

/// How long a result is kept where its client does not say.
const TIME_DEFAULT: Duration = Duration::from_secs(300);

/// How long at most.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(3600);

/// Results that are kept of one subject; beyond them its oldest is let go.
const OWN_MAX: usize = 64;

/// Bytes that are kept of one subject, and of all together.
const OWN_BYTES_MAX: usize = 32 << 20;
const ALL_BYTES_MAX: usize = 256 << 20;

/// What the ids of such tasks begin with.
const PREFIX: &str = "casemate-";

/// The results that are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    tasks: HashMap<Box<str>, KeptTask>,
    /// Counts those that were ever kept.
    count: u64,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct KeptTask {
    owner: SubjectId,
    server: ServerName,
    /// What came of the call, as its server wrote it: it is looked at whenever it is fetched.
    pub(crate) answer: Answer,
    /// When it was kept: seconds since 1970.
    pub(crate) at: u64,
    /// For how long.
    pub(crate) time: Duration,
    until: Instant,
    bytes: usize,
    /// How many came before it.
    place: u64,
}

impl Kept {
    /// Keeps an answer for its subject; its task and the id of that, or nothing when there is no room for it.
    pub(crate) fn keep(
        &self,
        (owner, server): (&SubjectId, &ServerName),
        answer: Answer,
        time: Option<Duration>,
    ) -> Option<(String, KeptTask)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        let id = format!("{PREFIX}{:032x}", u128::from_be_bytes(random));
        let time = time.unwrap_or(TIME_DEFAULT).min(TIME_MAX);
        let (bytes, now) = (size(&answer), clock::instant());
        if bytes > OWN_BYTES_MAX {
            return None;
        }
        let answer = detached(answer);
        let mut book = self.lock();
        let Book { tasks, count } = &mut *book;
        *count += 1;
        let task = KeptTask {
            owner: owner.clone(),
            server: server.clone(),
            answer,
            at: clock::unix_now().as_secs(),
            time,
            until: now + time,
            bytes,
            place: *count,
        };
        tasks.retain(|_, task| task.until > now);
        loop {
            let own = || tasks.values().filter(|task| task.owner == *owner);
            let all: usize = tasks.values().map(|task| task.bytes).sum();
            let used: usize = own().map(|task| task.bytes).sum();
            let fits =
                own().count() < OWN_MAX && used + bytes <= OWN_BYTES_MAX && all + bytes <= ALL_BYTES_MAX;
            if fits {
                break;
            }
            let oldest =
                tasks.iter().filter(|(_, task)| task.owner == *owner).min_by_key(|(_, task)| task.place);
            let oldest = oldest.map(|(id, _)| id.clone())?;
            tasks.remove(&oldest);
        }
        tasks.insert(id.as_str().into(), task.clone());
        Some((id, task))
    }

    /// A task of this subject at this server that is kept.
    pub(crate) fn find(&self, (owner, server): (&SubjectId, &ServerName), id: &str) -> Option<KeptTask> {
        let book = self.lock();
        let task = book.tasks.get(id)?;
        let is_good = task.owner == *owner && task.server == *server && task.until > clock::instant();
        is_good.then(|| task.clone())
    }

    pub(super) fn sweep(&self, is_there: impl Fn(&SubjectId) -> bool) {
        let now = clock::instant();
        let owners: Vec<SubjectId> = self.lock().tasks.values().map(|task| task.owner.clone()).collect();
        let gone: Vec<SubjectId> = owners.into_iter().filter(|owner| !is_there(owner)).collect();
        self.lock().tasks.retain(|_, task| task.until > now && !gone.contains(&task.owner));
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In memory of its own: what its server wrote around it is neither counted nor kept.
fn detached(answer: Answer) -> Answer {
    match answer {
        Answer::Result(result) => Answer::Result(result.detached()),
        Answer::Error(error) => {
            Answer::Error(ErrorObject { data: error.data.as_ref().map(Raw::detached), ..error })
        }
    }
}

fn size(answer: &Answer) -> usize {
    match answer {
        Answer::Result(result) => result.as_bytes().len(),
        Answer::Error(error) => {
            error.message.len() + error.data.as_ref().map_or(0, |data| data.as_bytes().len())
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use casemate_mcp::json::Limits;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_result_is_its_subjects_alone_at_its_server_and_for_its_time() {
        let kept = Kept::default();
        let (one, two) = (ServerName::parse("one").unwrap(), ServerName::parse("two").unwrap());
        let (ann, bob) = (SubjectId::key("ann"), SubjectId::key("bob"));
        let answer = || Answer::Result(Raw::EMPTY_OBJECT);
        let (id, _) = kept.keep((&ann, &one), answer(), Some(Duration::from_secs(9))).unwrap();
        assert!(kept.find((&ann, &one), &id).is_some());
        assert!(kept.find((&bob, &one), &id).is_none() && kept.find((&ann, &two), &id).is_none());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(kept.find((&ann, &one), &id).is_none());
        let (asked, _) = kept.keep((&ann, &one), answer(), Some(Duration::MAX)).unwrap();
        assert_eq!(kept.find((&ann, &one), &asked).unwrap().time, TIME_MAX);
        kept.sweep(|subject| *subject != ann);
        assert!(kept.find((&ann, &one), &asked).is_none());
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_a_flood_pushes_out_its_own() {
        let kept = Kept::default();
        let one = ServerName::parse("one").unwrap();
        let (ann, bob) = (SubjectId::key("ann"), SubjectId::key("bob"));
        let (hers, _) = kept.keep((&ann, &one), Answer::Result(Raw::EMPTY_OBJECT), None).unwrap();
        let large = || Answer::Result(Raw::string_of(&"x".repeat(OWN_BYTES_MAX / 2)));
        let (first, _) = kept.keep((&bob, &one), large(), None).unwrap();
        (0..OWN_MAX + 3).for_each(|_| drop(kept.keep((&bob, &one), Answer::Result(Raw::EMPTY_OBJECT), None)));
        assert!(kept.find((&bob, &one), &first).is_none() && kept.find((&ann, &one), &hers).is_some());
        assert_eq!(kept.lock().tasks.values().filter(|task| task.owner == bob).count(), OWN_MAX);
        let too_large = Answer::Result(Raw::string_of(&"x".repeat(OWN_BYTES_MAX)));
        assert!(kept.keep((&bob, &one), too_large, None).is_none());
        assert_eq!(kept.lock().tasks.values().filter(|task| task.owner == bob).count(), OWN_MAX);
    }

    #[tokio::test]
    async fn a_kept_result_held_the_whole_message_that_it_came_in() {
        let kept = Kept::default();
        let (one, ann) = (ServerName::parse("one").unwrap(), SubjectId::key("ann"));
        let message = Bytes::from(format!("{{\"result\":{{\"a\":1}},\"pad\":\"{}\"}}", "x".repeat(9999)));
        let members = || Raw::check(message.clone(), &Limits::default()).unwrap().members().unwrap();
        let (id, _) =
            kept.keep((&ann, &one), Answer::Result(members().get("result").unwrap()), None).unwrap();
        let error = ErrorObject { data: members().get("pad"), ..ErrorObject::new(1, "no") };
        let (failed, _) = kept.keep((&ann, &one), Answer::Error(error), None).unwrap();
        assert!(message.is_unique(), "nothing of it is kept alive");
        assert!(kept.find((&ann, &one), &id).is_some() && kept.find((&ann, &one), &failed).is_some());
    }
}
