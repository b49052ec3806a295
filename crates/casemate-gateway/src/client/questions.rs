//! Requests that we sent to a legacy client and whose answers are awaited.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use casemate_mcp::frame::{ErrorObject, Id};
use casemate_mcp::json::Raw;
use tokio::sync::oneshot;

/// Questions that one client can have open at once.
const OPEN_MAX: usize = 64;

type Reply = Result<Raw, ErrorObject>;

/// The open questions of one client.
#[derive(Debug, Default)]
pub struct Questions {
    next: AtomicI64,
    open: Mutex<HashMap<i64, oneshot::Sender<Reply>>>,
}

impl Questions {
    /// Opens a question: the id to ask under and where its reply will come. `None` when too many are open.
    pub fn open(&self) -> Option<(Id, oneshot::Receiver<Reply>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, receiver) = oneshot::channel();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Those whose caller gave up are closed first.
        open.retain(|_, waiting| !waiting.is_closed());
        if open.len() >= OPEN_MAX {
            return None;
        }
        open.insert(number, reply);
        Some((Id::Number(number), receiver))
    }

    /// Takes a client's reply. `false` for one that nobody asked for, or that comes a second time.
    pub fn reply(&self, id: &Id, reply: Reply) -> bool {
        let Id::Number(number) = id else { return false };
        let waiting = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(number);
        waiting.is_some_and(|waiting| waiting.send(reply).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_once_and_only_where_it_was_asked_for() {
        let questions = Questions::default();
        let (id, mut reply) = questions.open().unwrap();
        assert!(!questions.reply(&Id::Number(99), Ok(Raw::NULL)));
        assert!(!questions.reply(&Id::String("0".into()), Ok(Raw::NULL)));
        assert!(questions.reply(&id, Ok(Raw::EMPTY_OBJECT)));
        assert!(!questions.reply(&id, Ok(Raw::NULL)), "a second time");
        assert_eq!(reply.try_recv().unwrap().unwrap(), Raw::EMPTY_OBJECT);
    }

    #[test]
    fn open_questions_are_bounded_and_abandoned_ones_make_room() {
        let questions = Questions::default();
        let open: Vec<_> = (0..OPEN_MAX).map(|_| questions.open().unwrap()).collect();
        assert!(questions.open().is_none());
        drop(open);
        assert!(questions.open().is_some());
    }
}
