//! What a person demands of a tool's parameters beyond its schema: paths within folders, addresses of hosts, SQL that only
//! reads, and texts of a certain form.
//!
//! A guard looks at text alone. What a server makes of it, and what lies behind a path or a name, it does not know.

mod address;
mod path;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use casemate_mcp::json::Raw;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

pub use address::{HostFault, Hosts};
pub use path::Roots;

/// Stands for every tool of a server.
pub const EVERY_TOOL: &str = "*";

/// The largest pattern once it is compiled, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Texts of one parameter that are looked at. An argument with more is refused.
const TEXTS_MAX: usize = 10_000;

/// One demand.
#[derive(Debug, Clone)]
pub enum Guard {
    /// It is an absolute path within one of these folders.
    Within(Roots),
    /// It is an address of one of these hosts.
    Hosts(Hosts),
    /// It cannot be taken for an option.
    NoLeadingDash,
    /// It is one SQL statement that reads.
    ReadOnlySql,
    /// It has so many characters at most.
    Length(usize),
    /// As a whole it fits this pattern.
    Pattern(Regex),
}

impl Guard {
    /// A guard that texts fit a pattern from their beginning to their end, in linear time.
    ///
    /// # Errors
    /// Why it is no pattern.
    pub fn pattern(pattern: &str) -> Result<Guard, String> {
        let build = |text: &str| RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
        // Alone first, so that nothing in it reaches around what is put around it.
        build(pattern)
            .and_then(|_| build(&format!(r"\A(?:{pattern})\z")))
            .map(Guard::Pattern)
            .map_err(|why| why.to_string())
    }

    fn judge(&self, text: &str) -> Result<(), String> {
        match self {
            Guard::Within(roots) => roots.judge(text).map_err(str::to_owned),
            Guard::Hosts(hosts) => hosts.judge(text),
            Guard::NoLeadingDash => match text.trim_start().starts_with('-') {
                true => Err("it begins with a dash and could be taken for an option".to_owned()),
                false => Ok(()),
            },
            Guard::ReadOnlySql => sql::judge(text),
            Guard::Length(max) if text.chars().nth(*max).is_some() => {
                Err(format!("it has more than {max} characters"))
            }
            Guard::Length(_) => Ok(()),
            Guard::Pattern(pattern) if pattern.is_match(text) => Ok(()),
            Guard::Pattern(_) => Err("it does not have the form that is demanded".to_owned()),
        }
    }
}

/// Which argument is meant: the name of one, or a way into it, `/files/*/path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot(Vec<Box<str>>);

impl Spot {
    /// Reads a name, or a way that begins with a slash. A star stands for every element of a list.
    #[must_use]
    pub fn parse(text: &str) -> Spot {
        match text.strip_prefix('/') {
            Some(way) => {
                Spot(way.split('/').map(|step| step.replace("~1", "/").replace("~0", "~").into()).collect())
            }
            None => Spot(vec![text.into()]),
        }
    }

    /// The values there.
    fn find<'a>(&self, arguments: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![arguments];
        for step in &self.0 {
            found = found
                .into_iter()
                .flat_map(|value| match value {
                    Value::Object(members) => members.get(&**step).into_iter().collect(),
                    Value::Array(list) if &**step == "*" => list.iter().collect(),
                    Value::Array(list) => {
                        step.parse().ok().and_then(|at: usize| list.get(at)).into_iter().collect()
                    }
                    _ => Vec::new(),
                })
                .collect();
        }
        found
    }

    /// Whether a schema speaks of it. A schema that says it in other ways than `properties` and `items` is believed.
    fn is_in(&self, schema: &Value) -> bool {
        let mut at = schema;
        for step in &self.0 {
            let is_plain = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"]
                .iter()
                .all(|word| at.get(word).is_none());
            let next = match &**step {
                "*" => at.get("items"),
                step => at.get("properties").and_then(|properties| properties.get(step)),
            };
            match next {
                Some(next) => at = next,
                None => return !is_plain,
            }
        }
        true
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [name] => f.write_str(name),
            steps => steps.iter().try_for_each(|step| write!(f, "/{step}")),
        }
    }
}

/// What is demanded of the parameters of one server's tools.
#[derive(Debug, Clone, Default)]
pub struct Guards(BTreeMap<String, Vec<(Spot, Vec<Guard>)>>);

/// An argument that a guard refuses. It tells nothing of the argument but where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which argument.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

impl Guards {
    /// Adds what is demanded of one argument of a tool, or of every tool.
    pub fn add(&mut self, tool: &str, spot: Spot, guards: Vec<Guard>) {
        self.0.entry(tool.to_owned()).or_default().push((spot, guards));
    }

    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds the arguments of a call against what is demanded. Every text at or below a guarded place is judged; numbers and
    /// the like are no texts and pass, and so does what is absent.
    ///
    /// # Errors
    /// The first breach.
    pub fn judge(&self, tool: &str, arguments: &Raw) -> Result<(), Breach> {
        let mut guarded = self.of(tool).peekable();
        if guarded.peek().is_none() {
            return Ok(());
        }
        let unreadable = |_| Breach { place: "arguments".to_owned(), why: "they cannot be read".to_owned() };
        let arguments: Value = arguments.parse().map_err(unreadable)?;
        for (spot, guards) in guarded {
            let breach = |why: String| Breach { place: spot.to_string(), why };
            let mut texts = Vec::new();
            spot.find(&arguments).into_iter().for_each(|value| gather(value, &mut texts));
            if texts.len() > TEXTS_MAX {
                return Err(breach(format!("it holds more than {TEXTS_MAX} texts")));
            }
            for (guard, text) in guards.iter().flat_map(|guard| texts.iter().map(move |text| (guard, text))) {
                guard.judge(text).map_err(breach)?;
            }
        }
        Ok(())
    }

    /// The guarded arguments that a tool's schema does not have: slips of whoever wrote the guards.
    #[must_use]
    pub fn unknown(&self, tool: &str, schema: &Value) -> Vec<String> {
        let named = self.0.get(tool).into_iter().flatten();
        named.filter(|(spot, _)| !spot.is_in(schema)).map(|(spot, _)| spot.to_string()).collect()
    }

    /// The tools that guards name.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|tool| *tool != EVERY_TOOL)
    }

    fn of(&self, tool: &str) -> impl Iterator<Item = &(Spot, Vec<Guard>)> {
        [tool, EVERY_TOOL].into_iter().filter_map(|tool| self.0.get(tool)).flatten()
    }
}

/// Every text of a value, names of members included. The depth of a checked text is bounded, and with it this recursion.
fn gather<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(list) => list.iter().for_each(|inner| gather(inner, texts)),
        Value::Object(members) => {
            for (name, inner) in members {
                texts.push(name);
                gather(inner, texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
