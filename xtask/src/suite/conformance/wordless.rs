//! The checks that a translation cannot pass, since the other era has no words for what they want. The list is exact: a check
//! of it that passes fails the step, as does one that fails and is not in it. docs/conformance.md repeats it, and
//! `cargo xtask tidy` compares them.

/// Some of them, for one reason.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wordless {
    /// The suite's ids of the checks.
    pub(crate) checks: &'static [&'static str],
    /// Why the other era has no words for them.
    pub(crate) why: &'static str,
}

/// The modern suite with a legacy server behind the gateway.
pub(crate) const MODERN_ON_LEGACY: &[Wordless] = &[
    Wordless {
        checks: &["sep-2322-elicitation-incomplete"],
        why: "It wants the question under the name `user_name`. The question of a legacy server is a request, and has no name but \
              its id.",
    },
    Wordless {
        checks: &["sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"],
        why: "`-32021` is an error of the modern era. A legacy server that looks at what was declared, and therefore asks \
              nothing, says why in a result of its own, which is relayed. For one that asks all the same and then fails, \
              the gateway answers with `-32021`.",
    },
    Wordless {
        checks: &[
            "sep-2663-cancel-ack-empty-result",
            "sep-2663-durable-create-strong-consistency",
            "sep-2663-mrtr-synchronous-before-task-creation",
            "sep-2663-result-type-task-on-create",
            "sep-2663-routing-headers-accepted-on-tasks-get",
            "sep-2663-server-rejects-mismatched-mcp-name-on-tasks-get",
            "sep-2663-server-returns-missing-capability-when-required",
            "sep-2663-tasks-get-status-completed",
            "sep-2663-tasks-get-status-failed",
            "sep-2663-tasks-get-status-input-required",
            "sep-2663-tasks-get-status-working",
            "sep-2663-tool-error-uses-completed-status",
            "tasks-cancel-terminal-idempotent-ack",
            "tasks-extension-advertised",
            "tasks-mrtr-partial-fulfillment",
            "tasks-mrtr-tasks-update-resumes",
            "tasks-no-early-ttl-expiry",
            "tasks-no-related-task-meta-on-inlined-result",
            "tasks-per-request-meta-opt-in",
            "tasks-request-state-removal-setup",
            "tasks-result-type-complete-on-non-task-responses",
            "tasks-server-directed-creation-no-hint",
            "tasks-wire-field-renames",
        ],
        why: "The extension is declared in `server/discover`, which a legacy server does not have.",
    },
];

impl Wordless {
    /// Its row in the document.
    pub(crate) fn row(self) -> String {
        let checks: Vec<String> = self.checks.iter().map(|check| format!("`{check}`")).collect();
        format!("| {} | {} |", checks.join(", "), self.why)
    }
}
