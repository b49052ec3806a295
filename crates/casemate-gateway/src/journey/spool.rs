//! Between what may pass and the answer: a result that is too large to be shown at once is kept, and a link to it is shown
//! with its beginning.
//!
//! What is kept was looked at as a whole before: a part of it holds nothing that the whole could not. Where it cannot be
//! kept it passes as it is, as it would without all this.

mod blocks;
mod link;
mod parts;
mod preview;
mod reading;
#[cfg(test)]
mod tests;

use casemate_mcp::call::Answer;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_policy::SubjectId;
use sha2::{Digest, Sha256};

use super::forward::Answered;
use super::inspect::Cleared;
use super::receive::Received;
use super::route::Target;
use crate::catalog::Kind;
use crate::clock;
use crate::gate::Gate;
use crate::ports::{KeptResult, NotKept};
use crate::snapshot::{Oversized, ResultLimits};
use blocks::Blocks;
use link::{Link, Origin};
pub(super) use reading::{is_ours, read};

/// The member of a result's `_meta` that says that the whole is kept, and where.
const KEPT: &str = "io.casemate/result";

/// The member of a request's `_meta` in which a program says that it takes results whole: `"whole"`.
const WISH: &str = "io.casemate/results";

/// What has to be known of a call to keep its result. It is taken down before the answer is looked at.
pub(super) struct Whole {
    subject: SubjectId,
    origin: Origin,
    about: About,
}

/// What has to be known of a result to show its beginning.
struct About {
    /// The tool by the name that the client used.
    name: Box<str>,
    /// The tool declares an output schema, so its structured content has to be there.
    is_promised: bool,
    /// The client's revision has links.
    has_links: bool,
    /// The result stands in a member of what is answered: it is that of a task.
    is_nested: bool,
    limits: ResultLimits,
}

impl Whole {
    /// Of an answer that may turn out to be too large; `None` for nearly all.
    pub(super) fn of(answered: &Answered) -> Option<Whole> {
        let Answered { received, target, answer: Answer::Result(result), .. } = answered else { return None };
        let identified = &received.passage.identified;
        let mut limits = identified.snapshot.limits.results;
        // The beginnings of all texts together are no more than what is shown at once, with four bytes to a character.
        limits.preview_chars = limits.preview_chars.min(limits.text_max / (4 * blocks::SHOWN_MAX));
        let least = limits.text_max.min(limits.media_max);
        if limits.oversized == Oversized::Whole || result.as_bytes().len() <= least || takes_all(received) {
            return None;
        }
        let server = target.shelf()?.server().entry().name.clone();
        let (tools, is_promised, name) = match (&received.call.method, target) {
            (Method::ToolsCall, Target::Item { kind: Kind::Tools, item, .. }) => {
                (vec![item.name.clone()], item.output().is_some(), received.asked())
            }
            // Where it is not known for sure which tool a task is of, what is structured in its result counts as promised.
            (Method::TasksResult | Method::TasksGet, Target::Task { tools, item, .. }) => {
                let sole = item.as_ref().filter(|_| tools.len() == 1);
                (tools.clone(), sole.is_none_or(|item| item.output().is_some()), "the task")
            }
            _ => return None,
        };
        let about = About {
            name: name.into(),
            is_promised,
            has_links: received.call.meta.revision >= Revision::V2025_06_18,
            is_nested: received.call.method == Method::TasksGet,
            limits,
        };
        Some(Whole { subject: identified.subject.id.clone(), origin: Origin { server, tools }, about })
    }
}

/// Whether the client is a program that holds whatever comes. A model does not write `_meta`.
fn takes_all(received: &Received) -> bool {
    let meta = received.call.params.object("_meta");
    meta.is_some_and(|meta| meta.string(WISH).as_deref() == Some("whole"))
}

/// The answer as it is shown: nearly always the one that was cleared, and otherwise its beginning with a link to the whole.
pub(super) async fn shown(gate: &Gate, whole: Option<Whole>, cleared: Cleared) -> Cleared {
    match whole {
        None => cleared,
        // On the heap, so that all other calls do not carry the room for it.
        Some(whole) => Box::pin(kept(gate, whole, cleared)).await,
    }
}

async fn kept(gate: &Gate, whole: Whole, cleared: Cleared) -> Cleared {
    let Whole { subject, origin, about } = whole;
    let Answer::Result(result) = &cleared.answer else { return cleared };
    let Some(outer) = cleared.members.clone().or_else(|| result.members()) else { return cleared };
    let inner = if about.is_nested { outer.object("result") } else { Some(outer.clone()) };
    let Some((inner, blocks)) = inner.and_then(|inner| Blocks::too_large(&inner, &about).map(|b| (inner, b)))
    else {
        return cleared;
    };
    let until = clock::unix_now().as_secs().saturating_add(about.limits.life.as_secs());
    let Some(link) = Link::fresh(gate, &subject, until) else { return cleared };
    let parts = parts::of(&blocks, &link, &about.limits);
    let shown = preview::of((&inner, &blocks), (&link, parts.len()), &about);
    let shown = if about.is_nested { outer.edit().set("result", shown).finish() } else { shown };
    let remark = remark(result, parts.len());
    let kept = gate.results().keep(KeptResult {
        id: link.id,
        subject,
        label: origin.written(),
        parts,
        until,
        subject_bytes_max: about.limits.subject_bytes_max,
        total_bytes_max: about.limits.total_bytes_max,
    });
    let (server, tool) = (&origin.server, origin.tools.join(", "));
    match kept.await {
        Ok(()) => {
            tracing::debug!(%server, %tool, %remark, "a result is too large to be shown at once");
            cleared.replaced(shown, remark)
        }
        Err(NotKept::NoRoom) => {
            tracing::info!(%server, %tool, "a large result passes whole: there is no room to keep it (spool.quota)");
            cleared
        }
        Err(NotKept::Failed(error)) => {
            tracing::warn!(%server, %tool, error, "a large result passes whole: it cannot be kept");
            cleared
        }
    }
}

/// What the record of the call says of it.
fn remark(result: &Raw, parts: usize) -> String {
    let digest: String = Sha256::digest(result.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("a result of {} bytes is kept in {parts} parts, sha256 {digest}", result.as_bytes().len())
}

/// A result without what it says of the links to others, and with what is said of this one.
fn noted(result: &Members, note: Raw) -> Raw {
    let meta = result.object("_meta").unwrap_or_else(Members::empty);
    meta.edit().set(KEPT, note).finish()
}
