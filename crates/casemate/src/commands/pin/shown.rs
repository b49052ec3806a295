//! Pins as people and programs see them.

use casemate_inspect::names::{Doubt, Verdict};
use casemate_registry::pins::differences;
use casemate_store::Pin;
use serde::Serialize;

use super::names::Names;
use crate::args::pins::Item;
use crate::clock;
use crate::control::wire::{DoubtedName, ServerState};
use crate::output::{Entry, Page, Report, Tone};

/// Digits of a fingerprint that people compare.
const SHORT: usize = 16;

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Approved,
    New,
    Changed,
}

impl State {
    fn of(pin: &Pin) -> State {
        match &pin.approved {
            None => State::New,
            Some(_) if pin.is_approved() => State::Approved,
            Some(_) => State::Changed,
        }
    }

    fn entry(self) -> Entry {
        match self {
            State::Approved => Entry::new("approved", Tone::Good),
            State::New => Entry::new("new", Tone::Warning),
            State::Changed => Entry::new("changed", Tone::Error),
        }
    }
}

/// One pin in a list.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    item: String,
    state: State,
    fingerprint: String,
    approved_by: Option<String>,
    approved_at: Option<String>,
    /// Why the running gateway refuses its name all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Row {
    fn state(&self) -> Entry {
        match (self.state, &self.refused) {
            (State::Approved, Some(_)) => Entry::new("approved, refused", Tone::Error),
            (state, _) => state.entry(),
        }
    }
}

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Listed(Vec<Row>);

impl Listed {
    /// Lists them, with what the running gateway says of their servers.
    pub(super) fn of(pins: &[Pin], states: &[ServerState]) -> Listed {
        let refused = |pin: &Pin| {
            let names = &states.iter().find(|state| state.name == pin.server)?.names;
            let item = item(pin);
            let about =
                |one: &&DoubtedName| one.refused && one.item.as_ref().is_none_or(|other| *other == item);
            names.iter().find(about).map(|one| one.why.clone())
        };
        let row = |pin: &Pin| Row {
            refused: refused(pin),
            server: pin.server.clone(),
            item: item(pin),
            state: State::of(pin),
            fingerprint: hex(&pin.seen.fingerprint),
            approved_by: pin.approved.as_ref().map(|(_, by)| by.clone()),
            approved_at: pin.approved.as_ref().map(|(version, _)| clock::date_time(version.at)),
        };
        Listed(pins.iter().map(row).collect())
    }
}

impl Report for Listed {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("There is nothing. What a server declares is noted when it is first listed.");
            return;
        }
        let row = |row: &Row| {
            vec![
                Entry::from(&row.server),
                Entry::from(&row.item),
                row.state(),
                Entry::from(row.fingerprint.get(..SHORT).unwrap_or_default()),
                Entry::from(row.approved_by.as_deref().unwrap_or("nobody")),
                Entry::from(row.approved_at.as_deref().unwrap_or("")),
            ]
        };
        let rows: Vec<_> = self.0.iter().map(row).collect();
        page.table(&["server", "item", "state", "fingerprint", "approved by", "at"], &rows);
        for row in &self.0 {
            if let Some(why) = &row.refused {
                page.labelled(
                    Tone::Error,
                    &format!("{}:", row.server),
                    &format!("{} is refused: {why}", row.item),
                );
            }
        }
    }
}

/// One thing that waits for an approval, with what is new about it.
#[derive(Debug, Serialize)]
pub(super) struct Waiting {
    server: String,
    item: String,
    state: State,
    fingerprint: String,
    seen: String,
    /// What is wrong with its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<Doubted>,
    differences: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Doubted {
    rule: &'static str,
    why: String,
    refused: bool,
}

#[derive(Debug, Serialize)]
struct Place {
    place: String,
    before: Option<String>,
    after: Option<String>,
}

impl Waiting {
    pub(super) fn of(pin: &Pin, names: &Names) -> Waiting {
        let before = pin.approved.as_ref().map(|(version, _)| version.definition.as_slice());
        let places = differences(before, &pin.seen.definition).into_iter();
        Waiting {
            server: pin.server.clone(),
            item: item(pin),
            state: State::of(pin),
            fingerprint: hex(&pin.seen.fingerprint),
            seen: clock::date_time(pin.seen.at),
            names: names.doubts(pin).into_iter().map(doubted).collect(),
            differences: places
                .map(|one| Place { place: one.place, before: one.before, after: one.after })
                .collect(),
        }
    }
}

fn doubted(doubt: Doubt) -> Doubted {
    Doubted { rule: doubt.rule, why: doubt.why, refused: doubt.verdict == Verdict::Refused }
}

impl Report for Waiting {
    fn lay_out(&self, page: &mut Page) {
        let short = self.fingerprint.get(..SHORT).unwrap_or_default();
        let what = match self.state {
            State::New => "is new",
            State::Approved | State::Changed => "has changed",
        };
        page.labelled(
            Tone::Strong,
            &self.server,
            &format!("{} {what}, seen {}, fingerprint {short}", self.item, self.seen),
        );
        for one in &self.names {
            let tone = if one.refused { Tone::Error } else { Tone::Warning };
            page.labelled(tone, "  !", &one.why);
        }
        for one in &self.differences {
            if let Some(before) = &one.before {
                page.labelled(Tone::Error, "  -", &format!("{}: {before}", one.place));
            }
            if let Some(after) = &one.after {
                page.labelled(Tone::Good, "  +", &format!("{}: {after}", one.place));
            }
        }
        page.gap();
    }
}

/// Everything that waits.
#[derive(Debug, Serialize)]
pub(super) struct Reviewed(pub(super) Vec<Waiting>);

impl Report for Reviewed {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("Nothing waits for an approval.");
            return;
        }
        self.0.iter().for_each(|waiting| waiting.lay_out(page));
        page.labelled(
            Tone::Hint,
            "hint:",
            "`casemate pin approve SERVER ITEM` approves of one, on a terminal this command asks",
        );
    }
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Acted {
    pub(super) act: &'static str,
    pub(super) items: Vec<String>,
}

impl Report for Acted {
    fn lay_out(&self, page: &mut Page) {
        if self.items.is_empty() {
            page.line("Nothing waits for an approval.");
        }
        for item in &self.items {
            page.labelled(Tone::Strong, &format!("{}:", self.act), item);
        }
    }
}

fn item(pin: &Pin) -> String {
    Item { kind: pin.kind, name: pin.name.clone() }.to_string()
}
