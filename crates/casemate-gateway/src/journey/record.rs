//! Written down before it is done, and again when it is over.

use std::borrow::Cow;
use std::sync::Arc;

use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use casemate_policy::{RuleId, Subject};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::admit::Admitted;
use super::afford::Afforded;
use super::authorize::Permitted;
use super::inspect::Cleared;
use super::receive::Received;
use super::route::Target;
use crate::catalog::Kind;
use crate::clock;
use crate::gate::Gate;
use crate::ports::{CallId, Ending, Intent, Outcome};
use crate::refusal::{Code, Refusal};

/// Longest method or name in a record, in bytes. The digest of the params stands for what is cut off.
const TEXT_MAX: usize = 1024;

/// A request that is on record. Only [`Record::intent`] makes one.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) permitted: Permitted,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

/// The record of one call. When it is dropped before it was closed, the call was abandoned, and says so.
pub(super) struct Record<'g> {
    gate: &'g Gate,
    passage: Arc<Admitted>,
    method: Method,
    params: Raw,
    asked: Box<str>,
    revision: &'static str,
    call: CallId,
    started: Instant,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Chores of the protocol: nothing is written.
    Unrecorded,
    /// Nothing was written yet.
    Waiting,
    /// The intent was written, the outcome was not.
    Open,
    /// Both were.
    Closed,
}

impl<'g> Record<'g> {
    /// The record of a call that was just received.
    pub(super) fn of(gate: &'g Gate, received: &Received) -> Self {
        let method = received.call.method.clone();
        Record {
            gate,
            passage: Arc::clone(&received.passage),
            params: received.call.params.raw().clone(),
            asked: received.asked().into(),
            revision: received.call.meta.revision.as_str(),
            call: gate.next_call(),
            started: clock::instant(),
            state: if is_recorded(&method, received) { State::Waiting } else { State::Unrecorded },
            method,
        }
    }

    /// The id of the call.
    pub(super) fn call(&self) -> CallId {
        self.call
    }

    /// Whom the call is for.
    pub(super) fn subject(&self) -> &Subject {
        &self.passage.identified.subject
    }

    /// Writes what is about to be done.
    ///
    /// # Errors
    /// [`Code::NotRecorded`]: what cannot be recorded is not done.
    pub(super) fn intent(&mut self, afforded: Afforded) -> Result<Recorded, Refusal> {
        let permitted = afforded.permitted;
        if self.state == State::Waiting {
            let target = &permitted.checked.target;
            let server = target.shelf().map_or("", |shelf| shelf.server().entry().name.as_str());
            let name = match target {
                Target::Item { item, .. } => &item.name,
                Target::Uri { uri, .. } => uri.as_str(),
                Target::Own(_) | Target::Completion { .. } | Target::Task { .. } | Target::Relay { .. } => {
                    &self.asked
                }
            };
            self.write(server, name, (permitted.decision.effect.as_str(), &permitted.decision.rules))?;
            self.state = State::Open;
        }
        Ok(Recorded { permitted, _seal: Seal })
    }

    /// Writes how it ended. A call that was refused before its intent was written gets both now.
    pub(super) fn close(mut self, outcome: &Result<Cleared, Refusal>) {
        if self.state == State::Waiting {
            let effect = match outcome {
                Err(refusal) if matches!(refusal.code, Code::Unknown | Code::Denied) => "deny",
                Err(refusal) if matches!(refusal.code, Code::NeedsApproval | Code::NotApproved) => "ask",
                // Who is refused for another reason than a rule was not judged.
                Err(_) => "none",
                // All that is answered before an intent is a question.
                Ok(_) => "ask",
            };
            if self.write("", &self.asked, (effect, &[])).is_ok() {
                self.state = State::Open;
            }
        }
        if self.state == State::Open {
            match outcome {
                Ok(cleared) => self.end(cleared.ending(), ("", cleared.remark()), cleared.len()),
                Err(refusal) => {
                    let detail = self.masked(refusal.detail.as_deref().unwrap_or(&refusal.message));
                    self.end(Ending::Refused, (refusal.code.as_str(), cut(&detail)), 0);
                }
            }
        }
        self.state = State::Closed;
    }

    fn write(
        &self,
        server: &str,
        name: &str,
        (effect, rules): (&'static str, &[RuleId]),
    ) -> Result<(), Refusal> {
        let identified = &self.passage.identified;
        let name = self.masked(name);
        let peer = identified.head.peer.to_string();
        let intent = Intent {
            call: self.call,
            unix_ms: clock::unix_ms(),
            subject: identified.subject.id.as_str(),
            peer: &peer,
            endpoint: &identified.head.endpoint.to_string(),
            server,
            method: cut(self.method.as_str()),
            name: cut(&name),
            revision: self.revision,
            effect,
            rules,
            params_sha256: Sha256::digest(self.params.as_bytes()).into(),
            params_bytes: self.params.as_bytes().len(),
            snapshot: identified.snapshot.version,
        };
        self.gate.recorder().intent(&intent).map_err(|why| {
            Refusal::new(Code::NotRecorded, "The call could not be recorded, so it was not made.")
                .with_detail(why)
        })
    }

    /// A text for the record, without the secrets that we hand out.
    fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.passage.identified.snapshot.inspecting.inspection.masked(text)
    }

    fn end(&self, ending: Ending, (code, detail): (&str, &str), bytes: usize) {
        let took = clock::instant().duration_since(self.started);
        self.gate.recorder().outcome(&Outcome {
            call: self.call,
            unix_ms: clock::unix_ms(),
            ending,
            code,
            detail,
            bytes,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.state == State::Open {
            self.end(Ending::Abandoned, ("", ""), 0);
        }
    }
}

/// Everything that reaches a server on a subject's behalf, and the opening of sessions. Lists of joined endpoints come
/// from a cache; those of a transparent one are the server's own answer. A stream of changes reaches a server when
/// resources are to be watched.
fn is_recorded(method: &Method, received: &Received) -> bool {
    match method {
        Method::Ping | Method::Discover | Method::LoggingSetLevel => false,
        Method::Listen => {
            let asked = received.call.params.object("notifications");
            asked.is_some_and(|asked| asked.has("resourceSubscriptions"))
        }
        method if Kind::of(method).is_some() => !received.passage.identified.head.endpoint.joins(),
        _ => true,
    }
}

/// The beginning of a text that a client chose, so that nobody can fill the disk with names.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or(text)
}
