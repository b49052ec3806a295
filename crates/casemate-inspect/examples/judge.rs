//! Says what the rules find in texts: a JSON object with `place` and `text` per line of input, a list of what was found per line
//! of output. `cargo xtask scorecard` counts with it.

use std::io::{self, BufRead, Write};

use casemate_inspect::{Class, Inspection, Measure, Place, Policy};
use serde_json::{Value, json};

fn main() -> io::Result<()> {
    let inspection = Inspection::default();
    let policy = Policy { secrets: Measure::Flag, definitions: Measure::Flag, ..Policy::default() };
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let asked: Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
        let text = asked.get("text").and_then(Value::as_str).unwrap_or_default();
        let is_definition = asked.get("place").is_some_and(|place| place == "definition");
        let place = if is_definition { Place::Definition } else { Place::Result };
        let found = inspection.text(text, &policy.at(place)).findings;
        let each = found.iter().map(|finding| {
            let class = match finding.class {
                Class::Hidden => "hidden",
                Class::Signal | Class::Markup => "signal",
                _ => "secret",
            };
            json!({ "rule": &*finding.rule, "class": class, "severity": finding.severity.as_str() })
        });
        writeln!(out, "{}", Value::from(each.collect::<Vec<_>>()))?;
    }
    Ok(())
}
