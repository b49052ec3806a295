//! One server: how it is, what it offers, and what is set for it.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::server::{Server, entry, lay_out_error, lay_out_names, shortened};
use super::{Tool, cell, labels};
use crate::args::servers::Extent;
use crate::control::wire::{Instance, ServerState};
use crate::output::{Entry, Page, Report, Tone};

/// One server.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) server: Server,
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) tools: Tools,
    pub(super) extent: Extent,
}

/// A setting of it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) value: String,
    /// Whether somebody set it.
    pub(super) is_set: bool,
}

/// What it offers.
#[derive(Debug)]
pub(super) enum Tools {
    Known(Vec<Tool>),
    /// Why that is not known, in a sentence.
    Unknown(String),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            #[serde(flatten)]
            server: &'a Server,
            settings: Values<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tools: Option<&'a [Tool]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tools_unknown: Option<&'a str>,
        }
        let (tools, tools_unknown) = match &self.tools {
            Tools::Known(tools) => (Some(tools.as_slice()), None),
            Tools::Unknown(why) => (None, Some(why.as_str())),
        };
        Members { server: &self.server, settings: Values(&self.settings), tools, tools_unknown }
            .serialize(serializer)
    }
}

/// All settings, whoever set them: a script can tell for itself.
struct Values<'a>(&'a BTreeMap<String, Setting>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, setting) in self.0 {
            map.serialize_entry(key, &setting.value)?;
        }
        map.end()
    }
}

impl Report for Shown {
    fn lay_out(&self, page: &mut Page) {
        page.heading(&self.server.name);
        if let Some(state) = &self.server.state {
            lay_out_state(state, page);
        }
        self.lay_out_tools(page);
        self.lay_out_settings(page);
        if let Some(state) = &self.server.state {
            cell::lay_out(&state.instances, page);
        }
    }
}

impl Shown {
    fn lay_out_tools(&self, page: &mut Page) {
        let tools = match &self.tools {
            Tools::Unknown(why) => return page.labelled(Tone::Quiet, "  tools:", why),
            Tools::Known(tools) => tools,
        };
        page.gap();
        page.heading("tools");
        let first_line = |tool: &Tool| {
            let text = tool.description.as_deref().unwrap_or_default();
            shortened(text.lines().next().unwrap_or_default())
        };
        let row = |tool: &Tool| vec![format!("  {}", tool.name).into(), first_line(tool).into()];
        if tools.is_empty() {
            page.line("  none that clients see");
        }
        page.table(&[], &tools.iter().map(row).collect::<Vec<_>>());
        labels::lay_out(tools.iter().map(|tool| (tool.name.as_str(), &*tool.proposed_labels)), page);
    }

    fn lay_out_settings(&self, page: &mut Page) {
        let prefix = format!("servers.{}.", self.server.name);
        let is_shown = |setting: &Setting| setting.is_set || self.extent == Extent::All;
        let shown = self.settings.iter().filter(|(_, setting)| is_shown(setting));
        let rows: Vec<Vec<Entry>> = shown
            .map(|(key, setting)| {
                let key = key.strip_prefix(&prefix).unwrap_or(key);
                vec![Entry::from(format!("  {key}")), Entry::from(&setting.value)]
            })
            .collect();
        page.gap();
        page.heading("settings");
        page.table(&[], &rows);
        match self.settings.len() - rows.len() {
            0 => {}
            rest => {
                let text =
                    format!("  {rest} more have their defaults: `casemate show {} --all`", self.server.name);
                page.line(&page.toned(Tone::Quiet, &text));
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
    page.table(&[], &[vec![Entry::from("  state:"), entry(state)]]);
    lay_out_error(state, "  last error:", page);
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
    lay_out_names("  names:", state, page);
}
