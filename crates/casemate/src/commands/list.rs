//! `casemate list` and `casemate show`: the servers, as they are configured and as they are.

use std::collections::BTreeMap;

use anyhow::Context as _;
use casemate_config::{Loaded, Origin};
use casemate_gateway::endpoint::Endpoint;
use casemate_gateway::snapshot::Flows;
use casemate_mcp::names::ServerName;
use serde::{Deserialize, Serialize};

use crate::absent::Absent;
use crate::args::servers::Show;
use crate::commands::call::refusal::refused;
use crate::configuration;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Request, ServerState, Status};
use crate::exit::Exit;
use crate::failure::{Account, Failure};
use crate::link::{self, Client, Meta};
pub(crate) use server::next_step;
use server::{Server, Servers};
use shown::{Setting, Shown, Tools};

mod cell;
mod labels;
mod server;
mod shown;

/// The most pages of a list that are asked for; a server that has more is not shown whole.
const PAGES_MAX: usize = 1000;

/// What is said where the running gateway has not taken over what the file says.
const OLDER: &str = "the running gateway keeps the older configuration: `casemate config check`";

/// How servers are, by name.
pub(crate) type States = BTreeMap<String, ServerState>;

/// Lists the servers.
pub fn list(context: &Context) -> anyhow::Result<Exit> {
    let running = states(context)?;
    let loaded = inspect(context, running.is_some())?;
    let is_older = running.is_some() && keeps_older(context)?;
    let configured = loaded.snapshot.servers.values();
    let servers = configured.map(|entry| Server::of(entry, &loaded, running.as_ref())).collect();
    context.output.print(&Servers { gateway: running.is_some(), is_older, servers })?;
    Ok(Exit::Success)
}

/// Shows one server.
pub fn show(context: &Context, show: &Show) -> anyhow::Result<Exit> {
    let name = &show.server;
    let running = states(context)?;
    let loaded = inspect(context, running.is_some())?;
    let servers = &loaded.snapshot.servers;
    let entry = servers.get(name).ok_or_else(|| Failure::from(Absent::of(name.as_str(), servers)))?;
    let explained = loaded.resolved.explain(&format!("servers.{name}"))?;
    let settings = explained.into_iter().filter_map(|one| {
        let is_set = one.origin != Origin::Default;
        Some((one.key, Setting { value: one.value?, is_set }))
    });
    let server = Server::of(entry, &loaded, running.as_ref());
    let (running, tools) = match server.unasked(running.as_ref()) {
        Some(why) => (running, Tools::Unknown(why)),
        None => {
            let asked = tools(context, name);
            // Asking may have started it, or shown that it cannot be.
            let running = states(context)?;
            let state = running.as_ref().and_then(|states| states.get(name.as_str()));
            let tools = match asked {
                Ok(tools) => {
                    let judged = tools.into_iter().map(|tool| tool.judged(&loaded.snapshot.flows, name));
                    Tools::Known(judged.collect())
                }
                Err(_) if state.is_some_and(|state| state.error.is_some()) => Tools::Unknown(
                    "Its tools are not known: it did not start (see its last error).".to_owned(),
                ),
                Err(error) => {
                    Tools::Unknown(format!("Its tools are not known: {}", Account::of(&error).message))
                }
            };
            (running, tools)
        }
    };
    let server = Server::of(entry, &loaded, running.as_ref());
    let shown = Shown { server, settings: settings.collect(), tools, extent: show.extent() };
    context.output.print(&shown)?;
    Ok(Exit::Success)
}

/// The configuration as it is written. Where a gateway runs, mistakes in it are not the whole story.
fn inspect(context: &Context, is_running: bool) -> anyhow::Result<Loaded> {
    configuration::inspect(context).map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) if is_running => failure.hint(OLDER).into(),
        Ok(failure) => failure.into(),
        Err(error) => error,
    })
}

fn keeps_older(context: &Context) -> anyhow::Result<bool> {
    let socket = context.paths.control_socket();
    let asked = client::ask_if_running::<Status>(&socket, &Request::Status);
    Ok(context.small_runtime()?.block_on(asked)?.is_some_and(|status| !status.problems.is_empty()))
}

/// How the servers are, by name; `None` when no gateway runs.
pub(crate) fn states(context: &Context) -> anyhow::Result<Option<States>> {
    let socket = context.paths.control_socket();
    let asked = client::ask_if_running::<Vec<ServerState>>(&socket, &Request::Servers);
    let states = context.small_runtime()?.block_on(asked)?;
    Ok(states.map(|states| states.into_iter().map(|state| (state.name.clone(), state)).collect()))
}

/// The tools of a server, as a client of its own endpoint sees them.
fn tools(context: &Context, name: &ServerName) -> anyhow::Result<Vec<Tool>> {
    let stream = link::open(&context.paths.mcp_socket(), &Endpoint::Server(name.clone()))
        .context(Failure::new(Exit::Unreachable, "cannot reach the gateway"))?;
    let mut client = Client::new(stream);
    let mut tools = Vec::new();
    let mut params = Paging { cursor: None, meta: Meta::ours() };
    for _ in 0..PAGES_MAX {
        let page =
            client.ask("tools/list", &params)?.map_err(|error| refused(context, &error, (name, None)))?;
        let page: Listed = page.parse().context("the gateway's list of tools is unreadable")?;
        tools.extend(page.tools);
        let Some(cursor) = page.next_cursor else { break };
        params.cursor = Some(cursor);
    }
    Ok(tools)
}

#[derive(Debug, Serialize)]
struct Paging {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(rename = "_meta")]
    meta: Meta,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    tools: Vec<Tool>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tool {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing)]
    annotations: serde_json::Value,
    /// Labels that its annotations suggest.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    proposed_labels: Vec<&'static str>,
}

impl Tool {
    fn judged(self, flows: &Flows, server: &ServerName) -> Tool {
        let proposed_labels = labels::proposed(&self.annotations, flows, (server, &self.name));
        Tool { proposed_labels, ..self }
    }
}
