//! What is looked for in what passes through: secrets, packs of rules, and each server's settings.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use casemate_gateway::snapshot::Inspecting;
use casemate_inspect::{Inspection, Measure, Pack, Personal, Policy, SECRET_BYTES_MIN, Secret};
use casemate_mcp::names::ServerName;
use secrecy::{ExposeSecret, SecretString};

use super::Compiler;
use crate::problem::Fault;
use crate::reader::Scope;

impl Compiler<'_> {
    /// What is looked for. References to secrets have been followed before.
    pub(super) fn inspecting(&mut self) -> Inspecting {
        let packs = self.packs();
        let inspection = Arc::new(Inspection::new(&self.secrets, &packs));
        let scope = self.scope("servers");
        let named = scope.names().into_iter().filter_map(|name| Some((ServerName::parse(name).ok()?, name)));
        let policies = named.map(|(server, name)| (server, policy(&scope.child(name).below("inspect"))));
        let policies = policies.collect();
        let guards = self.guards();
        Inspecting { inspection, policies, guards, ..Inspecting::default() }
    }

    /// Remembers a secret that a server is given, so that it is masked wherever it shows up.
    pub(super) fn remember(&mut self, key: &str, value: &SecretString) {
        match Secret::new(value.expose_secret()) {
            Some(secret) => self.secrets.push(secret),
            None => self.remarks.push(format!(
                "the secret of {key} has fewer than {SECRET_BYTES_MIN} bytes: it is not masked in results, records and \
                 logs, since so short a text stands there by chance"
            )),
        }
    }

    fn packs(&mut self) -> Vec<Pack> {
        let scope = self.scope("inspect");
        let mut packs = Vec::new();
        for path in scope.words("packs").unwrap_or_default() {
            let read = self.source.read_rules(Path::new(&path.text));
            let text = match read {
                Ok(text) => text,
                Err(error) => {
                    let what = format!("the rules in {} cannot be read: {error}", path.text);
                    self.refuse(path.origin.clone(), Fault::new(what).hint("name a file, or leave it out"));
                    continue;
                }
            };
            match Pack::parse(&text) {
                Ok(pack) => {
                    self.remarks.extend(pack.remarks.iter().map(|remark| format!("{}: {remark}", path.text)));
                    packs.push(pack);
                }
                Err(fault) => {
                    let what = format!("the rules in {} cannot be used: {fault}", path.text);
                    let hint = "docs/inspection.md has the format; patterns are those of Rust's regex crate";
                    self.refuse(path.origin.clone(), Fault::new(what).hint(hint));
                }
            }
        }
        packs
    }
}

fn policy(at: &Scope<'_>) -> Policy {
    let default = Policy::default();
    let measure = |key: &str, otherwise: Measure| match at.text(key) {
        Some("off") => Measure::Off,
        Some("flag") => Measure::Flag,
        Some("remove" | "mask") => Measure::Clean,
        Some("block") => Measure::Block,
        _ => otherwise,
    };
    let personal = at.texts("personal").unwrap_or_default();
    Policy {
        hidden: measure("hidden", default.hidden),
        secrets: measure("secrets", default.secrets),
        arguments: measure("arguments", default.arguments),
        personal: personal.iter().filter_map(|kind| Personal::parse(kind)).collect(),
        personal_found: measure("personal_found", default.personal_found),
        signals: measure("signals", default.signals),
        definitions: measure("definitions", default.definitions),
        names: measure("names", default.names),
        output: measure("output", default.output),
    }
}
