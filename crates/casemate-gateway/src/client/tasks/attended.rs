//! Tasks of legacy servers that asked something: the request that the questions came with is kept open, and a modern client is
//! shown them whenever it looks at the task.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::Members;
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock;
use crate::parked::{Conversation, Full, Ground, Said};
use crate::snapshot::QuestionLimits;
use crate::upstream::Event;

/// How long somebody who looks waits for the first question of a task that says it has one.
const FIRST: Duration = Duration::from_millis(500);

/// How long for further ones: those that are asked at once come together.
const FURTHER: Duration = Duration::from_millis(10);

/// Orders to one keeper that may wait.
const ORDERS_MAX: usize = 8;

/// Whose task it is, at which server, and the server's id for it.
pub(crate) type TaskKey = (SubjectId, ServerName, Box<str>);

/// The tasks that are attended.
#[derive(Default)]
pub(crate) struct Attended {
    open: Arc<Open>,
}

type Open = Mutex<Book>;

#[derive(Default)]
struct Book {
    keepers: HashMap<TaskKey, (u64, mpsc::Sender<Order>)>,
    /// Tells a keeper from a later one of the same task.
    serial: u64,
}

/// What somebody wants of a keeper.
#[derive(Debug)]
enum Order {
    /// Say what is open.
    Look(oneshot::Sender<Vec<Looked>>),
    /// Hand these replies to the server.
    Reply(Members, oneshot::Sender<()>),
    /// Tell the server that this question is not put.
    Refuse(Box<str>, ErrorObject),
}

/// A question that is open.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub(crate) key: Box<str>,
    pub(crate) method: Method,
    pub(crate) params: Option<Members>,
}

/// The way to one keeper.
#[derive(Debug, Clone)]
pub(crate) struct Attending {
    orders: mpsc::Sender<Order>,
}

impl Attending {
    /// What the task asks.
    pub(crate) async fn look(&self) -> Vec<Looked> {
        let (say, said) = oneshot::channel();
        _ = self.orders.send(Order::Look(say)).await;
        said.await.unwrap_or_default()
    }

    /// Hands over replies; returns once they are on their way.
    pub(crate) async fn reply(&self, replies: Members) {
        let (done, taken) = oneshot::channel();
        _ = self.orders.send(Order::Reply(replies, done)).await;
        // A task that is over wants no reply.
        _ = taken.await;
    }

    /// Tells the server that a question is not put to anybody.
    pub(crate) async fn refuse(&self, key: Box<str>, why: ErrorObject) {
        _ = self.orders.send(Order::Refuse(key, why)).await;
    }
}

impl Attended {
    /// The keeper of a task, if it has one.
    pub(crate) fn find(&self, key: &TaskKey) -> Option<Attending> {
        let book = lock(&self.open);
        book.keepers.get(key).map(|(_, orders)| Attending { orders: orders.clone() })
    }

    /// Keeps a request open whose stream brings a task's questions.
    ///
    /// # Errors
    /// [`Full`]; the request is given up.
    pub(crate) fn attend(
        &self,
        key: TaskKey,
        conversation: Conversation,
        (ground, limits): (&Ground, &QuestionLimits),
    ) -> Result<Attending, Full> {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let serial = {
            let mut book = lock(&self.open);
            if let Some((_, orders)) = book.keepers.get(&key) {
                return Ok(Attending { orders: orders.clone() });
            }
            if book.keepers.len() >= limits.parked_all_max {
                return Err(Full::All);
            }
            if book.keepers.keys().filter(|(owner, _, _)| *owner == key.0).count() >= limits.parked_max {
                return Err(Full::Subject);
            }
            book.serial += 1;
            let serial = book.serial;
            book.keepers.insert(key.clone(), (serial, orders.clone()));
            serial
        };
        let place = Place { open: Arc::clone(&self.open), key, serial };
        let until = clock::instant() + limits.time_max;
        let closing = ground.closing.clone();
        let keeper = Keeper { _place: place, conversation, inbox, until };
        ground.tracker.spawn(async move { _ = closing.run_until_cancelled(keeper.run()).await });
        Ok(Attending { orders })
    }

    /// Lets go of a task that asks nothing any more.
    pub(crate) fn end(&self, key: &TaskKey) {
        lock(&self.open).keepers.remove(key);
    }

    /// Lets go of those that may go on no more.
    pub(super) fn retain(&self, may_go_on: impl Fn(&TaskKey) -> bool) {
        let all: Vec<TaskKey> = lock(&self.open).keepers.keys().cloned().collect();
        let gone: Vec<TaskKey> = all.into_iter().filter(|key| !may_go_on(key)).collect();
        gone.iter().for_each(|key| self.end(key));
    }
}

impl fmt::Debug for Attended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attended").field("open", &lock(&self.open).keepers.len()).finish()
    }
}

fn lock(open: &Open) -> MutexGuard<'_, Book> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task's place among those that are attended; given up when dropped.
struct Place {
    open: Arc<Open>,
    key: TaskKey,
    serial: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = lock(&self.open);
        if book.keepers.get(&self.key).is_some_and(|(serial, _)| *serial == self.serial) {
            book.keepers.remove(&self.key);
        }
    }
}

/// What keeps one request open. It ends with the task, when nobody replies in time, and when nobody may look any more.
struct Keeper {
    _place: Place,
    conversation: Conversation,
    inbox: mpsc::Receiver<Order>,
    until: Instant,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                said = self.conversation.next() => match said {
                    Said::Event(event) => self.take(event),
                    // Whoever looks next hears of it from the server.
                    Said::Outcome(_) => return,
                },
                order = self.inbox.recv() => match order {
                    Some(Order::Look(say)) => {
                        if self.listen().await.is_break() {
                            return;
                        }
                        _ = say.send(self.shown());
                    }
                    Some(Order::Reply(replies, done)) => {
                        self.conversation.reply(&replies);
                        _ = done.send(());
                    }
                    Some(Order::Refuse(key, why)) => self.refuse(&key, why),
                    None => return,
                },
                () = sleep_until(self.until) => return,
            }
        }
    }

    /// Hears what is being asked at the moment, so that who looks is shown all of it.
    async fn listen(&mut self) -> std::ops::ControlFlow<()> {
        let mut patience = if self.conversation.open.is_empty() { FIRST } else { FURTHER };
        while let Ok(said) = timeout(patience, self.conversation.next()).await {
            match said {
                Said::Event(event) => self.take(event),
                Said::Outcome(_) => return std::ops::ControlFlow::Break(()),
            }
            if !self.conversation.open.is_empty() {
                patience = FURTHER;
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn take(&mut self, event: Event) {
        // Notices of a task have no client that they could be told to.
        if let Event::Question { method, params, answer } = event {
            self.conversation.put((method, params), answer);
        }
    }

    fn shown(&self) -> Vec<Looked> {
        let open = self.conversation.open.iter().filter(|question| !question.answer.is_closed());
        open.map(|question| Looked {
            key: question.key.clone(),
            method: question.method.clone(),
            params: question.params.clone(),
        })
        .collect()
    }

    fn refuse(&mut self, key: &str, why: ErrorObject) {
        let Some(at) = self.conversation.open.iter().position(|question| *question.key == *key) else {
            return;
        };
        if let Some(question) = self.conversation.open.remove(at) {
            // The server may have given the question up; nobody misses the refusal then.
            _ = question.answer.send(Err(why));
        }
    }
}
