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
];

impl Wordless {
    /// Its row in the document.
    pub(crate) fn row(self) -> String {
        let checks: Vec<String> = self.checks.iter().map(|check| format!("`{check}`")).collect();
        format!("| {} | {} |", checks.join(", "), self.why)
    }
}
