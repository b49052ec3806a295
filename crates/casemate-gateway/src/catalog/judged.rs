//! A definition under the inspection: what of it may be shown.

use std::sync::Arc;

use casemate_inspect::{Findings, Place};
use casemate_mcp::json::{Members, Raw};

use super::Shelf;
use crate::snapshot::Inspecting;

/// The member of `_meta` in which clients are told what was found in a definition or a result.
pub(crate) const NOTE: &str = "io.casemate/inspection";

/// What may be shown of a definition.
#[derive(Debug)]
pub struct Judged {
    /// The definition, without secrets and with a note where something was found; the same bytes otherwise.
    pub raw: Raw,
    /// Why it is not shown at all.
    pub blocked: Option<Arc<str>>,
}

impl Judged {
    /// Judges a definition by what its server's settings ask for.
    #[must_use]
    pub fn of(inspecting: &Inspecting, shelf: &Shelf, raw: Raw) -> Judged {
        let server = &shelf.server().entry().name;
        let measures = inspecting.measures(server, Place::Definition);
        let outcome = inspecting.inspection.message(&raw, &measures);
        if outcome.findings.is_empty() {
            return Judged { raw, blocked: None };
        }
        shelf.tell_planted(&outcome.findings, |server| format!("what {server} declares"));
        let line = outcome.findings.line();
        let name = raw.members().and_then(|raw| raw.string("name").or_else(|| raw.string("uri")));
        let name: String = name.unwrap_or_default().chars().take(64).collect();
        if outcome.findings.blocking().is_some() {
            tracing::warn!(server = %server, item = ?name, found = %line, "a definition is blocked");
            return Judged { raw: Raw::EMPTY_OBJECT, blocked: Some(line.into()) };
        }
        tracing::debug!(server = %server, item = ?name, found = %line, "a definition is flagged");
        Judged { raw: noted(outcome.message, &outcome.findings), blocked: None }
    }
}

/// The object with a note of what was found in it.
pub(crate) fn noted(raw: Raw, findings: &Findings) -> Raw {
    let Some(members) = raw.members().filter(|_| !findings.is_empty()) else { return raw };
    let meta = members.object("_meta").unwrap_or_else(Members::empty);
    members.edit().set("_meta", meta.edit().set(NOTE, findings.note()).finish()).finish()
}
