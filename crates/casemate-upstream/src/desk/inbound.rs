//! Incoming messages: answers find their request, reports their call, and questions the one who can answer.

use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::call::{Answer, Notice};
use casemate_mcp::dialect::modern::SUBSCRIPTION_ID;
use casemate_mcp::frame::{ErrorObject, Frame, Id, code, error_text, response_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Book, Desk};
use crate::deadline::Activity;
use crate::{Event, guard};

/// Questions of one instance that may wait for clients at once.
const QUESTIONS_MAX: usize = 16;

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
    activity: Arc<Activity>,
}

impl Asked {
    /// Waits for the client and writes its reply; nothing when the server no longer wants it.
    pub(crate) async fn reply(mut self) -> Option<Bytes> {
        let outcome = tokio::select! {
            answer = &mut self.answer => answer,
            () = self.withdrawn.cancelled() => return None,
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
        self.activity.answered();
        guard(&self.desk.book).questions.remove(&self.id);
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
            match (&id, &outcome) {
                (Some(Id::Number(number)), _) => book.open.remove(number),
                // A server that could not read the request's id; there is no doubt when only one is under way.
                (None, Err(_)) if book.open.len() == 1 => book.open.drain().map(|(_, open)| open).next(),
                _ => None,
            }
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
                    question.cancel();
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
        let Some(open) = id.and_then(|id| book.open.get(&id)) else {
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
        if !self.may_ask(&method) {
            let message = format!("{method} was not offered to this server");
            return Err(ErrorObject::new(code::METHOD_NOT_FOUND, message));
        }
        if origin.is_none() {
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
        let Some(events) = origin.or_else(|| book.only()).and_then(|call| book.call(call)) else {
            return refused("the question belongs to none of the calls in flight, or to any of several");
        };
        let (answer, receiver) = oneshot::channel();
        let (events, activity) = events;
        if events.try_send(Event::Question { method, params, answer }).is_err() {
            return refused("the client does not take questions now");
        }
        activity.asked();
        let withdrawn = CancellationToken::new();
        book.questions.insert(id.clone(), withdrawn.clone());
        drop(book);
        Ok(Asked { desk: Arc::clone(self), id: id.clone(), answer: receiver, withdrawn, activity })
    }

    /// Only what was offered may be asked for.
    fn may_ask(&self, method: &Method) -> bool {
        match method {
            Method::ElicitationCreate => self.offered.has("elicitation"),
            Method::SamplingCreate => self.offered.has("sampling"),
            Method::RootsList => self.offered.has("roots"),
            _ => false,
        }
    }
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

impl Book {
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
