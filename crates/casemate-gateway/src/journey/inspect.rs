//! Stage 9: may the answer pass as it is.

pub(super) mod content;
mod joined;
pub(super) mod questions;
pub(super) mod structure;

use std::collections::HashSet;
use std::sync::Arc;

use casemate_mcp::call::Answer;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_mcp::revision::Revision;
use casemate_mcp::task::{relate, related};
use casemate_policy::{Action, Effect, Request};

use super::forward::Answered;
use super::intercept::Passed;
use super::receive::Received;
use super::route::{Own, Target, task};
use crate::catalog::{Item, Judged, Kind, Shelf, Shown, shows_apps};
use crate::client::Session;
use crate::gate::Gate;
use crate::ports::{Declared, Ending, Standing};
use crate::refusal::{Code, Refusal};

/// What the names of requests about tasks begin with.
const TASKS: &str = "tasks/";

/// An answer that may pass. Only [`answer`] makes one.
#[derive(Debug)]
pub(super) struct Cleared {
    pub(super) answer: Answer,
    /// The members of a result, when they had to be found anyway.
    pub(super) members: Option<Members>,
    pub(super) opened: Option<Arc<Session>>,
    /// The answer is in the client's dialect already: a page of a list, which is kept that way.
    pub(super) is_worded: bool,
    failed: bool,
    /// What the record says of it besides.
    remark: Option<Box<str>>,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

impl Cleared {
    /// How the call ended, for the record.
    pub(super) fn ending(&self) -> Ending {
        if self.failed { Ending::Error } else { Ending::Ok }
    }

    /// What the record says of it besides; mostly nothing.
    pub(super) fn remark(&self) -> &str {
        self.remark.as_deref().unwrap_or_default()
    }

    /// The beginning of this answer, whose whole is kept.
    pub(super) fn replaced(self, shown: Raw, remark: String) -> Cleared {
        Cleared { answer: Answer::Result(shown), members: None, remark: Some(remark.into()), ..self }
    }

    /// Size of the answer in bytes.
    pub(super) fn len(&self) -> usize {
        match &self.answer {
            Answer::Result(raw) => raw.as_bytes().len(),
            Answer::Error(error) => {
                error.message.len() + error.data.as_ref().map_or(0, |raw| raw.as_bytes().len())
            }
        }
    }
}

/// A question of our own, in place of an answer.
pub(super) fn question(text: Raw) -> Cleared {
    let answer = Answer::Result(text);
    Cleared { answer, members: None, opened: None, is_worded: true, failed: false, remark: None, _seal: Seal }
}

/// Cuts what is too large, removes what is hidden and masks what is secret, takes out of lists what the subject may not
/// see, and gives resources the names that the joined endpoint knows.
///
/// # Errors
/// [`Code::AnswerTooLarge`], [`Code::BadStructure`], [`Code::NoStructure`], [`Code::AnswerBlocked`],
/// [`Code::CannotAsk`].
pub(super) fn answer(gate: &Gate, passed: Passed) -> Result<Cleared, Refusal> {
    let Passed { answered, found: told, .. } = passed;
    let Answered { received, target, answer, members, opened, is_question, .. } = answered;
    let answer = match answer {
        Answer::Result(text) if is_question => return Ok(question(text)),
        answer => answer,
    };
    let mut failed = matches!(answer, Answer::Error(_));
    let mut known = None;
    let answer = match answer {
        Answer::Result(result) => {
            let limit = received.passage.identified.snapshot.limits.result_bytes_max;
            if result.as_bytes().len() > limit {
                let message = format!("The answer has more than {limit} bytes.");
                return Err(Refusal::new(Code::AnswerTooLarge, message));
            }
            // What we wrote ourselves asks nothing and says no error.
            let members = target.shelf().and_then(|_| members_of(&result, members)).map(content::unclaimed);
            let members = members.map(|members| structure::unclaimed_late(&received, members));
            let result = members.as_ref().map_or(result, |members| members.raw().clone());
            let unfit = |members| structure::judged(&received, &target, members);
            let mut found = members.as_ref().map(unfit).transpose()?.unwrap_or_default();
            told.into_iter().for_each(|told| found.extend(*told));
            let looked_at = content::result(&received, (&target, found), result.clone())?;
            let members = if looked_at.is_same(&result) { members } else { looked_at.members() };
            let result = looked_at;
            if let Some(members) = &members {
                questions::allowed(&received.call, members)?;
                begun(gate, (&received, &target), members);
            }
            failed = says_error(&target, members.as_ref());
            let result = own_tasks(gate, (&received, &target), result);
            let result = cleared(gate, (&received, &target), result);
            known = members.filter(|members| members.raw().is_same(&result));
            Answer::Result(result)
        }
        Answer::Error(error) => Answer::Error(content::error(&received, &target, error)?),
    };
    let is_worded = matches!(target, Target::Own(Own::List(_)));
    Ok(Cleared { answer, members: known, opened, is_worded, failed, remark: None, _seal: Seal })
}

/// The members of a result: those that are known of it, unless it was changed since.
pub(super) fn members_of(result: &Raw, known: Option<Members>) -> Option<Members> {
    known.filter(|known| known.raw().is_same(result)).or_else(|| result.members())
}

/// Remembers whose task it is that a server began.
fn begun(gate: &Gate, (received, target): (&Received, &Target), result: &Members) {
    let Some(entry) = target.shelf().map(|shelf| shelf.server().entry()) else { return };
    let tool = match target {
        Target::Item { kind: Kind::Tools, item, .. } => Some(&*item.name),
        _ => None,
    };
    let is_called = tool.is_some() || entry.mixes_subjects();
    if !is_called || received.call.method.as_str().starts_with(TASKS) {
        return;
    }
    let id = match result.object("task") {
        Some(task) => task.string("taskId"),
        None => result.string("taskId"),
    };
    if let Some(id) = id {
        let subject = &received.passage.identified.subject.id;
        gate.tasks().begin((&entry.name, &id), subject, tool);
    }
}

/// A server's list of tasks without those of others.
fn own_tasks(gate: &Gate, (received, target): (&Received, &Target), result: Raw) -> Raw {
    let entry = target.shelf().map(|shelf| shelf.server().entry());
    let Some(entry) = entry.filter(|entry| entry.mixes_subjects()) else { return result };
    if received.call.method != Method::TasksList {
        return result;
    }
    let subject = &received.passage.identified.subject.id;
    let is_own = |task: &&Raw| {
        let id = task.members().and_then(|task| task.string("taskId"));
        id.is_some_and(|id| gate.tasks().is_own(&entry.name, &id, subject))
    };
    let Some(members) = result.members() else { return Raw::EMPTY_OBJECT };
    let tasks = members.get("tasks").and_then(|list| list.elements()).unwrap_or_default();
    members.edit().set("tasks", Raw::array(tasks.iter().filter(is_own))).finish()
}

fn cleared(gate: &Gate, (received, target): (&Received, &Target), result: Raw) -> Raw {
    let joins = received.passage.identified.head.endpoint.joins();
    match (target, Kind::of(&received.call.method)) {
        (Target::Relay { .. }, Some(kind)) => visible(gate, (received, target), (kind, result)),
        (Target::Own(_), _) => result,
        (target, _) if joins => match target.shelf() {
            Some(shelf) => {
                let server = &shelf.server().entry().name;
                let endpoint = &received.passage.identified.head.endpoint;
                let result = task_renamed(gate, (received, server), result);
                let result = joined::renamed(server, questions::all_signed(endpoint, server, result));
                late_renamed(received, server, result)
            }
            None => result,
        },
        _ => result,
    }
}

/// The result in the answer about a task, with every resource under its joined URI.
fn late_renamed(received: &Received, server: &ServerName, answer: Raw) -> Raw {
    if received.call.method != Method::TasksGet {
        return answer;
    }
    let Some(members) = answer.members() else { return answer };
    let Some(result) = members.get("result") else { return answer };
    let renamed = joined::renamed(server, result);
    members.edit().set("result", renamed).finish()
}

/// A task under the id that the client of a joined endpoint knows, or gets to know.
fn task_renamed(gate: &Gate, (received, server): (&Received, &ServerName), result: Raw) -> Raw {
    let is_about_one = task::is_about_one(&received.call.method);
    if !is_about_one && memchr::memmem::find(result.as_bytes(), b"\"taskId\"").is_none() {
        return result;
    }
    let Some(members) = result.members() else { return result };
    let subject = &received.passage.identified.subject.id;
    let sealed = |task: &Members| {
        let shown = task.string("taskId").and_then(|id| task::shown(gate, (subject, server), &id));
        match shown {
            Some(shown) => task.edit().set("taskId", Raw::string_of(&shown)).finish(),
            None => task.edit().remove("taskId").finish(),
        }
    };
    if received.call.method == Method::TasksResult {
        return related(&members).map_or(result, |_| relate(&members, Some(received.asked())).raw().clone());
    }
    if is_about_one {
        let shown = members.has("taskId").then(|| Raw::string_of(received.asked()));
        return shown.map_or(result, |shown| members.edit().set("taskId", shown).finish());
    }
    if members.string("resultType").as_deref() == Some("task") {
        return sealed(&members);
    }
    match members.object("task") {
        // So says a legacy server that it began one.
        Some(task) if task.has("taskId") => members.edit().set("task", sealed(&task)).finish(),
        _ => result,
    }
}

/// The list of a transparent endpoint without what the subject may not see, and without definitions that are blocked; the
/// same bytes when that is nothing.
fn visible(gate: &Gate, (received, target): (&Received, &Target), (kind, result): (Kind, Raw)) -> Raw {
    let identified = &received.passage.identified;
    let (Some(members), Some(shelf)) = (result.members(), target.shelf()) else { return result };
    let Some(list) = members.get(kind.member()).and_then(|list| list.elements()) else { return result };
    let server = &shelf.server().entry().name;
    let apps = shows_apps(&received.call.meta.capabilities);
    let names = gate.catalog().names(&identified.snapshot);
    let as_tasks =
        kind == Kind::Tools && received.call.meta.revision == Revision::LATEST_LEGACY && shelf.gives_tasks();
    // The first definition of a name counts.
    let mut seen = HashSet::new();
    let shown = |raw: &Raw| {
        let item = Item::read(kind, server, raw).filter(|item| shelf.takes(item))?;
        let is_first = seen.insert(item.name.clone());
        if !is_first || !may_be_used(shelf, (kind, &item)) || (item.tool.is_for_apps && !apps) {
            return None;
        }
        let named = names.findings(&identified.snapshot, shelf, (kind, &item));
        let judged = Judged::of(&identified.snapshot.inspecting, shelf, (raw.clone(), named));
        let shown = Shown {
            name: item.name.clone(),
            shelf: Arc::clone(shelf),
            raw: judged.raw,
            item: Arc::new(item),
            fixed: None,
            standing: Standing::Approved,
            blocked: judged.blocked,
        };
        let listed = Request::new(Action::List, shown.resource(kind));
        let decision = identified.snapshot.policy.decide(&identified.subject, &listed);
        let is_free = shown.is_free(gate.quarantine(), kind);
        let passes = is_free && decision.effect != Effect::Deny && shown.blocked.is_none();
        passes.then(|| if as_tasks { Item::offered_as_task(&shown.raw) } else { shown.raw })
    };
    let kept: Vec<Raw> = list.iter().filter_map(shown).collect();
    if kept == list { result } else { members.edit().set(kind.member(), Raw::array(&kept)).finish() }
}

/// Whether an item of a list that comes straight from its server is what was approved.
fn may_be_used(shelf: &Shelf, (kind, item): (Kind, &Item)) -> bool {
    let Some(pinned) = kind.pinned() else { return true };
    let known = shelf.known();
    let same = known
        .as_ref()
        .filter(|known| known.find(kind, &item.name).is_some_and(|known| known.raw.raw() == item.raw.raw()));
    let standing = match same {
        Some(known) => known.standing(kind, &item.name),
        // It was declared after the definitions were loaded, and calls are judged by those.
        None => {
            shelf.invalidate();
            shelf.standing(Declared { kind: pinned, name: &item.name, definition: item.raw.raw() })
        }
    };
    standing == Standing::Approved
}

fn says_error(target: &Target, result: Option<&Members>) -> bool {
    let is_tool = matches!(target, Target::Item { kind: Kind::Tools, .. });
    is_tool && result.is_some_and(structure::says_error)
}
