//! What the gateway refused, told to whoever runs it: its reasons, which no client is told, and a next step.

use anyhow::anyhow;
use casemate_gateway::refusal::{Code, Party};
use casemate_gateway::snapshot::Way;
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::names::ServerName;
use serde::Deserialize;

use crate::absent::Absent;
use crate::commands::list;
use crate::configuration;
use crate::context::Context;
use crate::control::wire::{DoubtedName, ServerState};
use crate::exit::Exit;
use crate::failure::Failure;

/// What the gateway says beside the message of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    code: Option<String>,
    fault: Option<String>,
    hint: Option<String>,
}

/// The gateway's refusal, or the server's error, as a failure of ours. `about` is the server and the tool.
pub fn refused(context: &Context, error: &ErrorObject, about: (&ServerName, Option<&str>)) -> anyhow::Error {
    let detail: Detail = error.data.as_ref().and_then(|data| data.parse().ok()).unwrap_or_default();
    let Some(code) = detail.code.as_deref().and_then(find) else {
        let failure = Failure::new(Exit::Failure, error.message.clone());
        let failure = detail.hint.into_iter().fold(failure, Failure::hint);
        return match detail.fault.as_deref() {
            Some("upstream") => failure.hint(logs(about.0)).into(),
            _ => failure.into(),
        };
    };
    of_code(context, (code, &error.message), about)
}

/// The code of this text, if there is one.
pub(super) fn find(text: &str) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.as_str() == text)
}

/// A refusal by its code and message.
pub(super) fn of_code(
    context: &Context,
    (code, message): (Code, &str),
    (server, tool): (&ServerName, Option<&str>),
) -> anyhow::Error {
    let told = match code {
        Code::NoEndpoint => nowhere(context, server),
        Code::Unknown | Code::BadArguments => {
            Some(Told::hint(format!("`casemate show {server}` lists its tools")))
        }
        Code::ServerDown | Code::CircuitOpen => Some(down(state(context, server).as_ref(), server)),
        Code::NeedsSecret => {
            state(context, server).and_then(|state| state.hints.into_iter().next()).map(Told::hint)
        }
        Code::NameRefused => Some(misnamed(state(context, server).as_ref(), (server, tool))),
        Code::DefinitionBlocked => Some(Told::hint(format!("`casemate show {server}` has more about it"))),
        Code::Quarantined => Some(Told::hint("`casemate quarantine list` says who put it in, and why")),
        Code::Unjudged => Some(Told::hint("`casemate doctor` looks whether each judge can be reached")),
        _ if code.party() == Party::Upstream => Some(Told::hint(logs(server))),
        _ => None,
    };
    let Told { message: better, because, hint } = told.unwrap_or_default();
    let failure = Failure::new(exit(code), better.unwrap_or_else(|| message.to_owned()));
    let failure = hint.into_iter().fold(failure, Failure::hint);
    let failure = failure.hint(format!("`casemate explain {code}` says more")).refusal(code.as_str());
    match because {
        Some(because) => anyhow!(because).context(failure),
        None => failure.into(),
    }
}

/// What is told beside a refusal.
#[derive(Debug, Default)]
struct Told {
    /// Instead of what clients are told.
    message: Option<String>,
    because: Option<String>,
    hint: Option<String>,
}

impl Told {
    fn hint(hint: impl Into<String>) -> Told {
        Told { hint: Some(hint.into()), ..Told::default() }
    }
}

/// A rule refused it, whoever is to blame that there had to be one.
fn exit(code: Code) -> Exit {
    match code {
        Code::NameRefused | Code::DefinitionBlocked | Code::AnswerBlocked | Code::Unjudged => Exit::Refused,
        code if code.party() == Party::Policy => Exit::Refused,
        _ => Exit::Failure,
    }
}

fn logs(server: &ServerName) -> String {
    format!("`casemate logs {server}` shows what the server said")
}

/// How the server is, where the gateway tells us: it is ours.
fn state(context: &Context, server: &ServerName) -> Option<ServerState> {
    list::states(context).ok()??.remove(server.as_str())
}

/// Clients are not told whether a server exists; whoever can read the configuration is.
fn nowhere(context: &Context, server: &ServerName) -> Option<Told> {
    let snapshot = configuration::inspect(context).ok()?.snapshot;
    let told = |message: String, hint: &str| {
        Some(Told { message: Some(message), hint: Some(hint.to_owned()), because: None })
    };
    if !snapshot.servers.get(server).is_some_and(|entry| entry.enabled) {
        let Absent { message, hint } = Absent::of(server.as_str(), &snapshot.servers);
        return told(message, &hint);
    }
    let is_asked = |way: &Way| matches!(way, Way::Server { server: asked, .. } if asked == server);
    match snapshot.interceptors.iter().find(|judge| is_asked(&judge.way)) {
        Some(judge) => {
            let message =
                format!("no client sees {server}: it is the judge of [interceptors.{}]", judge.name);
            told(message, "`casemate interceptors` lists who is asked about what")
        }
        None => told(
            format!("the running gateway does not have the server {server}"),
            "`casemate config check` lists the mistakes that keep it from taking the file over",
        ),
    }
}

fn down(state: Option<&ServerState>, server: &ServerName) -> Told {
    match state {
        Some(state) if state.state == "stopped" => {
            Told::hint(format!("`casemate start {server}` starts it again"))
        }
        Some(ServerState { error: Some(error), hints, .. }) => Told {
            because: Some(error.clone()),
            hint: Some(
                hints
                    .first()
                    .cloned()
                    .unwrap_or_else(|| format!("`casemate show {server}` has more about it")),
            ),
            message: None,
        },
        _ => Told::hint(logs(server)),
    }
}

/// Clients are not told of other servers' names; whoever configured them knows.
fn misnamed(state: Option<&ServerState>, (server, tool): (&ServerName, Option<&str>)) -> Told {
    let item = tool.map(|tool| format!("tool:{tool}"));
    let refused = state.iter().flat_map(|state| &state.names).filter(|name| name.refused);
    let about = |name: &&DoubtedName| name.item.is_none() || name.item == item;
    Told {
        because: refused.into_iter().find(about).map(|name| name.why.clone()),
        hint: Some(format!("`casemate show {server}` has what else is wrong with its names")),
        message: None,
    }
}
