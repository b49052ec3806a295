//! Tasks between the dialects: each side is spoken to in the words that it has for calls whose results are fetched later.
//!
//! The older words are those of 2025-11-25, where the client says that it wants a task and waits with `tasks/result`; the newer
//! are those of the extension (SEP-2663), where the server decides and the client looks with `tasks/get`.

mod legacy;
mod modern;

use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::{Answer, Call};
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_mcp::task::{self, Support};

use super::{Refusal, Reply, down, relay};
use crate::catalog::{Kind, Shelf};
use crate::gate::Gate;
use crate::journey::authorize::{is_anothers, no_task, undeclared};
use crate::journey::receive::Received;
use crate::journey::route::{Target, caller};
use crate::refusal::{Code, Retry};
use crate::upstream::Caller;

/// What a call has to do with tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing that we know of; whatever there is, both sides have the same words for it.
    None,
    /// A modern client takes a task, and its legacy server was asked for one.
    OfLegacy,
    /// A legacy client wants a task, and its modern server decides. The result is kept for so long where the server decides
    /// otherwise.
    OfModern(Option<Duration>),
}

/// A request about a task, and the server that has it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    gate: &'a Arc<Gate>,
    received: &'a Received,
    target: &'a Target,
    shelf: &'a Arc<Shelf>,
    caller: &'a Caller,
    /// The server's own id for the task.
    id: &'a str,
}

/// Finds out what a call has to do with tasks, and writes its params accordingly.
///
/// # Errors
/// [`Code::CannotAsk`] for a tool that has to be called as a task, by a client that takes none; [`Code::ServerDown`] and its kin.
pub(super) async fn prepare(received: &mut Received, target: &Target) -> Result<Wish, Refusal> {
    let Target::Item { shelf, kind: Kind::Tools, item, .. } = target else { return Ok(Wish::None) };
    let meta = &received.call.meta;
    if !meta.revision.is_modern() {
        let wanted = received.call.params.object("task").filter(|_| meta.revision == Revision::LATEST_LEGACY);
        let Some(wanted) = wanted else { return Ok(Wish::None) };
        let hello = shelf.server().hello(&caller(received)).await.map_err(|fault| down(shelf, &fault))?;
        if !hello.revision.is_modern() {
            return Ok(Wish::None);
        }
        let lasts = wanted.get("ttl").and_then(|raw| raw.parse().ok()).map(Duration::from_millis);
        received.call.params = received.call.params.edit().remove("task").members();
        return Ok(Wish::OfModern(lasts));
    }
    let support = item.tool.task_support;
    if support == Support::Forbidden {
        return Ok(Wish::None);
    }
    let hello = shelf.server().hello(&caller(received)).await.map_err(|fault| down(shelf, &fault))?;
    if hello.revision.is_modern() || !task::takes_calls(&hello.capabilities) {
        return Ok(Wish::None);
    }
    if !task::has_extension(&meta.capabilities) {
        return if support == Support::Required {
            undeclared(received).map(|()| Wish::None)
        } else {
            Ok(Wish::None)
        };
    }
    received.call.params = received.call.params.edit().set("task", Raw::EMPTY_OBJECT).members();
    Ok(Wish::OfLegacy)
}

/// The reply to a call in the words of its client.
///
/// # Errors
/// Those of waiting for a task that the client did not want: [`Code::Timeout`] and its kin.
pub(super) async fn worded(
    gate: &Arc<Gate>,
    received: &Received,
    (target, wish): (&Target, Wish),
    reply: Reply,
) -> Result<Reply, Refusal> {
    let (Reply::Answer(answer), Some(shelf)) = (&reply, target.shelf()) else { return Ok(reply) };
    match wish {
        Wish::OfLegacy => {
            let Some((result, told)) = created_legacy(answer) else { return Ok(reply) };
            let flat = told.edit().set("resultType", Raw::of("task")).members();
            Ok(Reply::Answer(Answer::Result(with_meta_of(&result, flat))))
        }
        Wish::OfModern(lasts) => {
            let wrapped = match created_modern(answer) {
                Some(told) => {
                    let empty = Members::empty();
                    let outer = empty.edit().set("task", task::legacy(&told).raw().clone()).members();
                    with_meta_of(&told, outer)
                }
                None => legacy::kept(gate, received, (shelf, answer.clone()), lasts)?,
            };
            Ok(Reply::Answer(Answer::Result(wrapped)))
        }
        Wish::None if received.call.meta.revision.is_modern() => Ok(reply),
        Wish::None => {
            let Some(told) = created_modern(answer) else { return Ok(reply) };
            let id = told.string("taskId").unwrap_or_default();
            // Nobody is told of it, and it has an owner all the same.
            let tool = match target {
                Target::Item { kind: Kind::Tools, item, .. } => Some(&*item.name),
                _ => None,
            };
            let owner = &received.passage.identified.subject.id;
            gate.tasks().begin((&shelf.server().entry().name, &id), owner, tool);
            let caller = caller(received);
            let asked = Asked { gate, received, target, shelf, caller: &caller, id: &id };
            Box::pin(legacy::followed(asked)).await.map(Reply::Answer)
        }
    }
}

/// Answers a request about a task, where its client and the server that has it do not have the same words; `None` where they have.
///
/// # Errors
/// [`Code::Unknown`] and its kin.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    received: &Received,
    (target, shelf): (&Target, &Arc<Shelf>),
    caller: &Caller,
) -> Result<Option<Answer>, Refusal> {
    let id = received.call.params.string("taskId").unwrap_or_default();
    let asked = Asked { gate, received, target, shelf, caller, id: &id };
    let is_modern = received.call.meta.revision.is_modern();
    if !is_modern && let Some(answer) = legacy::of_kept(asked) {
        return Ok(Some(answer));
    }
    let hello = shelf.server().hello(caller).await.map_err(|fault| down(shelf, &fault))?;
    match (is_modern, hello.revision.is_modern()) {
        (true, false) => Box::pin(modern::answer(asked)).await.map(Some),
        (false, true) => Box::pin(legacy::answer(asked)).await.map(Some),
        _ => Ok(None),
    }
}

impl Asked<'_> {
    /// Asks the server about the task. It may have given the id to somebody else since the last time, or just now.
    async fn ask(&self, method: Method, further: Option<(&'static str, Raw)>) -> Result<Answer, Refusal> {
        self.is_own()?;
        let call = self.call(method, further);
        let exchange = (self.target, self.shelf);
        let answer = relay::exchange(self.gate, self.received, exchange, (self.caller, &call)).await?;
        self.is_own().map(|()| answer)
    }

    fn is_own(&self) -> Result<(), Refusal> {
        if !is_anothers(self.gate, self.received, (self.shelf, self.id)) {
            return Ok(());
        }
        Err(match self.target {
            Target::Task { .. } => no_task(self.received),
            _ => {
                let server = &self.shelf.server().entry().name;
                let message = format!(
                    "The server {server} began another task under the id of the one that this call became, so its result is lost."
                );
                Refusal::new(Code::BadAnswer, message).with_retry(Retry::Check)
            }
        })
    }

    fn call(&self, method: Method, further: Option<(&'static str, Raw)>) -> Call {
        let empty = Members::empty();
        let params = empty.edit().set("taskId", Raw::string_of(self.id));
        let params = match further {
            Some((name, value)) => params.set(name, value),
            None => params,
        };
        Call { method, params: params.members(), meta: self.received.call.meta.clone() }
    }

    fn bad_answer(&self, method: &Method) -> Refusal {
        let server = &self.shelf.server().entry().name;
        Refusal::new(Code::BadAnswer, format!("The server {server} answered {method} with what is no task."))
    }
}

/// The result of a legacy server that began a task, and the task in modern words.
fn created_legacy(answer: &Answer) -> Option<(Members, Members)> {
    let Answer::Result(result) = answer else { return None };
    let result = result.members()?;
    let told = task::modern(&result.object("task")?);
    Some((result, told))
}

/// The task that a modern server began in place of an answer.
fn created_modern(answer: &Answer) -> Option<Members> {
    let Answer::Result(result) = answer else { return None };
    // Nearly all results are answers, and looking for the word is cheaper than finding all members.
    memchr::memmem::find(result.as_bytes(), b"\"taskId\"")?;
    result.members().filter(|result| result.string("resultType").as_deref() == Some("task"))
}

fn with_meta_of(from: &Members, to: Members) -> Raw {
    match from.get("_meta") {
        Some(meta) => to.edit().set("_meta", meta).finish(),
        None => to.raw().clone(),
    }
}

fn invalid(message: impl Into<Box<str>>) -> Answer {
    Answer::Error(ErrorObject::new(code::INVALID_PARAMS, message.into()))
}
