//! A definition under the inspection: what of it may be shown.

use std::sync::Arc;

use casemate_inspect::{Class, Finding, Findings, Place};
use casemate_mcp::json::{Members, Raw};

use super::Shelf;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Inspecting;

/// The member of `_meta` in which clients are told what was found in a definition or a result.
pub(crate) const NOTE: &str = "io.casemate/inspection";

/// What may be shown of a definition.
#[derive(Debug)]
pub struct Judged {
    /// The definition, without secrets and with a note where something was found; the same bytes otherwise.
    pub raw: Raw,
    /// Why it is not shown at all.
    pub blocked: Option<Blocked>,
}

/// Why something is neither shown nor used.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// What kind of reason it is.
    pub code: Code,
    /// The rules that say so.
    pub why: Arc<str>,
}

impl Blocked {
    /// The refusal of a call of what has this name.
    #[must_use]
    pub fn refusal(&self, name: &str) -> Refusal {
        let why = match self.code {
            Code::NameRefused => "is refused, for its name or that of its server",
            _ => "cannot be used: its definition holds what a rule blocks",
        };
        Refusal::new(self.code, format!("{name:?} {why} ({}).", self.why))
    }
}

impl Judged {
    /// Judges a definition by what its server's settings ask for, and by what was found about its name.
    #[must_use]
    pub fn of(inspecting: &Inspecting, shelf: &Shelf, (raw, named): (Raw, Findings)) -> Judged {
        let server = &shelf.server().entry().name;
        let measures = inspecting.measures(server, Place::Definition);
        let mut outcome = inspecting.inspection.message(&raw, &measures);
        outcome.findings.extend(named);
        if outcome.findings.is_empty() {
            return Judged { raw, blocked: None };
        }
        shelf.tell_planted(&outcome.findings, |server| format!("what {server} declares"));
        let line = outcome.findings.line();
        let name = raw.members().and_then(|raw| raw.string("name").or_else(|| raw.string("uri")));
        let name: String = name.unwrap_or_default().chars().take(64).collect();
        if let Some(blocking) = outcome.findings.blocking() {
            tracing::warn!(server = %server, item = ?name, found = %line, "a definition is blocked");
            let code =
                if blocking.class == Class::Name { Code::NameRefused } else { Code::DefinitionBlocked };
            let why = if code == Code::NameRefused { by_rule(blocking) } else { line.into() };
            return Judged { raw: Raw::EMPTY_OBJECT, blocked: Some(Blocked { code, why }) };
        }
        tracing::debug!(server = %server, item = ?name, found = %line, "a definition is flagged");
        Judged { raw: noted(outcome.message, &outcome.findings), blocked: None }
    }
}

/// Which rule refuses a name. How often and how sure is for the log: a caller can do nothing with it.
pub(super) fn by_rule(blocking: &Finding) -> Arc<str> {
    format!("rule {}", blocking.rule).into()
}

/// The object with a note of what was found in it.
pub(crate) fn noted(raw: Raw, findings: &Findings) -> Raw {
    let Some(members) = raw.members().filter(|_| !findings.is_empty()) else { return raw };
    let meta = members.object("_meta").unwrap_or_else(Members::empty);
    members.edit().set("_meta", meta.edit().set(NOTE, findings.note()).finish()).finish()
}
