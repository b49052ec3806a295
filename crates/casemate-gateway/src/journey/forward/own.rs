//! What the gateway answers itself.

use std::sync::Arc;

use casemate_mcp::call::{Answer, Meta};
use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::revision::Revision;
use casemate_mcp::task;
use casemate_transport::http::streams::{StreamLimits, Streams};
use serde_json::json;

use super::{LOG_LEVELS, Refusal, discovery, down, listen};
use crate::catalog::{Judged, Kind, Page, Shelf, View, shows_apps};
use crate::client::{Listener, Outlet, Session, SessionFault, Wants};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::head::SessionRef;
use crate::journey::receive::Received;
use crate::journey::route::{Own, caller, may_see};
use crate::journey::spool;
use crate::ports::{Declared, Pinned, Standing};
use crate::refusal::{Code, Retry};
use crate::snapshot::Discovery;
use crate::upstream::Hello;

/// What a client of the joined endpoint is told to know.
const INSTRUCTIONS: &str = "Casemate joins several MCP servers. Tools and prompts are named SERVER__NAME, resources casemate://SERVER/URI.";

/// Answers.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    received: &Received,
    (own, opened): (Own, &mut Option<Arc<Session>>),
) -> Result<Answer, Refusal> {
    let result = match own {
        Own::Ping => Raw::EMPTY_OBJECT,
        Own::Hello => {
            let (result, session) = hello(gate, received).await?;
            *opened = Some(session);
            result
        }
        Own::Discover => discover(gate, received).await?,
        Own::LogLevel => return log_level(received),
        Own::Listen => listen::answer(gate, received).await?,
        Own::List(kind) => list(gate, received, kind).await?,
        Own::Find => discovery::find(gate, received).await?,
        Own::Describe => discovery::describe(gate, received).await?,
        Own::Kept => spool::read(gate, received).await?,
    };
    Ok(Answer::Result(result))
}

/// `initialize`: opens the session and says what can be had in it.
async fn hello(gate: &Gate, received: &Received) -> Result<(Raw, Arc<Session>), Refusal> {
    let meta = &received.call.meta;
    let about = about(gate, received).await?;
    let session = open(gate, received, meta)?;
    let empty = Members::empty();
    let mut result = empty
        .edit()
        .set("protocolVersion", Raw::of(meta.revision.as_str()))
        .set("capabilities", about.capabilities)
        .set("serverInfo", about.info);
    if let Some(instructions) = about.instructions {
        result = result.set("instructions", instructions);
    }
    Ok((result.finish(), session))
}

fn open(gate: &Gate, received: &Received, hello: &Meta) -> Result<Arc<Session>, Refusal> {
    let identified = &received.passage.identified;
    let (subject, endpoint) = (&identified.subject, &identified.head.endpoint);
    let session = match &identified.head.session {
        SessionRef::Connection(session) => Arc::clone(session),
        SessionRef::Id(_) | SessionRef::None => {
            let new = |title| {
                let streams = Streams::new(StreamLimits::default());
                Session::new(title, subject.id.clone(), endpoint.clone(), Outlet::General(streams))
            };
            let limits = &identified.snapshot.limits;
            gate.sessions().create((&subject.id, endpoint), limits, new).map_err(|fault| match fault {
                SessionFault::TooMany => Refusal::new(
                    Code::TooManyCalls,
                    format!("You have {} sessions open; end some with DELETE.", limits.sessions_max),
                )
                .with_retry(Retry::After(std::time::Duration::from_secs(60))),
                SessionFault::NoSeal => {
                    Refusal::new(Code::Internal, "No session could be opened.").with_detail("no seal")
                }
            })?
        }
    };
    if !session.open(hello) {
        return Err(Refusal::new(Code::BadMessage, "This session was initialized already."));
    }
    let listener = Listener::new(Arc::clone(subject), endpoint.clone(), Wants::ALL, session.outlet.clone());
    session.listen(gate.bus().join(listener));
    Ok(session)
}

/// `server/discover`: the same for a modern client.
async fn discover(gate: &Gate, received: &Received) -> Result<Raw, Refusal> {
    let mut about = about(gate, received).await?;
    if received.passage.identified.head.endpoint.joins() {
        // Servers that have tasks give them to those who know the extension.
        about.capabilities = about
            .capabilities
            .members()
            .map_or(about.capabilities, |capabilities| task::with_extension(&capabilities).raw().clone());
    }
    let revisions: Vec<&str> = Revision::ALL.iter().rev().map(|revision| revision.as_str()).collect();
    let empty = Members::empty();
    let meta = empty.edit().set(modern::SERVER_INFO, about.info).finish();
    let mut result = empty
        .edit()
        .set("supportedVersions", Raw::of(&revisions))
        .set("capabilities", about.capabilities)
        .set("_meta", meta);
    if let Some(instructions) = about.instructions {
        result = result.set("instructions", instructions);
    }
    Ok(result.finish())
}

/// What an endpoint says of itself.
struct About {
    capabilities: Raw,
    info: Raw,
    instructions: Option<Raw>,
}

async fn about(gate: &Gate, received: &Received) -> Result<About, Refusal> {
    let endpoint = &received.passage.identified.head.endpoint;
    let shelf = match endpoint {
        Endpoint::Server(name) => gate.catalog().shelf(name.as_str()),
        Endpoint::Joined | Endpoint::Profile(_) => None,
    };
    let own_info = gate.host().client_info.clone();
    let revision = received.call.meta.revision;
    let Some(shelf) = shelf else {
        let capabilities = Raw::of(&json!({
            "completions": {},
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "listChanged": true, "subscribe": true },
            "tools": { "listChanged": true },
        }));
        return Ok(About {
            capabilities: match capabilities.members().filter(|_| revision == Revision::LATEST_LEGACY) {
                Some(capabilities) => with_tasks(&capabilities).raw().clone(),
                None => capabilities,
            },
            info: own_info,
            instructions: Some(Raw::of(INSTRUCTIONS)),
        });
    };
    let hello = shelf.server().hello(&caller(received)).await.map_err(|fault| down(&shelf, &fault))?;
    shelf.note(&hello);
    let (snapshot, server) = (&received.passage.identified.snapshot, &shelf.server().entry().name);
    let names = gate.catalog().names(snapshot);
    let said = hello.server_info.as_ref();
    if let Some(blocked) = said.and_then(|info| names.unmasked(snapshot, server, info)) {
        return Err(blocked.refusal(server.as_str()));
    }
    // What a server says of itself is a definition like its tools: blocked, it is left out.
    let judged = |raw: &Raw| {
        let mentioned = names.mentioned(snapshot, &shelf, raw);
        let judged = Judged::of(&snapshot.inspecting, &shelf, (raw.clone(), mentioned));
        judged.blocked.is_none().then_some(judged.raw)
    };
    Ok(About {
        capabilities: passing(&spoken(revision, &hello), judged),
        info: said.and_then(judged).unwrap_or(own_info),
        instructions: hello.instructions.as_ref().filter(|raw| approved(&shelf, raw)).and_then(judged),
    })
}

/// What a server says that it can do, as far as it may be shown. Of what is blocked, only the members that are go.
fn passing(capabilities: &Members, judged: impl Fn(&Raw) -> Option<Raw>) -> Raw {
    judged(capabilities.raw()).unwrap_or_else(|| {
        let empty = Members::empty();
        let alone = |name: &str, value: &Raw| empty.edit().set(name.to_owned(), value.clone()).finish();
        let kept = capabilities.iter().filter(|(name, value)| judged(&alone(name, value)).is_some());
        let kept = kept.fold(empty.edit(), |edit, (name, value)| edit.set(name.into_owned(), value)).finish();
        judged(&kept).unwrap_or(Raw::EMPTY_OBJECT)
    })
}

/// What a server can do, as the client's dialect says it: tasks are an extension in the one, and a capability in the other.
fn spoken(revision: Revision, hello: &Hello) -> Members {
    let capabilities = &hello.capabilities;
    match (revision.is_modern(), hello.revision.is_modern()) {
        (true, false) if task::takes_calls(capabilities) => {
            task::with_extension(&capabilities.edit().remove("tasks").members())
        }
        (false, true) if revision == Revision::LATEST_LEGACY && task::has_extension(capabilities) => {
            with_tasks(capabilities)
        }
        _ => capabilities.clone(),
    }
}

/// The capabilities of somebody who takes calls of tools as tasks. Nobody can list them: whose tasks they are, a modern server
/// does not say.
fn with_tasks(capabilities: &Members) -> Members {
    let tasks = Raw::of(&json!({ "cancel": {}, "requests": { "tools": { "call": {} } } }));
    capabilities.edit().set("tasks", tasks).members()
}

/// Instructions go to the model as they are, so they take an approval as well.
fn approved(shelf: &Shelf, instructions: &Raw) -> bool {
    let declared = Declared { kind: Pinned::Instructions, name: "", definition: instructions };
    let standing = shelf.standing(declared);
    if standing != Standing::Approved {
        let server = &shelf.server().entry().name;
        tracing::warn!(%server, ?standing, "instructions are kept back until a person approves of them");
    }
    standing == Standing::Approved
}

fn log_level(received: &Received) -> Result<Answer, Refusal> {
    let level = received.call.params.string("level").filter(|level| LOG_LEVELS.contains(&level.as_str()));
    let Some(level) = level else {
        let message = format!("logging/setLevel needs params.level, one of {}", LOG_LEVELS.join(", "));
        return Ok(Answer::Error(ErrorObject::new(code::INVALID_PARAMS, message)));
    };
    if let Some(session) = &received.session {
        session.set_log_level(&level);
    }
    Ok(Answer::Result(Raw::EMPTY_OBJECT))
}

/// A list over all servers of the endpoint: from the cache, after the missing ones had their chance.
async fn list(gate: &Gate, received: &Received, kind: Kind) -> Result<Raw, Refusal> {
    let identified = &received.passage.identified;
    let (catalog, snapshot) = (gate.catalog(), &identified.snapshot);
    let view = catalog.view(snapshot, &identified.head.endpoint);
    let cursor = received.call.params.string("cursor");
    let revision = received.call.meta.revision;
    let apps = shows_apps(&received.call.meta.capabilities);
    let page = Page { subject: &identified.subject, kind, cursor: cursor.as_deref(), revision, apps };
    let gives_way = kind == Kind::Tools && identified.head.endpoint.joins();
    if gives_way && snapshot.discovery == Discovery::Search {
        // Nothing is started to show that nothing is listed.
        return Ok(discovery::tools(revision));
    }
    let may_give_way = gives_way && snapshot.discovery != Discovery::All;
    if !may_give_way && let Some(kept) = view.kept(snapshot, page) {
        return Ok(kept);
    }
    load(gate, received, (&view, kind)).await;
    let view = catalog.view(snapshot, &identified.head.endpoint);
    let first = Page { cursor: None, ..page };
    let first = || view.kept(snapshot, first).or_else(|| view.page(snapshot, first));
    if may_give_way && first().is_some_and(|first| discovery::takes_over(snapshot.discovery, &first)) {
        return Ok(discovery::tools(revision));
    }
    view.page(snapshot, page).ok_or_else(|| {
        let message = "The cursor is not valid (any more): begin the list anew.";
        Refusal::new(Code::BadParams, message).prescribed(ErrorObject::new(code::INVALID_PARAMS, message))
    })
}

/// Loads the definitions that are missing or known to have changed, side by side and within the list's time.
pub(super) async fn load(gate: &Gate, received: &Received, (view, kind): (&View, Kind)) {
    let caller = caller(received);
    let free =
        |shelf: &&Arc<Shelf>| gate.quarantine().of_server(shelf.server().entry().name.as_str()).is_none();
    let deadline = clock::instant() + received.passage.identified.snapshot.limits.list_time_max;
    let mut loads: tokio::task::JoinSet<()> = tokio::task::JoinSet::new();
    let waits = |shelf: &&Arc<Shelf>| may_see(received, shelf) && !shelf.is_fresh(&caller, kind);
    for shelf in view.shelves().iter().filter(free).filter(waits) {
        let (shelf, caller) = (Arc::clone(shelf), caller.clone());
        loads.spawn(async move { shelf.listed(&caller, (kind, deadline)).await });
    }
    while loads.join_next().await.is_some() {}
}
