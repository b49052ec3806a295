//! A server, configured and running, and the table of all of them.

use std::path::Path;

use casemate_config::Loaded;
use casemate_gateway::snapshot::{CommandSource, ServerEntry, Sharing, Source, Way};
use casemate_gateway::upstream::report::CellKind;
use serde::Serialize;

use super::{OLDER, States, cell};
use crate::control::wire::{BlockedItem, DoubtedName, Instance, ServerState};
use crate::output::{Entry, Page, Report, Tone};

/// A server, configured and running.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) name: String,
    source: String,
    enabled: bool,
    sharing: &'static str,
    /// The cell that is asked for; absent for a server that runs elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    cell: Option<CellKind>,
    /// The interceptors that ask it. No client sees such a server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    judge_of: Vec<String>,
    /// Absent when no gateway runs, or when the one that runs does not have this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<ServerState>,
}

impl Server {
    pub(super) fn of(entry: &ServerEntry, loaded: &Loaded, running: Option<&States>) -> Server {
        let judges = loaded
            .snapshot
            .interceptors
            .iter()
            .filter(|judge| matches!(&judge.way, Way::Server { server, .. } if *server == entry.name));
        Server {
            name: entry.name.to_string(),
            source: match &entry.source {
                Source::Command(command) if is_built_in(command) => "built in".to_owned(),
                Source::Command(command) => {
                    let words = std::iter::once(&command.program).chain(&command.args);
                    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
                }
                Source::Image(image) => image.image.clone(),
                Source::Http(remote) => remote.written(),
                Source::Socket(socket) => socket.to_string(),
            },
            enabled: entry.enabled,
            sharing: match entry.sharing {
                Sharing::Shared => "shared",
                Sharing::Subject => "subject",
                Sharing::Call => "call",
            },
            cell: cell::configured(&entry.source),
            judge_of: judges.map(|judge| judge.name.to_string()).collect(),
            state: running.and_then(|states| states.get(entry.name.as_str()).cloned()),
        }
    }

    /// Why nobody can be asked for its tools; nothing when somebody can.
    pub(super) fn unasked(&self, running: Option<&States>) -> Option<String> {
        let name = &self.name;
        if !self.enabled {
            return Some(format!("It is disabled, so no client sees its tools: `casemate enable {name}`."));
        }
        if let Some(judge) = self.judge() {
            return Some(judge);
        }
        if running.is_none() {
            return Some("Its tools are shown when a gateway runs: `casemate up`.".to_owned());
        }
        let Some(state) = &self.state else {
            return Some("The running gateway does not have it.".to_owned());
        };
        if let Some(confined) = quarantined(state) {
            return Some(confined);
        }
        (state.state == "stopped")
            .then(|| format!("You stopped it: `casemate start {name}` starts it again."))
    }

    fn judge(&self) -> Option<String> {
        let judged: Vec<String> = self.judge_of.iter().map(|name| format!("[interceptors.{name}]")).collect();
        (!judged.is_empty())
            .then(|| format!("No client sees it: it is the judge of {}.", judged.join(" and ")))
    }

    fn state(&self, is_running: bool) -> Entry {
        match &self.state {
            _ if !self.enabled => Entry::new("disabled", Tone::Quiet),
            None if is_running => Entry::new("not loaded", Tone::Warning),
            None => Entry::new("-", Tone::Quiet),
            Some(state) => entry(state),
        }
    }

    fn instances(&self) -> &[Instance] {
        self.state.as_ref().map(|state| state.instances.as_slice()).unwrap_or_default()
    }

    fn row(&self, is_running: bool) -> Vec<Entry> {
        let instances = self.instances();
        let pids: Vec<String> =
            instances.iter().filter_map(|one| one.pid).map(|pid| pid.to_string()).collect();
        let calls: u64 = instances.iter().map(|one| one.calls).sum();
        let in_flight: usize = instances.iter().map(|one| one.in_flight).sum();
        vec![
            Entry::new(&self.name, Tone::Strong),
            self.state(is_running),
            cell::entry(self.cell),
            instances.len().to_string().into(),
            calls.to_string().into(),
            in_flight.to_string().into(),
            if pids.is_empty() { "-".into() } else { pids.join(",").into() },
            shortened(&self.source).into(),
        ]
    }
}

/// The word for how a server is, for people.
pub(super) fn entry(state: &ServerState) -> Entry {
    match state.state.as_str() {
        "running" => Entry::new("running", Tone::Good),
        "stopped" => Entry::new("stopped by you", Tone::Warning),
        "backoff" | "circuit-open" => Entry::new("resting after failures", Tone::Error),
        word @ ("failed" | "quarantined") => Entry::new(word, Tone::Error),
        word => Entry::new(word, Tone::Normal),
    }
}

/// Who put a server in quarantine, why, and what lets it go.
pub(super) fn quarantined(state: &ServerState) -> Option<String> {
    let confined = state.quarantine.as_ref()?;
    let (ward, by, reason) = (&confined.ward, &confined.by, &confined.reason);
    Some(format!("Quarantined by {by}: {reason}. `casemate quarantine lift {ward}` lets it go."))
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

pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// All servers.
#[derive(Debug, Serialize)]
pub(super) struct Servers {
    /// Whether a gateway runs; otherwise only the configuration is known.
    pub(super) gateway: bool,
    /// Whether it keeps the configuration from before the last change, since the file has mistakes.
    #[serde(rename = "older_configuration")]
    pub(super) is_older: bool,
    pub(super) servers: Vec<Server>,
}

impl Report for Servers {
    fn lay_out(&self, page: &mut Page) {
        if self.servers.is_empty() {
            page.line("No servers are configured. `casemate add NAME -- COMMAND` adds one.");
        } else {
            let rows: Vec<_> = self.servers.iter().map(|server| server.row(self.gateway)).collect();
            let titles = ["server", "state", "cell", "instances", "calls", "in flight", "pids", "source"];
            page.table(&titles, &rows);
        }
        for server in &self.servers {
            let label = format!("{}:", server.name);
            if let Some(judge) = server.judge() {
                page.labelled(Tone::Quiet, &label, &judge);
            }
            let Some(state) = &server.state else { continue };
            if let Some(confined) = quarantined(state) {
                page.labelled(Tone::Warning, &label, &confined);
            }
            lay_out_error(state, &label, page);
            lay_out_names(&label, state, page);
        }
        if self.is_older {
            page.line(&page.toned(Tone::Warning, OLDER));
        }
        if !self.gateway {
            page.line(&page.toned(Tone::Quiet, "No gateway runs; `casemate up` starts one."));
        }
    }
}

/// Why a server last failed, and what to do about it.
pub(super) fn lay_out_error(state: &ServerState, label: &str, page: &mut Page) {
    if let Some(error) = &state.error {
        page.labelled(Tone::Warning, label, error);
        state.hints.iter().for_each(|hint| page.labelled(Tone::Hint, "  hint:", hint));
    }
}

/// What is wrong with a server's names, and what else of it nobody gets.
pub(super) fn lay_out_names(label: &str, state: &ServerState, page: &mut Page) {
    for one in &state.names {
        let tone = if one.refused { Tone::Error } else { Tone::Warning };
        let verdict = if one.refused { "refused" } else { "told of" };
        let item = one.item.as_deref().unwrap_or("the server");
        page.labelled(tone, label, &format!("{item} is {verdict}: {}", one.why));
    }
    // What is refused for its name stands above, in more words.
    let is_told = |item: &&BlockedItem| {
        let about = |name: &&DoubtedName| {
            name.refused && name.item.as_ref().is_none_or(|doubted| *doubted == item.item)
        };
        item.code == "CM1507" && state.names.iter().any(|name| about(&name))
    };
    for item in state.blocked.iter().filter(|item| !is_told(item)) {
        let text = format!("{} is blocked: {}; `{}`", item.item, item.why, next_step(state, item));
        page.labelled(Tone::Error, label, &text);
    }
}

/// The command that goes on from there.
pub(crate) fn next_step(state: &ServerState, item: &BlockedItem) -> String {
    match item.code.as_str() {
        "CM1505" => format!("casemate pin review {}", state.name),
        "CM1506" => {
            let tool = item.item.split_once(':').map_or(item.item.as_str(), |(_, tool)| tool);
            format!("casemate quarantine lift tool:{}/{tool}", state.name)
        }
        code => format!("casemate explain {code}"),
    }
}
