//! What the suite wrote down of one run, held against what has to pass.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::wordless::Wordless;

/// The failures of one run.
#[derive(Debug)]
pub(super) struct Report {
    /// Whether the suite says that all that is required passed.
    status: ExitStatus,
    failures: Vec<Failure>,
}

/// A check that failed.
#[derive(Debug)]
struct Failure {
    /// The folder of its scenario's run, which begins with the scenario's name.
    scenario: String,
    check: String,
    /// All that the suite says of it.
    said: String,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every check passed that the server has words for, and no other.
    Passed,
    /// What is required passed, and something else did not.
    Beyond,
    /// Something that is required did not pass, or a check passed that cannot.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Passed => "passed",
            Verdict::Beyond => "FAILED beyond what is required",
            Verdict::Failed => "FAILED",
        })
    }
}

impl Report {
    /// Reads what the suite wrote into a folder.
    pub(super) fn read(folder: &Path, status: ExitStatus) -> Result<Report> {
        let mut failures = Vec::new();
        for entry in fs::read_dir(folder).context("the suite wrote no reports")? {
            let entry = entry?;
            let Ok(text) = fs::read_to_string(entry.path().join("checks.json")) else { continue };
            let checks: Vec<Value> = serde_json::from_str(&text).context("a report is no list of checks")?;
            let failed = checks.iter().filter(|check| check.get("status").is_some_and(|is| is == "FAILURE"));
            failures.extend(failed.map(|check| Failure {
                scenario: entry.file_name().to_string_lossy().into_owned(),
                check: check.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                said: format!("{check:#}"),
            }));
        }
        Ok(Report { status, failures })
    }

    /// Judges it, and says what is wrong.
    pub(super) fn verdict(&self, required: &[String], wordless: &[Wordless]) -> (Verdict, Vec<String>) {
        let failed: BTreeSet<&str> = self.failures.iter().map(|failure| failure.check.as_str()).collect();
        let all: BTreeSet<&str> = wordless.iter().flat_map(|some| some.checks).copied().collect();
        let stale = all.difference(&failed);
        let stale: Vec<String> = stale
            .map(|check| format!("{check} passes now: take it out of the list of those that cannot"))
            .collect();
        let is_listed = |failure: &&Failure| all.contains(failure.check.as_str());
        let (listed, others): (Vec<&Failure>, Vec<&Failure>) = self.failures.iter().partition(is_listed);
        let is_required = |failure: &&&Failure| required.iter().any(|name| failure.is_of(name));
        let verdict = match (others.iter().find(is_required), others.is_empty()) {
            (Some(_), _) => Verdict::Failed,
            // It ended early, or failed in a way that it wrote nothing about.
            (None, true) if !self.status.success() && listed.is_empty() => Verdict::Failed,
            (None, true) if !stale.is_empty() => Verdict::Failed,
            (None, true) => Verdict::Passed,
            (None, false) => Verdict::Beyond,
        };
        (verdict, others.into_iter().map(|failure| failure.said.clone()).chain(stale).collect())
    }
}

impl Failure {
    /// Whether it is one of this scenario; the suite's folders are named `server-SCENARIO-TIME`.
    fn is_of(&self, scenario: &str) -> bool {
        let name = self.scenario.strip_prefix("server-").unwrap_or(&self.scenario);
        let rest = name.strip_prefix(scenario).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const LISTED: &[Wordless] = &[Wordless { checks: &["wordless"], why: "" }];

    fn verdict(succeeded: bool, failed: &[(&str, &str)], wordless: &[Wordless]) -> Verdict {
        let failure = |(scenario, check): &(&str, &str)| Failure {
            scenario: (*scenario).to_owned(),
            check: (*check).to_owned(),
            said: String::new(),
        };
        let status = ExitStatus::from_raw(i32::from(!succeeded) << 8);
        let report = Report { status, failures: failed.iter().map(failure).collect() };
        report.verdict(&["tools".to_owned(), "tools-call".to_owned()], wordless).0
    }

    #[test]
    fn exactly_the_listed_checks_have_to_fail() {
        let listed = ("server-tools-call-2026-11-29T00-00-00", "wordless");
        let required = ("server-tools-call-2026-11-29T00-00-00", "other");
        let beyond = ("server-more-tools-2026-11-29T00-00-00", "other");
        assert_eq!(verdict(true, &[], &[]), Verdict::Passed);
        assert_eq!(verdict(false, &[], &[]), Verdict::Failed, "it ended early");
        assert_eq!(verdict(false, &[listed], LISTED), Verdict::Passed);
        assert_eq!(verdict(true, &[], LISTED), Verdict::Failed, "what cannot pass passed");
        assert_eq!(verdict(false, &[listed], &[]), Verdict::Failed);
        assert_eq!(verdict(false, &[listed, required], LISTED), Verdict::Failed);
        assert_eq!(verdict(false, &[listed, beyond], LISTED), Verdict::Beyond);
        assert_eq!(verdict(true, &[beyond], &[]), Verdict::Beyond);
    }
}
