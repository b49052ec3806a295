//! A call at its server, with what the server says and asks meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use casemate_mcp::call::{Answer, Call};
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::question::Need;
use tokio::sync::{mpsc, oneshot};

use crate::catalog::Shelf;
use crate::upstream::{Caller, Event, Fault};

/// Messages of a running call that wait for its client.
pub(crate) const EVENTS_MAX: usize = 64;

type Outcome = Result<Answer, Fault>;

/// A call at its server. Dropping it cancels the call there.
pub(crate) struct Conversation {
    call: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    inbox: mpsc::Receiver<Event>,
    outcome: Option<Outcome>,
    /// What the client was asked and has not answered yet.
    pub(crate) open: VecDeque<Question>,
    /// How often the client was asked.
    pub(crate) rounds: u32,
    /// How much it was asked.
    asked: u64,
    /// What the names of its questions begin with.
    name: Box<str>,
    /// What the server asked without having been offered it.
    pub(crate) unoffered: BTreeSet<Need>,
}

/// Something that a server asked.
#[derive(Debug)]
pub(crate) struct Question {
    /// Its name among those of this call.
    pub(crate) key: Box<str>,
    pub(crate) method: Method,
    pub(crate) params: Option<Members>,
    pub(crate) answer: oneshot::Sender<Result<Raw, ErrorObject>>,
}

/// What a server says.
#[derive(Debug)]
pub(crate) enum Said {
    /// Something before its answer.
    Event(Event),
    /// Its answer, or why there is none.
    Outcome(Outcome),
}

impl Conversation {
    /// Makes a call. It begins when somebody listens.
    pub(crate) fn begin(shelf: &Arc<Shelf>, caller: Caller, call: Call) -> Conversation {
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let shelf = Arc::clone(shelf);
        Conversation::over(async move { shelf.server().call(&caller, &call, events).await }, inbox)
    }

    /// Around a call and what is said in it, of which nothing was heard yet.
    fn over(
        call: impl Future<Output = Outcome> + Send + 'static,
        inbox: mpsc::Receiver<Event>,
    ) -> Conversation {
        Conversation {
            call: Box::pin(call),
            inbox,
            outcome: None,
            open: VecDeque::new(),
            rounds: 0,
            asked: 0,
            name: "question".into(),
            unoffered: BTreeSet::new(),
        }
    }

    /// The same with other names for its questions.
    pub(crate) fn named(self, name: &str) -> Conversation {
        Conversation { name: name.into(), ..self }
    }

    /// What the server says next; everything that it said before its answer comes before it.
    pub(crate) async fn next(&mut self) -> Said {
        loop {
            if self.outcome.is_some() {
                return match (self.inbox.try_recv(), self.outcome.take()) {
                    (Ok(event), outcome) => {
                        self.outcome = outcome;
                        Said::Event(event)
                    }
                    (Err(_), Some(outcome)) => Said::Outcome(outcome),
                    (Err(_), None) => pending().await,
                };
            }
            tokio::select! {
                biased;
                Some(event) = self.inbox.recv() => return Said::Event(event),
                outcome = &mut self.call => self.outcome = Some(outcome),
            }
        }
    }

    /// Keeps the call at work without listening to it. Never ends.
    pub(super) async fn work(&mut self) {
        if self.outcome.is_none() {
            self.outcome = Some((&mut self.call).await);
        }
        pending().await
    }

    /// Notes a question that the client is to be asked. Those that the server took back go: one that asks and takes back
    /// without end would fill memory while nobody looks.
    pub(crate) fn put(&mut self, (method, params): (Method, Option<Members>), answer: Answerer) {
        self.open.retain(|question| !question.answer.is_closed());
        self.asked += 1;
        let key = format!("{}-{}", self.name, self.asked).into();
        self.open.push_back(Question { key, method, params, answer });
    }

    /// Hands the client's replies to the server. What it left out stays open, unless the server does not want it any more.
    pub(crate) fn reply(&mut self, replies: &Members) {
        for question in std::mem::take(&mut self.open) {
            match replies.get(&question.key) {
                // A server that gave its question up misses nothing.
                Some(reply) => _ = question.answer.send(Ok(reply)),
                None if question.answer.is_closed() => {}
                None => self.open.push_back(question),
            }
        }
    }
}

/// Takes the answer to a question.
pub(crate) type Answerer = oneshot::Sender<Result<Raw, ErrorObject>>;

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conversation { open, rounds, .. } = self;
        f.debug_struct("Conversation").field("open", open).field("rounds", rounds).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_asks_and_takes_back_without_end_fills_nothing() {
        let mut conversation = Conversation::over(pending(), mpsc::channel(1).1);
        for _ in 0..1_000 {
            let (answer, taken_back) = oneshot::channel();
            conversation.put((Method::ElicitationCreate, None), answer);
            drop(taken_back);
        }
        let (answer, wanted) = oneshot::channel();
        conversation.put((Method::ElicitationCreate, None), answer);
        assert_eq!(conversation.open.len(), 1);
        assert_eq!(&*conversation.open[0].key, "question-1001", "no name is given twice");
        drop(wanted);
    }
}
