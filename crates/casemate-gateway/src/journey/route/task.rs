//! Requests about tasks. At an endpoint that joins servers, the id that a client has names the server too, and is good for its
//! subject alone.

use std::sync::Arc;
use std::time::Duration;

use casemate_auth::seal::{Bound, Purpose};
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;

use super::{Received, Refusal, Target, joined_shelf, string_param};
use crate::catalog::{Kind, Shelf};
use crate::clock;
use crate::gate::Gate;
use crate::journey::authorize::{no_task, undeclared};

/// How long a task can be asked for. Servers forget theirs long before.
const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Longest id of a server's task that is given to clients of joined endpoints, in bytes.
const ID_MAX: usize = 1024;

/// Whether a request is about one task.
pub(in crate::journey) fn is_about_one(method: &Method) -> bool {
    matches!(method, Method::TasksGet | Method::TasksUpdate | Method::TasksCancel | Method::TasksResult)
}

/// The server that has the task, and the tools that began one of its id. Where servers are joined, `params.taskId` names the server;
/// from here on the params say its own id.
pub(super) fn target(
    gate: &Gate,
    received: &mut Received,
    only: Option<Arc<Shelf>>,
) -> Result<Target, Refusal> {
    undeclared(received)?;
    let shown = string_param(received, "taskId")?;
    let subject = received.passage.identified.subject.id.clone();
    let (shelf, id) = match only {
        Some(shelf) => (shelf, shown),
        None => {
            let found = original(gate, &subject, &shown)
                .and_then(|(server, id)| Some((joined_shelf(gate, received, &server)?, id)));
            let Some((shelf, id)) = found else { return Err(no_task(received)) };
            received.call.params = received.call.params.edit().set("taskId", Raw::string_of(&id)).members();
            (shelf, id)
        }
    };
    // Of what could be any tool's, nobody could say whether it may be shown.
    let tools = gate.tasks().tools(&shelf.server().entry().name, &id, &subject);
    let tools = tools.ok_or_else(|| no_task(received))?;
    let item = tools.last().and_then(|tool| shelf.known()?.find(Kind::Tools, tool).cloned());
    Ok(Target::Task { shelf, tools, item })
}

/// The id that a client of a joined endpoint gets; `None` for one that no client can have.
pub(in crate::journey) fn shown(
    gate: &Gate,
    (subject, server): (&SubjectId, &ServerName),
    id: &str,
) -> Option<String> {
    let expires = clock::unix_now().as_secs().saturating_add(LIFE.as_secs());
    let payload = format!("{server}\n{id}");
    let sealed =
        || gate.seals().seal(Purpose::Task, &Bound::to(subject.as_str()), (payload.as_bytes(), expires));
    (id.len() <= ID_MAX).then(sealed)?.ok()
}

/// The server and its own id behind such an id.
fn original(gate: &Gate, subject: &SubjectId, shown: &str) -> Option<(String, String)> {
    let now = clock::unix_now().as_secs();
    let opened = gate.seals().open(Purpose::Task, &Bound::to(subject.as_str()), (shown, now)).ok()?;
    let text = String::from_utf8(opened.payload).ok()?;
    text.split_once('\n').map(|(server, id)| (server.to_owned(), id.to_owned()))
}
