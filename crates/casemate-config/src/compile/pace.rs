//! `[limits]`, `[approvals]`, `[questions]`, `[spool]`, and what roles, servers and tools have in place of what holds for all.

use casemate_gateway::snapshot::{
    Allowance, ApprovalLimits, Exception, Oversized, Pace, QuestionLimits, ResultLimits,
};
use casemate_mcp::names::{RoleName, ServerName, ToolName};

use super::Compiler;
use crate::reader::Scope;

impl Compiler<'_> {
    pub(super) fn pace(&self) -> Pace {
        let at = self.scope("limits");
        let default = Pace::default();
        let allowance = |name: &str, default: Allowance| Allowance {
            rate: at.rate(&format!("{name}_rate")).unwrap_or(default.rate),
            budget: at.count(&format!("{name}_budget")).unwrap_or(default.budget),
        };
        let mut pace = Pace {
            address: at.rate("address_rate").unwrap_or(default.address),
            attempts: at.rate("attempts").unwrap_or(default.attempts),
            subject: allowance("subject", default.subject),
            key: allowance("key", default.key),
            server: at.rate("server_rate").unwrap_or(default.server),
            tool: allowance("tool", default.tool),
            refusals: self.scope("quarantine").rate("refusals").unwrap_or(default.refusals),
            ..default
        };
        for (id, exception) in exceptions(&at.below("keys")) {
            pace.keys.insert(id.into(), exception);
        }
        let roles = self.scope("roles");
        for (name, exception) in exceptions(&roles) {
            if let Ok(role) = RoleName::parse(name) {
                pace.roles.insert(role, exception);
            }
        }
        let servers = self.scope("servers");
        for name in servers.names() {
            let Ok(server) = ServerName::parse(name) else { continue };
            let at = servers.child(name);
            if let Some(exception) = exception(&at) {
                pace.servers.insert(server.clone(), exception);
            }
            for (tool, exception) in exceptions(&at.below("tools")) {
                if let Ok(tool) = ToolName::parse(tool) {
                    pace.tools.insert((server.clone(), tool), exception);
                }
            }
        }
        pace
    }

    pub(super) fn approvals(&self) -> ApprovalLimits {
        let at = self.scope("approvals");
        let default = ApprovalLimits::default();
        ApprovalLimits {
            wait_max: at.time("wait").unwrap_or(default.wait_max),
            expire_after: at.time("expire").unwrap_or(default.expire_after),
            waiting_max: at.number("waiting").unwrap_or(default.waiting_max),
        }
    }

    pub(super) fn questions(&self) -> QuestionLimits {
        let at = self.scope("questions");
        let default = QuestionLimits::default();
        QuestionLimits {
            time_max: at.time("time").unwrap_or(default.time_max),
            parked_max: at.number("waiting").unwrap_or(default.parked_max),
            parked_all_max: at.number("waiting_all").unwrap_or(default.parked_all_max),
            rounds_max: at
                .number("rounds")
                .and_then(|rounds| rounds.try_into().ok())
                .unwrap_or(default.rounds_max),
        }
    }

    pub(super) fn results(&self) -> ResultLimits {
        let at = self.scope("spool");
        let default = ResultLimits::default();
        let whole = at.text("oversized") == Some("whole");
        ResultLimits {
            oversized: if whole { Oversized::Whole } else { Oversized::Link },
            text_max: at.number("over").unwrap_or(default.text_max),
            media_max: at.number("media").unwrap_or(default.media_max),
            preview_chars: at.number("preview").unwrap_or(default.preview_chars),
            subject_bytes_max: at.count("quota").unwrap_or(default.subject_bytes_max),
            total_bytes_max: at.count("total").unwrap_or(default.total_bytes_max),
            life: at.time("life").unwrap_or(default.life),
        }
    }
}

fn exceptions<'a>(scope: &Scope<'a>) -> Vec<(&'a str, Exception)> {
    let of = |name: &'a str| exception(&scope.child(name)).map(|exception| (name, exception));
    scope.names().into_iter().filter_map(of).collect()
}

fn exception(at: &Scope<'_>) -> Option<Exception> {
    let exception = Exception { rate: at.rate("rate"), budget: at.count("budget") };
    (exception != Exception::default()).then_some(exception)
}
