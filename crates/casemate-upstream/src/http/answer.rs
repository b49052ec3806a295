//! Finds the answer to a request in what a server posted back.

use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::call::Answer;
use casemate_mcp::frame::{self, ErrorObject, Frame, Id};
use casemate_mcp::json;
use casemate_mcp::revision::Revision;
use casemate_transport::http::client::ResumingEvents;
use casemate_transport::http::{ClientFault, Event, Events, Posted};
use http::StatusCode;

use super::door::Door;
use crate::Fault;
use crate::brake::Brake;
use crate::desk::{Desk, Outcome, Reaction, Ticket, answered_id};
use crate::instance::frame_limits;
use crate::outlet::Outlet;

/// How much of an error page goes into a message, in characters.
const PAGE_MAX: usize = 200;

/// Reads what came back for one request.
pub(super) struct Reading<'a> {
    pub(super) door: &'a Door,
    pub(super) desk: &'a Arc<Desk>,
    pub(super) outlet: &'a Outlet,
    /// What is spoken, when that is known.
    pub(super) revision: Option<Revision>,
    pub(super) id: i64,
}

/// An answer with what HTTP said around it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) outcome: Outcome,
    pub(super) status: StatusCode,
    /// The answer named our request; an error page or an error about the session does not.
    pub(super) is_addressed: bool,
}

/// A stream of events that comes with a request.
pub(super) enum Stream {
    /// Ends with its connection (modern).
    Plain(Events),
    /// Is resumed when its connection breaks (legacy).
    Resuming(Box<ResumingEvents>),
}

impl Stream {
    async fn next(&mut self) -> Result<Option<Event>, ClientFault> {
        match self {
            Stream::Plain(events) => events.next().await,
            Stream::Resuming(events) => events.next().await,
        }
    }
}

/// What one text held for our request.
#[derive(Default)]
struct Taken {
    answer: Option<Outcome>,
    /// An error about a request whose id the server could not or would not read: about ours, then.
    complaint: Option<ErrorObject>,
}

impl Reading<'_> {
    /// Reads a reply that is complete.
    pub(super) fn whole(&self, posted: Posted, react: impl Fn(Reaction)) -> Found {
        let status = posted.status();
        let body = match posted {
            Posted::Json { body, .. } => body,
            Posted::Other { body, .. } => return page(status, &body),
            Posted::Accepted { .. } | Posted::Events { .. } => return page(status, b""),
        };
        match self.take(&body, &react) {
            Ok(Taken { answer: Some(outcome), .. }) => Found { outcome, status, is_addressed: true },
            Ok(Taken { complaint: Some(error), .. }) => {
                Found { outcome: Ok(Answer::Error(error)), status, is_addressed: false }
            }
            Ok(Taken { .. }) => page(status, &body),
            // An error page that happens to be JSON is not a broken answer.
            Err(_) if !status.is_success() => page(status, &body),
            Err(fault) => Found { outcome: Err(self.unreadable(&fault)), status, is_addressed: false },
        }
    }

    /// Reads a stream until the answer is there. It may also come on another stream.
    pub(super) async fn stream(
        &self,
        mut stream: Stream,
        ticket: &mut Ticket,
        react: impl Fn(Reaction),
    ) -> Outcome {
        let mut brake = Brake::new();
        loop {
            brake.hold().await;
            let event = tokio::select! {
                biased;
                event = stream.next() => event.map_err(|fault| self.stream_fault(&fault))?,
                outcome = ticket.outcome() => return outcome,
            };
            let Some(event) = event else {
                let why = "it ended the stream without an answer".to_owned();
                return Err(Fault::Gone { sent: true, why });
            };
            brake.count();
            if event.data.trim_ascii().is_empty() {
                continue;
            }
            match self.take(&event.data, &react) {
                Ok(Taken { answer: Some(outcome), .. }) => return outcome,
                Ok(Taken { complaint: Some(error), .. }) => return Ok(Answer::Error(error)),
                Ok(Taken { .. }) => {}
                Err(fault) if answered_id(&event.data) == Some(self.id) => {
                    return Err(self.unreadable(&fault));
                }
                Err(_) => self.outlet.log("stream", &event.data),
            }
        }
    }

    /// Takes messages to where they belong; what concerns our request comes back.
    fn take(&self, text: &Bytes, react: &impl Fn(Reaction)) -> Result<Taken, frame::Fault> {
        let mut taken = Taken::default();
        let mut place = |frame: Frame| match frame {
            Frame::Response { id: Some(Id::Number(id)), outcome } if id == self.id => {
                taken.answer = Some(Ok(outcome.map_or_else(Answer::Error, Answer::Result)));
            }
            Frame::Response { id: None, outcome: Err(error) } => taken.complaint = Some(error),
            // It may not ask on a stream, and there is no way to answer it.
            Frame::Request { .. } if self.revision.is_some_and(Revision::is_modern) => {
                let line = b"a request on a stream, which the modern dialect does not have";
                self.outlet.log("protocol", line);
            }
            frame => react(self.desk.receive(frame, Some(self.id))),
        };
        match Frame::parse(text.clone(), &self.limits()) {
            Ok(frame) => place(frame),
            Err(frame::Fault::Batch) if self.revision.is_some_and(Revision::has_batches) => {
                Frame::parse_batch(text.clone(), &self.limits())?.into_iter().for_each(place);
            }
            Err(fault) => return Err(fault),
        }
        Ok(taken)
    }

    fn limits(&self) -> json::Limits {
        frame_limits(self.door.result_bytes_max())
    }

    fn unreadable(&self, fault: &frame::Fault) -> Fault {
        match fault {
            frame::Fault::Json(json::Fault { kind: json::FaultKind::TooLong, .. }) => {
                Fault::TooBig { limit: self.door.result_bytes_max() }
            }
            fault => Fault::Protocol { why: format!("its answer cannot be read: {fault}") },
        }
    }

    /// What breaks a stream comes after the request was taken.
    fn stream_fault(&self, fault: &ClientFault) -> Fault {
        match self.door.fault(fault) {
            Fault::Gone { why, .. } => Fault::Gone { sent: true, why },
            fault => fault,
        }
    }
}

/// A reply that is no message.
fn page(status: StatusCode, body: &[u8]) -> Found {
    let text = String::from_utf8_lossy(body);
    let words: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(PAGE_MAX).collect();
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    let why = format!("it answered with status {} and no message{said}", status.as_u16());
    Found { outcome: Err(Fault::Protocol { why }), status, is_addressed: false }
}
