//! `cargo xtask scorecard`: how often the rules of inspection are right, over texts that are not in this repository.
//!
//! Texts come from files that are named, or from a package of PyPI that is pinned here; definitions of tools from files, or
//! from the real servers that tests install. What is printed is what SPECIFICATION.md repeats.

mod servers;
mod texts;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::console::say;
use crate::process;

use texts::Text;

/// What to count over.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Texts for the signals: JSON lines with `text` and `label` (malicious or benign, or true or false)
    #[arg(long)]
    texts: Vec<PathBuf>,
    /// Texts for the rules about secrets, in the same form
    #[arg(long)]
    secrets: Vec<PathBuf>,
    /// Folders with lists of tools, as `tools/list` answers, in files that end in .json
    #[arg(long)]
    definitions: Vec<PathBuf>,
}

/// What a rule found in a text.
#[derive(Debug, Deserialize)]
struct Found {
    rule: String,
    class: String,
    severity: String,
}

/// Counts and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let mut sets = Vec::new();
    for path in &options.texts {
        sets.push((path.display().to_string(), texts::read(path)?));
    }
    if sets.is_empty() {
        sets.push((texts::PACKAGE.to_owned(), texts::fetched(&cache)?));
    }
    for (name, texts) in &sets {
        let found = judged("result", texts.iter().map(|text| text.text.as_str()))?;
        scores(&format!("signals, {name}"), ("signal", texts), &found);
    }
    for path in &options.secrets {
        let texts = texts::read(path)?;
        let found = judged("result", texts.iter().map(|text| text.text.as_str()))?;
        scores(&format!("secrets, {}", path.display()), ("secret", &texts), &found);
    }
    let mut definitions = Vec::new();
    for folder in &options.definitions {
        definitions.extend(texts::definitions(folder)?);
    }
    if options.definitions.is_empty() {
        definitions.extend(servers::definitions(&cache)?);
    }
    let found = judged("definition", definitions.iter().map(String::as_str))?;
    alarms(&definitions, &found);
    Ok(())
}

/// What the rules find in each text.
fn judged<'a>(place: &str, texts: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Found>>> {
    #[derive(Serialize)]
    struct Asked<'a> {
        place: &'a str,
        text: &'a str,
    }
    let lines: Vec<String> =
        texts.map(|text| serde_json::to_string(&Asked { place, text })).collect::<Result<_, _>>()?;
    let options = ["run", "--quiet", "--locked", "--package", "casemate-inspect", "--example", "judge"];
    let mut command = process::cargo();
    command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start the judge")?;
    let mut input = child.stdin.take().context("the judge has no input")?;
    let text = lines.join("\n") + "\n";
    // Written beside the reading: a pipe holds less than all of it.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().context("the judge was lost")?;
    writer.join().map_err(|_| anyhow::anyhow!("nobody wrote to the judge"))??;
    anyhow::ensure!(output.status.success(), "the judge ended with {}", output.status);
    let printed =
        String::from_utf8(output.stdout).context("the judge printed something that is not UTF-8")?;
    printed
        .lines()
        .map(|line| serde_json::from_str(line).context("the judge printed something else"))
        .collect()
}

/// Prints precision and recall, for all severities and for the high one alone.
fn scores(what: &str, (class, texts): (&str, &[Text]), found: &[Vec<Found>]) {
    say(format_args!(
        "\n{what}: {} texts, {} of them bad",
        texts.len(),
        texts.iter().filter(|t| t.is_bad).count()
    ));
    say(
        "| severity | caught | missed | false alarms | precision | recall |\n| --- | ---: | ---: | ---: | ---: | ---: |",
    );
    for least in ["low", "medium", "high"] {
        let counts = Counts::of(texts, found, |finding| {
            finding.class == class && rank(&finding.severity) >= rank(least)
        });
        say(counts.row(least));
    }
    let mut rules: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (text, found) in texts.iter().zip(found) {
        for finding in found.iter().filter(|finding| finding.class == class) {
            let counts = rules.entry(&finding.rule).or_default();
            if text.is_bad { counts.0 += 1 } else { counts.1 += 1 }
        }
    }
    let rules: Vec<String> = rules.iter().map(|(rule, (bad, good))| format!("{rule} {bad}/{good}")).collect();
    say(format_args!("bad/good by rule: {}", rules.join(", ")));
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    caught: usize,
    missed: usize,
    alarms: usize,
}

impl Counts {
    fn of(texts: &[Text], found: &[Vec<Found>], counts: impl Fn(&Found) -> bool) -> Counts {
        let mut all = Counts::default();
        for (text, found) in texts.iter().zip(found) {
            match (text.is_bad, found.iter().any(&counts)) {
                (true, true) => all.caught += 1,
                (true, false) => all.missed += 1,
                (false, true) => all.alarms += 1,
                (false, false) => {}
            }
        }
        all
    }

    fn row(&self, name: &str) -> String {
        let percent = |part: usize, rest: usize| match part + rest {
            0 => "–".to_owned(),
            all => format!("{:.0} %", 100.0 * part as f64 / all as f64),
        };
        let Counts { caught, missed, alarms } = *self;
        format!(
            "| {name} and above | {caught} | {missed} | {alarms} | {} | {} |",
            percent(caught, alarms),
            percent(caught, missed)
        )
    }
}

fn rank(severity: &str) -> usize {
    ["low", "medium", "high"].iter().position(|known| *known == severity).unwrap_or(0)
}

/// Prints how many honest definitions something is found in.
fn alarms(definitions: &[String], found: &[Vec<Found>]) {
    say(format_args!("\nfalse alarms over {} real definitions of tools", definitions.len()));
    for class in ["hidden", "secret", "signal"] {
        let of = |found: &&Vec<Found>| found.iter().any(|finding| finding.class == class);
        let rules: Vec<&str> =
            found.iter().flatten().filter(|f| f.class == class).map(|f| f.rule.as_str()).collect();
        say(format_args!("- {class}: {} ({})", found.iter().filter(of).count(), rules.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_textbook() {
        let text = |is_bad| Text { text: String::new(), is_bad };
        let texts = [text(true), text(true), text(false), text(false)];
        let hit = || vec![Found { rule: "r".into(), class: "signal".into(), severity: "low".into() }];
        let counts = Counts::of(&texts, &[hit(), vec![], hit(), vec![]], |_| true);
        assert_eq!(counts, Counts { caught: 1, missed: 1, alarms: 1 });
        assert_eq!(counts.row("low"), "| low and above | 1 | 1 | 1 | 50 % | 50 % |");
        assert!(Counts::default().row("low").ends_with("| – | – |"));
    }
}
