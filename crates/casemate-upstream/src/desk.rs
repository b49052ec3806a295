//! The requests that an instance has not answered yet, and to which of them an incoming message belongs.
//!
//! Ids are ours, never the client's: integers that count up. A progress token is the id of its request.

mod inbound;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::call::{Answer, Call};
use casemate_mcp::frame::{Id, notification_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::question::Need;
use casemate_mcp::task;
use casemate_policy::SubjectId;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::deadline::Activity;
use super::outlet::Outlet;
use super::{Event, Fault, guard};

use inbound::Held;
pub(super) use inbound::{Reaction, answered_id};

/// What becomes of a request.
pub(super) type Outcome = Result<Answer, Fault>;

/// The requests of one instance that are under way.
#[derive(Debug)]
pub(super) struct Desk {
    /// Whose instance it is.
    subject: Option<SubjectId>,
    /// What was offered to the server: it may ask for nothing else.
    offered: Members,
    outlet: Arc<Outlet>,
    book: Mutex<Book>,
    /// Held by the one call that a server which asks works on.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct Book {
    last_id: i64,
    open: HashMap<i64, Open>,
    /// Questions of the server that a client thinks about.
    questions: HashMap<Id, Pending>,
    /// Questions that could belong to any of several calls, until all of these but one are answered.
    held: Vec<Held>,
    /// Why nothing is taken any more.
    ended: Option<String>,
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Pending {
    /// Nobody wants the answer any more.
    withdrawn: CancellationToken,
    /// The call that it belongs to, as soon as that is certain.
    call: Option<i64>,
}

#[derive(Debug)]
struct Open {
    method: Method,
    answer: oneshot::Sender<Outcome>,
    /// Absent for requests of our own.
    events: Option<mpsc::Sender<Event>>,
    activity: Arc<Activity>,
    /// The task that it waits for.
    task: Option<Box<str>>,
}

impl Desk {
    pub(super) fn new(subject: Option<SubjectId>, offered: Members, outlet: Arc<Outlet>) -> Arc<Desk> {
        Arc::new(Desk { subject, offered, outlet, book: Mutex::default(), turn: Semaphore::new(1) })
    }

    /// Whose instance it is.
    pub(super) fn subject(&self) -> Option<&SubjectId> {
        self.subject.as_ref()
    }

    /// What was offered to the server.
    pub(super) fn offered(&self) -> &Members {
        &self.offered
    }

    /// The same with one call to a modern server. It may give a task in place of an answer to those who know the extension; for
    /// a legacy client that is us, who wait for it.
    pub(super) fn offered_with(&self, call: &Call) -> Members {
        match self.subject.is_none() || call.meta.revision.is_modern() {
            true => self.offered.clone(),
            false => task::with_extension(&self.offered),
        }
    }

    /// Waits for a call's turn. A server that asks questions that name no call is given one call at a time from its first
    /// question on, so that each question has one call that it can belong to. A further process would know nothing of
    /// what was done in this one.
    ///
    /// # Errors
    /// [`Fault::Busy`] when the turn does not come within `time`.
    pub(super) async fn turn(
        &self,
        method: &Method,
        time: Duration,
    ) -> Result<Option<SemaphorePermit<'_>>, Fault> {
        if !Need::any(&self.offered) || !self.outlet.is_asking() || !runs(method) {
            return Ok(None);
        }
        let turn = timeout(time, self.turn.acquire()).await.map_err(|_| Fault::Busy { instances_max: 1 })?;
        Ok(turn.ok())
    }

    /// Takes the next id for a request. Without `events` it is one of our own, which no message belongs to.
    ///
    /// # Errors
    /// [`Fault::Gone`], not sent, after [`Desk::close`].
    pub(super) fn open(
        self: &Arc<Desk>,
        method: &Method,
        events: Option<mpsc::Sender<Event>>,
    ) -> Result<Ticket, Fault> {
        let (sender, answer) = oneshot::channel();
        let activity = Arc::new(Activity::new());
        let open = Open {
            method: method.clone(),
            answer: sender,
            events,
            activity: Arc::clone(&activity),
            task: None,
        };
        let mut book = guard(&self.book);
        if let Some(why) = &book.ended {
            return Err(Fault::Gone { sent: false, why: why.clone() });
        }
        book.last_id += 1;
        let id = book.last_id;
        book.open.insert(id, open);
        drop(book);
        Ok(Ticket { desk: Arc::clone(self), id, answer, activity })
    }

    /// The same for a call. One that waits for a task takes the questions that say they belong to it.
    ///
    /// # Errors
    /// As [`Desk::open`].
    pub(super) fn open_call(
        self: &Arc<Desk>,
        call: &Call,
        events: mpsc::Sender<Event>,
    ) -> Result<Ticket, Fault> {
        let ticket = self.open(&call.method, Some(events))?;
        if call.method == Method::TasksResult
            && let Some(open) = guard(&self.book).open.get_mut(&ticket.id)
        {
            open.task = call.params.string("taskId").map(String::into_boxed_str);
        }
        Ok(ticket)
    }

    /// Ends all requests that are under way, each with this fault, and takes no more.
    pub(super) fn close(&self, fault: &Fault) {
        let mut book = guard(&self.book);
        book.ended.get_or_insert_with(|| match fault {
            Fault::Gone { why, .. } => why.clone(),
            other => other.to_string(),
        });
        let open = std::mem::take(&mut book.open);
        let questions = std::mem::take(&mut book.questions);
        book.held.clear();
        drop(book);
        for question in questions.into_values() {
            question.withdrawn.cancel();
        }
        for entry in open.into_values() {
            _ = entry.answer.send(Err(fault.clone()));
        }
    }

    /// Ends one request: the one with this id or, without an id, the only one that is under way. Returns whether
    /// there was one.
    pub(super) fn fail(&self, id: Option<i64>, fault: Fault) -> bool {
        let mut book = guard(&self.book);
        let Some(id) = id.or_else(|| book.only()) else { return false };
        let Some(entry) = book.open.remove(&id) else { return false };
        book.given_up(&entry);
        drop(book);
        entry.answer.send(Err(fault)).is_ok()
    }
}

impl Book {
    /// A call ended that was not answered. It may have been the one that asked, which nobody can find out any more: what is
    /// held is answered with an error.
    fn given_up(&mut self, entry: &Open) {
        if entry.is_call() && runs(&entry.method) {
            self.held.clear();
        }
    }

    /// The one call that a message without an address can only belong to. Calls that run something come first:
    /// a list that is read meanwhile asks nothing.
    fn only(&self) -> Option<i64> {
        let calls = || self.open.iter().filter(|(_, open)| open.is_call());
        let mut running = calls().filter(|(_, open)| runs(&open.method));
        match (running.next(), running.next()) {
            (Some((id, _)), None) => return Some(*id),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
        let mut any = calls();
        match (any.next(), any.next()) {
            (Some((id, _)), None) => Some(*id),
            _ => None,
        }
    }
}

/// Requests that make use of what a server offers, and in which it may ask.
pub(super) fn runs(method: &Method) -> bool {
    matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
}

impl Open {
    fn is_call(&self) -> bool {
        self.events.is_some() && self.method != Method::Listen
    }
}

/// A request that is under way. Dropping it forgets the request: an answer that comes later is noise.
#[derive(Debug)]
pub(super) struct Ticket {
    desk: Arc<Desk>,
    id: i64,
    answer: oneshot::Receiver<Outcome>,
    activity: Arc<Activity>,
}

impl Ticket {
    /// The id under which the request is sent; also its progress token.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// The request's signs of life.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Waits for what becomes of it. To be asked once.
    pub(super) async fn outcome(&mut self) -> Outcome {
        let gone = || Fault::Gone { sent: true, why: "the instance was dropped".into() };
        (&mut self.answer).await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut book = guard(&self.desk.book);
        if let Some(entry) = book.open.remove(&self.id) {
            book.given_up(&entry);
        }
        // A server that was told that its call is over would take an error for a reason to go on without an answer.
        for question in book.questions.values().filter(|question| question.call == Some(self.id)) {
            question.withdrawn.cancel();
        }
    }
}

/// Tells a server that nobody waits for a request any more.
pub(super) fn cancellation(id: i64) -> Bytes {
    let params = Members::empty().edit().set("requestId", Raw::of(&id)).finish();
    notification_text(&Method::Cancelled, Some(&params))
}
