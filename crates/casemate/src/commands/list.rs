//! `casemate list` and `casemate show`: the servers, as they are configured and as they are.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use casemate_gateway::endpoint::Endpoint;
use casemate_gateway::snapshot::{CommandSource, Flows, ServerEntry, Sharing, Source};
use casemate_gateway::upstream::report::CellKind;
use casemate_mcp::names::ServerName;
use serde::{Deserialize, Serialize};

use crate::commands::call::refused;
use crate::configuration;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Instance, Request, ServerState};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::link::{self, Client, Meta};
use crate::output::{Entry, Page, Report, Tone};

mod cell;
mod labels;

/// The most pages of a list that are asked for; a server that has more is not shown whole.
const PAGES_MAX: usize = 1000;

/// Lists the servers.
pub fn list(context: &Context) -> anyhow::Result<Exit> {
    let configured = configuration::inspect(context)?.snapshot.servers;
    let running = states(context)?;
    let servers = configured.values().map(|entry| Server::of(entry, running.as_ref())).collect();
    context.output.print(&Servers { gateway: running.is_some(), servers })?;
    Ok(Exit::Success)
}

/// Shows one server.
pub fn show(context: &Context, name: &ServerName) -> anyhow::Result<Exit> {
    let loaded = configuration::inspect(context)?;
    let entry = loaded.snapshot.servers.get(name).ok_or_else(|| {
        Failure::new(Exit::Failure, format!("no server called {name} is configured"))
            .hint("`casemate list` shows those that are")
    })?;
    let settings = loaded.resolved.explain(&format!("servers.{name}"))?;
    let settings = settings.into_iter().filter_map(|one| Some((one.key, one.value?))).collect();
    let running = states(context)?;
    let tools = match (&running, entry.enabled) {
        (Some(_), true) => match tools(context, name) {
            Ok(tools) => {
                Some(tools.into_iter().map(|tool| tool.judged(&loaded.snapshot.flows, name)).collect())
            }
            Err(error) => {
                context.output.warn(&format!("its tools are not known: {error:#}"));
                None
            }
        },
        _ => None,
    };
    let server = Server::of(entry, running.as_ref());
    context.output.print(&Shown { server, settings, tools })?;
    Ok(Exit::Success)
}

/// How the servers are, by name; `None` when no gateway runs.
fn states(context: &Context) -> anyhow::Result<Option<BTreeMap<String, ServerState>>> {
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
        let page = client.ask("tools/list", &params)?.map_err(|error| refused(&error, name))?;
        let page: Tools = page.parse().context("the gateway's list of tools is unreadable")?;
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
struct Tools {
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

/// A server, configured and running.
#[derive(Debug, Serialize)]
struct Server {
    name: String,
    source: String,
    enabled: bool,
    sharing: &'static str,
    /// The cell that is asked for; absent for a server that runs elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    cell: Option<CellKind>,
    /// Absent when no gateway runs, or when it has not heard of this server yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<ServerState>,
}

impl Server {
    fn of(entry: &ServerEntry, running: Option<&BTreeMap<String, ServerState>>) -> Server {
        Server {
            name: entry.name.to_string(),
            source: match &entry.source {
                Source::Command(command) if is_built_in(command) => "built in".to_owned(),
                Source::Command(command) => {
                    let words = std::iter::once(&command.program).chain(&command.args);
                    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
                }
                Source::Image(image) => image.image.clone(),
                Source::Http(remote) => remote.url.to_string(),
            },
            enabled: entry.enabled,
            sharing: match entry.sharing {
                Sharing::Shared => "shared",
                Sharing::Subject => "subject",
                Sharing::Call => "call",
            },
            cell: cell::configured(&entry.source),
            state: running.and_then(|states| states.get(entry.name.as_str()).cloned()),
        }
    }

    fn state(&self) -> Entry {
        match &self.state {
            _ if !self.enabled => Entry::new("disabled", Tone::Quiet),
            None => Entry::new("-", Tone::Quiet),
            Some(state) => match state.state.as_str() {
                "running" => Entry::new("running", Tone::Good),
                "backoff" | "circuit-open" | "quarantined" => Entry::new(&state.state, Tone::Error),
                other => Entry::new(other, Tone::Normal),
            },
        }
    }

    fn instances(&self) -> &[Instance] {
        self.state.as_ref().map(|state| state.instances.as_slice()).unwrap_or_default()
    }

    fn row(&self) -> Vec<Entry> {
        let instances = self.instances();
        let pids: Vec<String> =
            instances.iter().filter_map(|one| one.pid).map(|pid| pid.to_string()).collect();
        let calls: u64 = instances.iter().map(|one| one.calls).sum();
        let in_flight: usize = instances.iter().map(|one| one.in_flight).sum();
        vec![
            Entry::new(&self.name, Tone::Strong),
            self.state(),
            cell::entry(self.cell),
            instances.len().to_string().into(),
            calls.to_string().into(),
            in_flight.to_string().into(),
            if pids.is_empty() { "-".into() } else { pids.join(",").into() },
            shortened(&self.source).into(),
        ]
    }
}

fn is_built_in(command: &CommandSource) -> bool {
    let ours = std::env::current_exe().is_ok_and(|ours| ours == Path::new(&command.program));
    ours && command.args.first().is_some_and(|first| first == "toolkit")
}

/// A word of a command line as a person would type it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

#[derive(Debug, Serialize)]
struct Servers {
    /// Whether a gateway runs; otherwise only the configuration is known.
    gateway: bool,
    servers: Vec<Server>,
}

impl Report for Servers {
    fn lay_out(&self, page: &mut Page) {
        if self.servers.is_empty() {
            page.line("No servers are configured. `casemate add NAME -- COMMAND` adds one.");
        } else {
            let rows: Vec<_> = self.servers.iter().map(Server::row).collect();
            let titles = ["server", "state", "cell", "instances", "calls", "in flight", "pids", "source"];
            page.table(&titles, &rows);
        }
        for server in &self.servers {
            if let Some(error) = server.state.as_ref().and_then(|state| state.error.as_ref()) {
                page.labelled(Tone::Warning, &format!("{}:", server.name), error);
            }
        }
        if !self.gateway {
            page.line(&page.toned(Tone::Quiet, "No gateway runs; `casemate up` starts one."));
        }
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    server: Server,
    settings: BTreeMap<String, String>,
    /// Absent when no gateway runs, or when the server is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Tool>>,
}

impl Report for Shown {
    fn lay_out(&self, page: &mut Page) {
        page.heading(&self.server.name);
        let settings = self.settings.iter().map(|(key, value)| {
            let key = key.strip_prefix(&format!("servers.{}.", self.server.name)).unwrap_or(key);
            vec![Entry::from(format!("  {key}")), value.into()]
        });
        page.table(&[], &settings.collect::<Vec<_>>());
        if let Some(state) = &self.server.state {
            lay_out_state(state, page);
        }
        match &self.tools {
            None => page
                .line(&page.toned(Tone::Quiet, "Its tools are shown when a gateway runs and it is enabled.")),
            Some(tools) => {
                page.gap();
                page.heading("tools");
                let first_line = |tool: &Tool| {
                    let text = tool.description.as_deref().unwrap_or_default();
                    shortened(text.lines().next().unwrap_or_default())
                };
                let row = |tool: &Tool| vec![format!("  {}", tool.name).into(), first_line(tool).into()];
                page.table(&[], &tools.iter().map(row).collect::<Vec<_>>());
                labels::lay_out(tools.iter().map(|tool| (tool.name.as_str(), &*tool.proposed_labels)), page);
            }
        }
    }
}

/// A span of time, in its two largest units.
fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

fn lay_out_state(state: &ServerState, page: &mut Page) {
    page.gap();
    page.heading(&state.state);
    if let Some(error) = &state.error {
        page.labelled(Tone::Warning, "  last error:", error);
    }
    let row = |one: &Instance| -> Vec<Entry> {
        vec![
            format!("  {}", one.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())).into(),
            one.subject.as_deref().unwrap_or("shared").into(),
            one.revision.as_str().into(),
            span(one.age).into(),
            format!("{} calls", one.calls).into(),
            format!("{} in flight", one.in_flight).into(),
            cell::entry(one.cell.as_ref().map(|report| report.cell)),
        ]
    };
    page.table(&[], &state.instances.iter().map(row).collect::<Vec<_>>());
    cell::lay_out(&state.instances, page);
}
