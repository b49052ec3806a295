//! What was found, and what was done about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use casemate_mcp::json::Raw;

/// What a find is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Text that is not seen.
    Hidden,
    /// A secret that we handed out ourselves.
    Exact,
    /// What looks like somebody's secret.
    Secret,
    /// What says who somebody is.
    Personal,
    /// Text that talks to the model rather than to people.
    Signal,
    /// Markup that makes a client fetch something.
    Markup,
    /// A name that stands for something else.
    Name,
    /// The message itself: what cannot be made harmless.
    Form,
}

/// How sure or how bad a find is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Often harmless.
    Low,
    /// Seldom harmless.
    Medium,
    /// As good as certain.
    High,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// What is done about a find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Nothing: it is not looked for.
    Off,
    /// It is told of.
    Flag,
    /// It is removed or covered, and told of.
    Clean,
    /// The message does not pass.
    Block,
}

/// What one rule found in one message. It never holds the text that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub class: Class,
    /// The rule, or the kind of hidden text.
    pub rule: Arc<str>,
    /// How sure or bad it is.
    pub severity: Severity,
    /// What was done.
    pub measure: Measure,
    /// How often it was found.
    pub count: u32,
    /// Whose planted value it is, when it is one. Told to nobody but the operator.
    pub decoy: Option<Arc<str>>,
}

/// Different finds that are told of in one message; an attacker writes the others.
const FINDINGS_MAX: usize = 32;

/// What an inspection found, in the order in which it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each find.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter()
    }

    /// The find for which the message does not pass.
    #[must_use]
    pub fn blocking(&self) -> Option<&Finding> {
        self.0.iter().find(|finding| finding.measure == Measure::Block)
    }

    /// The servers whose planted values were found.
    pub fn decoys(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().filter_map(|finding| finding.decoy.as_ref())
    }

    /// Adds a find; one more of what was found already counts with it.
    pub fn add(&mut self, found: Finding) {
        let same = |old: &&mut Finding| {
            old.class == found.class
                && old.rule == found.rule
                && old.measure == found.measure
                && old.decoy == found.decoy
        };
        let has_room =
            self.0.len() < FINDINGS_MAX || found.measure == Measure::Block || found.decoy.is_some();
        match self.0.iter_mut().find(same) {
            Some(old) => {
                old.count = old.count.saturating_add(found.count);
                old.severity = old.severity.max(found.severity);
            }
            // What blocks is never left out, and neither is what was planted, of which there are as many as servers.
            None if has_room => self.0.push(found),
            None => {}
        }
    }

    /// Adds those of another part of the same message.
    pub fn extend(&mut self, other: Findings) {
        other.0.into_iter().for_each(|finding| self.add(finding));
    }

    /// What is told to the client, for `_meta`: how often each rule found something, by what was done about it.
    #[must_use]
    pub fn note(&self) -> Raw {
        // In an order of its own, whatever the features of serde_json are in this build.
        let mut note: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
        for finding in &self.0 {
            let done = match (finding.measure, finding.class) {
                (Measure::Clean, Class::Hidden) => "removed",
                (Measure::Clean, _) => "masked",
                (Measure::Block, _) => "blocked",
                _ => "flagged",
            };
            // A planted secret is told of as any other, and counted with them.
            *note.entry(done).or_default().entry(&finding.rule).or_default() += finding.count;
        }
        Raw::of(&note)
    }

    /// The same in one line, for logs and refusals.
    #[must_use]
    pub fn line(&self) -> String {
        let each = self.0.iter().map(|finding| {
            let done = match finding.measure {
                Measure::Clean if finding.class == Class::Hidden => "removed",
                Measure::Clean => "masked",
                Measure::Block => "blocked",
                Measure::Flag | Measure::Off => "flagged",
            };
            format!("{} {done} ({}×, {})", finding.rule, finding.count, finding.severity.as_str())
        });
        each.collect::<Vec<_>>().join(", ")
    }
}
