//! The table, as it is printed and as it stands in SPECIFICATION.md.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::statistics::{Rounds, Shown};
use crate::environment;

/// Between these lines of SPECIFICATION.md the table stands.
const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// Without the gateway, where that means something.
    pub(crate) direct: Rounds,
    /// Through it.
    pub(crate) through: Rounds,
    /// How the two are put beside each other, or what stands alone.
    pub(crate) verdict: Verdict,
}

/// What a row is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// Through minus direct, and the most it may be.
    Added(Option<f64>),
    /// Through divided by direct, and the least it may be.
    Part(Option<f64>),
    /// Through divided by direct, and the most it may be.
    Times(f64),
    /// The number itself, and the most it may be.
    AtMost(f64),
    /// The number itself, and the least it may be.
    AtLeast(f64),
    /// The number itself, for knowledge.
    Plain,
}

impl Row {
    /// A row about something that has no counterpart without the gateway.
    pub(crate) fn alone(what: &str, unit: &'static str, through: Rounds, verdict: Verdict) -> Row {
        Row { what: what.to_owned(), unit, direct: Rounds::default(), through, verdict }
    }

    /// The number that the goal is about.
    fn judged(&self) -> f64 {
        match self.verdict {
            Verdict::Added(_) => self.through.median() - self.direct.median(),
            Verdict::Part(_) | Verdict::Times(_) => self.through.median() / self.direct.median(),
            Verdict::AtMost(_) | Verdict::AtLeast(_) | Verdict::Plain => self.through.median(),
        }
    }

    fn goal(&self) -> String {
        let reached = |holds: bool| if holds { "reached" } else { "**missed**" };
        let judged = self.judged();
        match self.verdict {
            Verdict::Added(Some(most)) | Verdict::AtMost(most) => {
                format!("≤ {}: {}", Shown(most), reached(judged <= most))
            }
            Verdict::Part(Some(least)) => format!("≥ {} ×: {}", Shown(least), reached(judged >= least)),
            Verdict::Times(most) => format!("≤ {} ×: {}", Shown(most), reached(judged <= most)),
            Verdict::AtLeast(least) => format!("≥ {}: {}", Shown(least), reached(judged >= least)),
            Verdict::Added(None) | Verdict::Part(None) | Verdict::Plain => String::new(),
        }
    }

    fn compared(&self) -> String {
        match self.verdict {
            Verdict::Added(_) => format!("+ {}", Shown(self.judged())),
            Verdict::Part(_) | Verdict::Times(_) => format!("{} ×", Shown(self.judged())),
            Verdict::AtMost(_) | Verdict::AtLeast(_) | Verdict::Plain => String::new(),
        }
    }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | unit | direct | through Casemate | | goal |\n");
    text.push_str("| --- | --- | ---: | ---: | ---: | --- |\n");
    for row in rows {
        let Row { what, unit, direct, through, .. } = row;
        let (direct, through) = (cell(direct), cell(through));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {what} | {unit} | {direct} | {through} | {} | {} |",
            row.compared(),
            row.goal()
        );
    }
    text
}

/// Replaces what stands between the markers of SPECIFICATION.md.
pub(crate) fn write(text: &str) -> Result<()> {
    let path = environment::root().join("SPECIFICATION.md");
    let old = fs::read_to_string(&path).context("cannot read SPECIFICATION.md")?;
    let new = replaced(&old, text).context("SPECIFICATION.md has no bench:begin and bench:end markers")?;
    fs::write(&path, new).context("cannot write SPECIFICATION.md")
}

fn replaced(old: &str, text: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", text.trim_end()))
}

fn cell(rounds: &Rounds) -> String {
    if rounds.is_empty() {
        return String::new();
    }
    let (least, most) = rounds.range();
    format!("{} ({}–{})", Shown(rounds.median()), Shown(least), Shown(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(direct: &[f64], through: &[f64], verdict: Verdict) -> Row {
        let rounds = |values: &[f64]| values.iter().copied().collect();
        Row { what: "calls".into(), unit: "µs", direct: rounds(direct), through: rounds(through), verdict }
    }

    #[test]
    fn a_row_says_whether_its_goal_is_reached() {
        let added = |most| row(&[20.0], &[130.0, 150.0, 110.0], Verdict::Added(Some(most)));
        assert!(table(&[added(120.0)]).contains("| + 110 | ≤ 120: reached |"));
        assert!(table(&[added(100.0)]).contains("| + 110 | ≤ 100: **missed** |"));
        assert!(
            table(&[row(&[10.0], &[5.0], Verdict::Part(Some(0.6)))])
                .contains("| 0.50 × | ≥ 0.60 ×: **missed** |")
        );
        let times = |most| row(&[100.0], &[120.0], Verdict::Times(most));
        assert!(table(&[times(1.3)]).contains("| 1.20 × | ≤ 1.30 ×: reached |"));
        assert!(table(&[times(1.1)]).contains("| ≤ 1.10 ×: **missed** |"));
        assert!(
            table(&[row(&[], &[5.0], Verdict::AtLeast(4.0))])
                .contains("|  | 5.00 (5.00–5.00) |  | ≥ 4.00: reached |")
        );
        assert!(
            table(&[row(&[], &[f64::NAN], Verdict::AtMost(4.0))]).contains("missed"),
            "no number is no success"
        );
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let old = format!("a\n{BEGIN}\nold\n{END}\nz\n");
        assert_eq!(replaced(&old, "new\n"), Some(format!("a\n{BEGIN}\nnew\n{END}\nz\n")));
        assert_eq!(replaced("a", "new"), None);
    }
}
