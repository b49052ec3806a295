//! Incoming messages: answers find their request, reports their call, and questions the one who can answer.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use casemate_mcp::call::{Answer, Notice};
use casemate_mcp::dialect::modern::SUBSCRIPTION_ID;
use casemate_mcp::frame::{ErrorObject, Frame, Id, code, error_text, response_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::question::Need;
use casemate_mcp::task::related;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Book, Desk, Pending, runs};
use crate::deadline::Activity;
use crate::{Event, guard};

/// Questions of one instance that may wait for clients at once.
const QUESTIONS_MAX: usize = 16;
/// Bytes of one question: a picture for a model fits. It may wait for minutes, as may the others.
const QUESTION_BYTES_MAX: usize = 4 << 20;
/// Bytes of one report on a call at work. As many as a client is behind wait for it.
const REPORT_BYTES_MAX: usize = 1 << 20;

/// What an incoming message asks of the connection.
#[derive(Debug)]
pub(crate) enum Reaction {
    /// Nothing: an answer or a notice, which has gone where it belongs.
    Delivered,
    /// Nothing, and nobody had asked for it: noise that a flood would consist of.
    Unasked,
    /// Send this back.
    Reply(Bytes),
    /// Wait for a client, then send its reply back.
    Ask(Asked),
}

/// A question that was passed on to a client.
#[derive(Debug)]
pub(crate) struct Asked {
    desk: Arc<Desk>,
    id: Id,
    answer: oneshot::Receiver<Result<Raw, ErrorObject>>,
    withdrawn: CancellationToken,
    /// Of the call that it belongs to, as soon as that is certain.
    activity: Arc<OnceLock<Arc<Activity>>>,
}

/// A question that belongs to one of several calls.
#[derive(Debug)]
pub(super) struct Held {
    id: Id,
    method: Method,
    params: Option<Members>,
    answer: oneshot::Sender<Result<Raw, ErrorObject>>,
    activity: Arc<OnceLock<Arc<Activity>>>,
}

impl Asked {
    /// Waits for the client and writes its reply; nothing when the server no longer wants it.
    pub(crate) async fn reply(mut self) -> Option<Bytes> {
        let outcome = tokio::select! {
            biased;
            () = self.withdrawn.cancelled() => return None,
            answer = &mut self.answer => answer,
        };
        let outcome = outcome.unwrap_or_else(|_| Err(ErrorObject::new(code::INTERNAL, "nobody answered")));
        Some(match outcome {
            Ok(result) => response_text(&self.id, &result),
            Err(error) => error_text(Some(&self.id), &error),
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut book = guard(&self.desk.book);
        if let Some(activity) = self.activity.get() {
            activity.answered();
        }
        book.questions.remove(&self.id);
    }
}

impl Desk {
    /// Takes a message to where it belongs. `origin` is the request on whose own stream it came, where there are
    /// such streams. Never waits for anybody.
    pub(crate) fn receive(self: &Arc<Desk>, frame: Frame, origin: Option<i64>) -> Reaction {
        match frame {
            Frame::Response { id, outcome } => self.answered(id, outcome),
            Frame::Request { id, method: Method::Ping, .. } => {
                Reaction::Reply(response_text(&id, &Raw::EMPTY_OBJECT))
            }
            Frame::Request { id, method, params } => match self.ask(&id, Notice { method, params }, origin) {
                Ok(asked) => Reaction::Ask(asked),
                Err(error) => Reaction::Reply(error_text(Some(&id), &error)),
            },
            Frame::Notification { method, params } => self.noticed(Notice { method, params }, origin),
        }
    }

    fn answered(&self, id: Option<Id>, outcome: Result<Raw, ErrorObject>) -> Reaction {
        let entry = {
            let mut book = guard(&self.book);
            let entry = match (&id, &outcome) {
                (Some(Id::Number(number)), _) => book.open.remove(number),
                // A server that could not read the request's id; there is no doubt when only one is under way.
                (None, Err(_)) if book.open.len() == 1 => book.open.drain().map(|(_, open)| open).next(),
                _ => None,
            };
            book.settle();
            entry
        };
        let Some(entry) = entry else {
            let line = match (id, outcome) {
                (Some(id), _) => format!("an answer to request {id}, which is not open"),
                (None, Err(error)) => format!("an error without an id: {} ({})", error.message, error.code),
                (None, Ok(_)) => "an answer without an id".to_owned(),
            };
            self.outlet.log("protocol", line.as_bytes());
            return Reaction::Unasked;
        };
        let answer = match outcome {
            Ok(result) => Answer::Result(result),
            Err(error) => Answer::Error(error),
        };
        _ = entry.answer.send(Ok(answer));
        Reaction::Delivered
    }

    fn noticed(&self, notice: Notice, origin: Option<i64>) -> Reaction {
        let params = notice.params.as_ref();
        match &notice.method {
            Method::Progress => {
                let token = params.and_then(|params| params.get("progressToken"));
                let id = token.and_then(|token| token.as_str().parse().ok());
                self.report(id, notice)
            }
            Method::Message => {
                let id = origin.or_else(|| guard(&self.book).only());
                self.report(id, notice)
            }
            Method::Cancelled => {
                let id = params.and_then(|params| params.get("requestId")).and_then(|raw| id_of(&raw));
                let question = id.and_then(|id| guard(&self.book).questions.remove(&id));
                question.map_or(Reaction::Unasked, |question| {
                    question.withdrawn.cancel();
                    Reaction::Delivered
                })
            }
            _ => {
                let listener = origin.or_else(|| subscription(params?));
                match listener {
                    Some(id) if self.is_listener(id) => self.report(Some(id), notice),
                    // A subscription that has ended: its successor tells the same.
                    Some(_) if origin.is_none() => Reaction::Unasked,
                    _ => {
                        self.outlet.tell(self.subject.as_ref(), notice);
                        Reaction::Unasked
                    }
                }
            }
        }
    }

    /// Hands a notice to the call it belongs to, and notes that the server is at work on it.
    fn report(&self, id: Option<i64>, notice: Notice) -> Reaction {
        let book = guard(&self.book);
        let Some(open) = id
            .and_then(|id| book.open.get(&id))
            .filter(|_| bytes_of(notice.params.as_ref()) <= REPORT_BYTES_MAX)
        else {
            drop(book);
            if notice.method == Method::Message {
                let text = notice.params.as_ref().map(Members::raw);
                self.outlet.log("message", text.map(Raw::as_bytes).unwrap_or_default());
            }
            return Reaction::Unasked;
        };
        if notice.method == Method::Progress {
            open.activity.touch();
        }
        let sent = open.events.as_ref().map(|events| events.try_send(Event::Notice(notice)));
        drop(book);
        if let Some(Err(TrySendError::Full(_))) = sent {
            self.outlet.count_dropped();
        }
        Reaction::Unasked
    }

    fn is_listener(&self, id: i64) -> bool {
        guard(&self.book).open.get(&id).is_some_and(|open| open.method == Method::Listen)
    }

    fn ask(self: &Arc<Desk>, id: &Id, question: Notice, origin: Option<i64>) -> Result<Asked, ErrorObject> {
        let Notice { method, params } = question;
        let need = Need::of(&method, params.as_ref());
        if !need.is_some_and(|need| need.is_met(&self.offered)) {
            self.report_unoffered(need, origin);
            let message = format!("{method} was not offered to this server");
            return Err(ErrorObject::new(code::METHOD_NOT_FOUND, message));
        }
        if bytes_of(params.as_ref()) > QUESTION_BYTES_MAX {
            let message = format!("a question has at most {QUESTION_BYTES_MAX} bytes");
            return Err(ErrorObject::new(code::INVALID_PARAMS, message));
        }
        // It is kept while somebody thinks, so the rest of what it arrived in goes.
        let params = params.as_ref().map(Members::detached);
        let task = params.as_ref().and_then(related);
        if origin.is_none() && task.is_none() {
            self.outlet.note_asking();
        }
        let refused = |why: &str| Err(ErrorObject::new(code::INTERNAL, why));
        let mut book = guard(&self.book);
        if book.questions.len() >= QUESTIONS_MAX {
            return refused("too many questions wait for an answer");
        }
        if book.questions.contains_key(id) {
            return refused("a question with this id waits for an answer already");
        }
        let (answer, receiver) = oneshot::channel();
        let activity = Arc::new(OnceLock::new());
        let held = Held { id: id.clone(), method, params, answer, activity: Arc::clone(&activity) };
        let call = origin.or_else(|| match &task {
            Some(task) => book.waits_for(task),
            None => book.only(),
        });
        match call.and_then(|call| book.call(call)) {
            Some(ear) => {
                if !held.put_to(&ear) {
                    return refused("the client does not take questions now");
                }
            }
            None if task.is_some() => {
                return refused("nobody waits for the task that the question belongs to");
            }
            None if origin.is_none() && book.running().count() > 1 => book.held.push(held),
            None => return refused("the question belongs to none of the calls in flight"),
        }
        let withdrawn = CancellationToken::new();
        book.questions.insert(id.clone(), Pending { withdrawn: withdrawn.clone(), call });
        drop(book);
        Ok(Asked { desk: Arc::clone(self), id: id.clone(), answer: receiver, withdrawn, activity })
    }

    /// Tells the call in which it was asked what its client would have had to declare.
    fn report_unoffered(&self, need: Option<Need>, origin: Option<i64>) {
        let book = guard(&self.book);
        let call = origin.or_else(|| book.only()).and_then(|id| book.call(id));
        if let (Some(need), Some((events, _))) = (need, call) {
            // A client that does not read learns less of why its call failed.
            _ = events.try_send(Event::Unoffered(need));
        }
    }
}

fn bytes_of(params: Option<&Members>) -> usize {
    params.map_or(0, |params| params.raw().as_bytes().len())
}

/// The id of an answer that is no valid frame, so that its call need not wait for the timeout.
pub(crate) fn answered_id(text: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Envelope {
        id: i64,
        method: Option<IgnoredAny>,
    }
    let envelope: Envelope = serde_json::from_slice(text).ok()?;
    envelope.method.is_none().then_some(envelope.id)
}

type Ear = (tokio::sync::mpsc::Sender<Event>, Arc<Activity>);

impl Held {
    /// Puts the question to the call that it belongs to. `false` when that does not listen.
    fn put_to(self, (events, activity): &Ear) -> bool {
        let Ok(place) = events.try_reserve() else { return false };
        // Before anybody can answer: the answer is counted, too.
        activity.asked();
        _ = self.activity.set(Arc::clone(activity));
        place.send(Event::Question { method: self.method, params: self.params, answer: self.answer });
        true
    }
}

impl Book {
    /// Requests in which a server may ask.
    fn running(&self) -> impl Iterator<Item = i64> {
        self.open.iter().filter(|(_, open)| open.is_call() && runs(&open.method)).map(|(id, _)| *id)
    }

    /// The request that waits for a task.
    fn waits_for(&self, task: &str) -> Option<i64> {
        let waits = self.open.iter().find(|(_, open)| open.task.as_deref() == Some(task));
        waits.map(|(id, _)| *id)
    }

    /// Gives what is held to the only call that is left: the others were answered, and one that waits for a reply is not.
    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut running = self.running();
        let (first, second) = (running.next(), running.next());
        drop(running);
        if second.is_some() {
            return;
        }
        let ear = first.and_then(|id| self.call(id));
        for held in std::mem::take(&mut self.held).into_iter().filter(|held| !held.answer.is_closed()) {
            if let Some(ear) = &ear {
                if let Some(pending) = self.questions.get_mut(&held.id) {
                    pending.call = first;
                }
                // Whoever does not listen does not answer, and the server is told so.
                _ = held.put_to(ear);
            }
        }
    }

    fn call(&self, id: i64) -> Option<Ear> {
        let open = self.open.get(&id).filter(|open| open.is_call())?;
        Some((open.events.clone()?, Arc::clone(&open.activity)))
    }
}

/// The id of the listen request that a notification came for.
fn subscription(params: &Members) -> Option<i64> {
    params.object("_meta")?.get(SUBSCRIPTION_ID)?.as_str().parse().ok()
}

fn id_of(raw: &Raw) -> Option<Id> {
    match raw.string() {
        Some(text) => Some(Id::String(text.into())),
        None => raw.as_str().parse().ok().map(Id::Number),
    }
}
