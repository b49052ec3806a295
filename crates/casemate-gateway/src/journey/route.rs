//! Stage 5: which server, and which of its tools, prompts or resources.
//!
//! What the subject may not see is answered exactly like what does not exist, and no server is started to find out.

mod indirect;
mod item;
pub(in crate::journey) mod task;

use std::sync::Arc;

use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use casemate_policy::{Action, Decision, Effect, Request, Resource, RuleId};

use super::cordon;
use super::receive::Received;
use super::spool;
use super::stepup;
use crate::catalog::{Item, Kind, Shelf, Shown, unwrap_uri};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::ports::Standing;
use crate::refusal::{Code, Refusal};
use crate::snapshot::ProfileTool;
use crate::upstream::Caller;

pub(super) use indirect::{CALL, DESCRIBE, FIND, unfold};

/// What the names of notifications begin with; no request has such a name.
const NOTIFICATIONS: &str = "notifications/";

/// Longest URI, in bytes: watched ones are kept for as long as their client.
pub(super) const URI_MAX: usize = 16 * 1024;

/// A request whose addressee is known.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) received: Box<Received>,
    pub(super) target: Target,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

/// Who answers a request.
#[derive(Debug)]
pub(super) enum Target {
    /// We do.
    Own(Own),
    /// A server, about a tool or prompt.
    Item {
        shelf: Arc<Shelf>,
        kind: Kind,
        item: Arc<Item>,
        fixed: Option<Arc<ProfileTool>>,
        standing: Standing,
    },
    /// A server, about a resource: by the server's own URI for it.
    Uri { shelf: Arc<Shelf>, uri: String },
    /// A server, about a value for an argument of a prompt or template: the `ref` as the server knows it.
    Completion { shelf: Arc<Shelf>, about: About },
    /// A server, about a task: with all tools that began one of its id, the newest last, and what the newest is declared to be.
    /// Nearly always it is one tool, and none where that is not remembered.
    Task { shelf: Arc<Shelf>, tools: Vec<Box<str>>, item: Option<Arc<Item>> },
    /// The one server of a transparent endpoint, with whatever it is.
    Relay { shelf: Arc<Shelf> },
}

/// What we answer ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Hello,
    Discover,
    Ping,
    LogLevel,
    Listen,
    List(Kind),
    /// `find_tools`.
    Find,
    /// `describe_tool`.
    Describe,
    /// A result that is kept here.
    Kept,
}

/// What a completion is asked for.
#[derive(Debug)]
pub(super) enum About {
    Prompt(Box<str>),
    Template(String),
}

impl Target {
    /// The server that the request goes to, if it goes to one.
    pub(super) fn shelf(&self) -> Option<&Arc<Shelf>> {
        match self {
            Target::Own(_) => None,
            Target::Item { shelf, .. }
            | Target::Uri { shelf, .. }
            | Target::Completion { shelf, .. }
            | Target::Task { shelf, .. }
            | Target::Relay { shelf } => Some(shelf),
        }
    }
}

/// Finds the addressee.
///
/// # Errors
/// [`Code::Unknown`] for what is not there or not to be seen; [`Code::ServerDown`] and its kin when a server's
/// definitions are needed and cannot be had.
pub(super) async fn target(gate: &Gate, mut received: Box<Received>) -> Result<Routed, Refusal> {
    let method = &received.call.method;
    if !is_spoken(method, received.call.meta.revision.is_modern()) {
        return Err(no_method(method));
    }
    let only = only_server(gate, &received)?;
    if let Some(target) = indirect::own_tool(&received) {
        return Ok(Routed { received, target, _seal: Seal });
    }
    let target = match (method, only) {
        (Method::Initialize, _) => Target::Own(Own::Hello),
        (Method::Discover, _) => Target::Own(Own::Discover),
        (Method::Ping, _) => Target::Own(Own::Ping),
        (Method::LoggingSetLevel, _) => Target::Own(Own::LogLevel),
        (Method::Listen, _) => Target::Own(Own::Listen),
        (Method::ToolsCall, _) => item::target(gate, &received, Kind::Tools).await?,
        (Method::PromptsGet, _) => item::target(gate, &received, Kind::Prompts).await?,
        (Method::ResourcesRead, _) if spool::is_ours(gate, &received) => Target::Own(Own::Kept),
        (Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe, only) => {
            resource(gate, &received, only)?
        }
        (Method::Complete, only) => item::completion(gate, &received, only).await?,
        (method, only) if task::is_about_one(method) => task::target(gate, &mut received, only)?,
        (_, Some(shelf)) => Target::Relay { shelf },
        (method, None) => match Kind::of(method) {
            Some(kind) => Target::Own(Own::List(kind)),
            None => return Err(no_method(method)),
        },
    };
    honest(gate, &received, &target)?;
    Ok(Routed { received, target, _seal: Seal })
}

/// A server that says it is another is not used, whatever is asked of it.
fn honest(gate: &Gate, received: &Received, target: &Target) -> Result<(), Refusal> {
    let Some(shelf) = target.shelf() else { return Ok(()) };
    let (snapshot, server) = (&received.passage.identified.snapshot, &shelf.server().entry().name);
    let blocked = gate.catalog().names(snapshot).blocked(snapshot, server);
    blocked.map_or(Ok(()), |blocked| Err(blocked.refusal(server.as_str())))
}

/// Whether the caller's dialect has a method. What neither dialect knows is for the server to judge.
fn is_spoken(method: &Method, modern: bool) -> bool {
    match method {
        Method::Initialize
        | Method::Ping
        | Method::LoggingSetLevel
        | Method::ResourcesSubscribe
        | Method::ResourcesUnsubscribe
        | Method::TasksResult
        | Method::TasksList => !modern,
        Method::Discover | Method::Listen | Method::TasksUpdate => modern,
        Method::ElicitationCreate | Method::SamplingCreate | Method::RootsList => false,
        // A server that looks at the method alone could take such a request for the notification of that name, and
        // end a call that it does another subject's work in.
        other => !other.as_str().starts_with(NOTIFICATIONS),
    }
}

/// The server of a transparent endpoint; `None` where servers are joined.
fn only_server(gate: &Gate, received: &Received) -> Result<Option<Arc<Shelf>>, Refusal> {
    let identified = &received.passage.identified;
    let exists = match &identified.head.endpoint {
        Endpoint::Joined => return Ok(None),
        Endpoint::Profile(name) if identified.snapshot.profiles.contains_key(name) => return Ok(None),
        Endpoint::Profile(_) => None,
        // A server that judges others is for us alone.
        Endpoint::Server(name) if identified.snapshot.interceptors.has_server(name) => None,
        Endpoint::Server(name) => gate.catalog().shelf(name.as_str()),
    };
    let gone = || Refusal::new(Code::NoEndpoint, "There is no such endpoint, or you may not use it.");
    let shelf = exists.ok_or_else(gone)?;
    if may_see(received, &shelf) {
        cordon::of_shelf(gate.quarantine(), &shelf)?;
        return Ok(Some(shelf));
    }
    Err(unseen(received, &shelf).unwrap_or_else(gone))
}

/// The refusal for a server that a token's scopes alone keep from the subject.
fn unseen(received: &Received, shelf: &Shelf) -> Option<Refusal> {
    stepup::missing(received, (Action::List, &Resource::Server(&shelf.server().entry().name)))
}

/// Whether the subject may know that a server is there.
pub(super) fn may_see(received: &Received, shelf: &Shelf) -> bool {
    let identified = &received.passage.identified;
    let server = Resource::Server(&shelf.server().entry().name);
    identified.snapshot.policy.decide(&identified.subject, &Request::new(Action::List, server)).effect
        == Effect::Allow
}

/// Whether the subject may know that something is there; otherwise the refusal, with the reason for the record. To know of a thing and to use it are one
/// question to the policy, and it is asked before the arguments are looked at: what is wrong with them would tell
/// a stranger that the tool exists, and what it takes.
fn known(
    received: &Received,
    resource: &Resource<'_>,
    otherwise: impl FnOnce() -> Refusal,
) -> Result<(), Refusal> {
    let identified = &received.passage.identified;
    let decision =
        identified.snapshot.policy.decide(&identified.subject, &Request::new(Action::List, *resource));
    if decision.effect != Effect::Deny {
        return Ok(());
    }
    let missing = stepup::missing(received, (Action::List, resource));
    Err(missing.unwrap_or_else(|| otherwise().with_detail(denied_by(&decision))))
}

/// The rules that denied, for the record.
pub(super) fn denied_by(decision: &Decision) -> String {
    let rules: Vec<&str> = decision.rules.iter().map(RuleId::as_str).collect();
    format!("denied by {}", rules.join(", "))
}

/// Whom a server is told that it works for. What a client could do with tasks of its own (2025-11-25) is not offered: they are
/// asked about outside of any call, where nobody could say whose they are.
pub(super) fn caller(received: &Received) -> Caller {
    Caller {
        subject: received.passage.identified.subject.id.clone(),
        capabilities: received.call.meta.capabilities.edit().remove("tasks").members(),
        timeout: None,
        replay_safe: false,
        param_headers: Vec::new(),
    }
}

fn resource(gate: &Gate, received: &Received, only: Option<Arc<Shelf>>) -> Result<Target, Refusal> {
    let uri = string_param(received, "uri")?;
    if uri.len() > URI_MAX {
        return Err(Refusal::new(Code::BadParams, format!("params.uri has more than {URI_MAX} bytes.")));
    }
    if let Some(shelf) = only {
        return Ok(Target::Uri { shelf, uri });
    }
    let (server, original) = unwrap_uri(&uri).ok_or_else(|| no_resource(&uri))?;
    let shelf = joined_shelf(gate, received, server.as_str()).ok_or_else(|| no_resource(&uri))?;
    Ok(Target::Uri { shelf, uri: original.to_owned() })
}

/// A server of this endpoint that the subject may see.
fn joined_shelf(gate: &Gate, received: &Received, server: &str) -> Option<Arc<Shelf>> {
    let identified = &received.passage.identified;
    let view = gate.catalog().view(&identified.snapshot, &identified.head.endpoint);
    let shelf = view.shelves().iter().find(|shelf| shelf.server().entry().name.as_str() == server)?;
    may_see(received, shelf).then(|| Arc::clone(shelf))
}

/// A string member of the params.
pub(super) fn string_param(received: &Received, name: &str) -> Result<String, Refusal> {
    received.call.params.string(name).ok_or_else(|| {
        let message = format!("{} needs params.{name}, a string", received.call.method);
        Refusal::new(Code::BadParams, message.clone())
            .prescribed(ErrorObject::new(code::INVALID_PARAMS, message))
    })
}

fn no_method(method: &Method) -> Refusal {
    let message = format!("Method not found: {method}");
    Refusal::new(Code::Unknown, message.clone()).prescribed(ErrorObject::new(code::METHOD_NOT_FOUND, message))
}

/// The answer for a tool or prompt that is not there, and for one that the subject may not see.
pub(super) fn no_item(kind: Kind, name: &str) -> Refusal {
    let noun = if kind == Kind::Prompts { "prompt" } else { "tool" };
    let message = format!("Unknown {noun}: {name}");
    Refusal::new(Code::Unknown, message.clone()).prescribed(ErrorObject::new(code::INVALID_PARAMS, message))
}

/// The answer for a resource that is not there, and for one that the subject may not see.
pub(super) fn no_resource(uri: &str) -> Refusal {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        uri: &'a str,
    }
    let message = "Resource not found";
    let error =
        ErrorObject { data: Some(Raw::of(&Data { uri })), ..ErrorObject::new(code::INVALID_PARAMS, message) };
    Refusal::new(Code::Unknown, message).prescribed(error)
}

/// An item as the view shows it, as a target.
fn shown_target(kind: Kind, shown: &Shown) -> Target {
    Target::Item {
        shelf: Arc::clone(&shown.shelf),
        kind,
        item: Arc::clone(&shown.item),
        fixed: shown.fixed.clone(),
        standing: shown.standing,
    }
}
