//! Tasks: calls whose results are fetched later. The revision 2025-11-25 has them as an experiment, the modern dialect as the
//! extension `io.modelcontextprotocol/tasks` (SEP-2663); this is what the two have in common, and how the one says what
//! the other does.

use crate::json::{Members, Raw};

/// The extension under which modern parties have tasks.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// `_meta` of 2025-11-25: the task that a message belongs to.
pub const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Whether a modern party declared the extension.
#[must_use]
pub fn has_extension(capabilities: &Members) -> bool {
    capabilities.object("extensions").is_some_and(|extensions| extensions.has(EXTENSION))
}

/// The capabilities with the extension declared.
#[must_use]
pub fn with_extension(capabilities: &Members) -> Members {
    let extensions = capabilities.object("extensions").unwrap_or_else(Members::empty);
    let extensions = extensions.edit().set(EXTENSION, Raw::EMPTY_OBJECT).finish();
    capabilities.edit().set("extensions", extensions).members()
}

/// Whether a server of 2025-11-25 declared that tools can be called as tasks.
#[must_use]
pub fn takes_calls(capabilities: &Members) -> bool {
    let tools = |tasks: Members| tasks.object("requests")?.object("tools");
    capabilities.object("tasks").and_then(tools).is_some_and(|tools| tools.has("call"))
}

/// What a tool of a 2025-11-25 server says of being called as a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Support {
    /// It must not be.
    #[default]
    Forbidden,
    /// It may be.
    Optional,
    /// It has to be.
    Required,
}

impl Support {
    /// Reads a tool's definition.
    #[must_use]
    pub fn of(tool: &Members) -> Support {
        match tool.object("execution").and_then(|execution| execution.string("taskSupport")).as_deref() {
            Some("optional") => Support::Optional,
            Some("required") => Support::Required,
            _ => Support::Forbidden,
        }
    }
}

/// How a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// At work.
    Working,
    /// It asked something.
    InputRequired,
    /// It came to a result.
    Completed,
    /// It came to none. In 2025-11-25, also when it came to one that says of itself that the tool failed.
    Failed,
    /// It was given up.
    Cancelled,
}

impl Status {
    /// The status of a task; `None` when it has none that the protocol knows.
    #[must_use]
    pub fn of(task: &Members) -> Option<Status> {
        Some(match task.string("status")?.as_str() {
            "working" => Status::Working,
            "input_required" => Status::InputRequired,
            "completed" => Status::Completed,
            "failed" => Status::Failed,
            "cancelled" => Status::Cancelled,
            _ => return None,
        })
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Working => "working",
            Status::InputRequired => "input_required",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of the task.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }
}

/// Members that the two write alike.
const SAME: [&str; 5] = ["taskId", "status", "statusMessage", "createdAt", "lastUpdatedAt"];

/// A task of 2025-11-25 in modern words. It has neither result nor questions: the older revision fetches both with another
/// request.
#[must_use]
pub fn modern(task: &Members) -> Members {
    let lasts = task.get("ttl").filter(is_whole).unwrap_or(Raw::NULL);
    let told = copied(task).edit().set("ttlMs", lasts).members();
    match task.get("pollInterval").filter(is_whole) {
        Some(pause) => told.edit().set("pollIntervalMs", pause).members(),
        None => told,
    }
}

/// A modern task in the words of 2025-11-25, without its result and its questions.
#[must_use]
pub fn legacy(task: &Members) -> Members {
    let lasts = task.get("ttlMs").unwrap_or(Raw::NULL);
    let mut told = copied(task).edit().set("ttl", lasts).members();
    if let Some(pause) = task.get("pollIntervalMs") {
        told = told.edit().set("pollInterval", pause).members();
    }
    let failed = |result: Members| result.get("isError").is_some_and(|raw| raw.as_str() == "true");
    if Status::of(task) == Some(Status::Completed) && task.object("result").is_some_and(failed) {
        told = told.edit().set("status", Raw::of(Status::Failed.as_str())).members();
    }
    told
}

fn copied(task: &Members) -> Members {
    let empty = Members::empty();
    let copy = SAME.into_iter().fold(empty.edit(), |edit, name| match task.get(name) {
        Some(value) => edit.set(name, value),
        None => edit,
    });
    copy.members()
}

/// Whether it is a number without a fraction, as the extension wants its milliseconds.
fn is_whole(raw: &Raw) -> bool {
    raw.as_str().parse::<u64>().is_ok()
}

/// The task that a message of 2025-11-25 says it belongs to.
#[must_use]
pub fn related(params: &Members) -> Option<String> {
    params.object("_meta")?.object(RELATED)?.string("taskId")
}

/// A message that says which task it belongs to, or no longer does.
#[must_use]
pub fn relate(message: &Members, id: Option<&str>) -> Members {
    let meta = message.object("_meta");
    if id.is_none() && meta.as_ref().is_none_or(|meta| !meta.has(RELATED)) {
        return message.clone();
    }
    let meta = meta.unwrap_or_else(Members::empty);
    let meta = match id {
        Some(id) => {
            let empty = Members::empty();
            let task = empty.edit().set("taskId", Raw::string_of(id)).finish();
            meta.edit().set(RELATED, task).members()
        }
        None => meta.edit().remove(RELATED).members(),
    };
    if meta.is_empty() {
        return message.edit().remove("_meta").members();
    }
    message.edit().set("_meta", meta.raw().clone()).members()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    fn members(text: &str) -> Members {
        Members::check(text.replace('\'', "\"").into(), &Limits::default()).unwrap()
    }

    fn json(members: &Members) -> serde_json::Value {
        members.raw().parse().unwrap()
    }

    #[test]
    fn a_task_says_the_same_in_both_dialects() {
        let old = members(
            "{'taskId':'t','status':'working','statusMessage':'m','createdAt':'c','lastUpdatedAt':'l','ttl':60000,\
             'pollInterval':5}",
        );
        let new = members(
            "{'taskId':'t','status':'working','statusMessage':'m','createdAt':'c','lastUpdatedAt':'l','ttlMs':60000,\
             'pollIntervalMs':5}",
        );
        assert_eq!(json(&modern(&old)), json(&new));
        assert_eq!(json(&legacy(&new)), json(&old));
        let odd = modern(&members("{'taskId':'t','status':'working','ttl':1.5,'pollInterval':'soon'}"));
        assert_eq!(json(&odd), json(&members("{'taskId':'t','status':'working','ttlMs':null}")));
    }

    #[test]
    fn a_tool_that_failed_is_a_failed_task_in_the_older_dialect_alone() {
        let failed = members("{'taskId':'t','status':'completed','ttlMs':null,'result':{'isError':true}}");
        assert_eq!(json(&legacy(&failed)), json(&members("{'taskId':'t','status':'failed','ttl':null}")));
        let well = members("{'taskId':'t','status':'completed','ttlMs':null,'result':{'content':[]}}");
        assert_eq!(Status::of(&legacy(&well)), Some(Status::Completed));
        assert_eq!(Status::of(&members("{'status':'odd'}")), None);
        assert!(Status::Cancelled.is_final() && !Status::InputRequired.is_final());
    }

    #[test]
    fn capabilities_and_tools_say_who_takes_tasks() {
        assert!(has_extension(&with_extension(&members("{'extensions':{'x':{}}}"))));
        assert!(with_extension(&members("{'extensions':{'x':{}}}")).object("extensions").unwrap().has("x"));
        assert!(!has_extension(&members("{'tasks':{}}")));
        assert!(takes_calls(&members("{'tasks':{'requests':{'tools':{'call':{}}}}}")));
        assert!(!takes_calls(&members("{'tasks':{'requests':{'tools':{}}}}")));
        let support = |said| Support::of(&members(said));
        assert_eq!(support("{'execution':{'taskSupport':'required'}}"), Support::Required);
        assert_eq!(support("{'execution':{'taskSupport':'optional'}}"), Support::Optional);
        assert_eq!(support("{'execution':{'taskSupport':'perhaps'}}"), Support::Forbidden);
        assert_eq!(support("{}"), Support::Forbidden);
    }

    #[test]
    fn messages_are_related_to_tasks_and_let_go_of() {
        let bare = members("{'x':1}");
        let with = relate(&bare, Some("t"));
        assert_eq!(related(&with).as_deref(), Some("t"));
        assert_eq!(relate(&with, None).raw().as_str(), r#"{"x":1}"#);
        let other = relate(&members("{'_meta':{'a':1}}"), Some("t"));
        assert_eq!(json(&relate(&other, None)), json(&members("{'_meta':{'a':1}}")));
        assert_eq!(relate(&bare, None).raw().as_str(), bare.raw().as_str());
    }
}
