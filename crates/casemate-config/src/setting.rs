//! The table of settings: the one place that says what can be configured.
//!
//! The reader, the JSON Schema, docs/config.md, the environment variables and `config explain` all follow from
//! it, so that none of them can know a key that another does not.

mod table;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use table::settings;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its key, dotted. A segment in capitals stands for a name that the person chooses (see [`Blank`]).
    pub key: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What holds when nothing is written, in TOML; `None` when nothing does.
    pub default: Option<&'static str>,
    /// When a change of it takes effect.
    pub effect: Effect,
    /// What it is for and why its default is what it is.
    pub reason: &'static str,
    /// A sensible value, in TOML.
    pub example: &'static str,
}

/// When a change of a setting takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At the next start.
    Process,
    /// As soon as the file is saved.
    Live,
}

/// What may be written for a setting. Every limit has a range: nothing is unlimited.
#[derive(Debug, Clone)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Count(RangeInclusive<u64>),
    /// A time with its unit.
    Time(RangeInclusive<Duration>),
    /// A size in bytes with its unit.
    Size(RangeInclusive<u64>),
    /// So many within a time, such as `100/s`: at least one, at most a million a second.
    Rate,
    /// So many in a day, such as `1000/day`.
    Budget,
    /// Processors, with a fraction; the range is in thousandths of one.
    Processors(RangeInclusive<u64>),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// An IP address and port to listen on.
    Address,
    /// Any text.
    Text,
    /// A folder or file; a relative one starts at the configuration's folder.
    Path,
    /// An `http` or `https` address.
    Url,
    /// Where a server is: an address of HTTP, of a WebSocket or of TCP, or a Unix socket.
    Remote,
    /// The beginning of the addresses at which others reach us: scheme, host and port.
    Base,
    /// A container image with its digest.
    Image,
    /// A program, or a list of a program and its arguments.
    Command,
    /// A list of texts.
    Words(Word),
    /// A value, or a reference to where a secret value is kept.
    Given,
    /// The name under which a tool is shown.
    Shown,
    /// Any value that JSON has.
    Json,
}

/// What the texts of a list have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Arguments of a program.
    Argument,
    /// Host names or addresses, with an optional port.
    Host,
    /// Origins of web pages.
    Origin,
    /// Patterns over servers and what they offer.
    Pattern,
    /// Entries of roles: patterns, and `read-only`.
    Rule,
    /// What of one server is meant: a pattern without its server.
    Selection,
    /// Names of servers.
    Server,
    /// Scopes of an authorization server.
    Scope,
    /// Absolute paths, as they are shown to servers.
    Path,
    /// Places that may be reached over the network.
    Destination,
    /// Hosts that an argument may name.
    Site,
    /// Kinds of personal data.
    Personal,
    /// What puts something in quarantine without a person.
    Trigger,
    /// What a server or tool touches.
    Label,
    /// What an interceptor is asked about.
    Event,
    /// Addresses, or networks of them.
    Network,
}

/// The names that a person chooses within a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blank {
    /// `NAME`: a server, role or profile.
    Name,
    /// `TOOL`: a tool as its server calls it.
    Tool,
    /// `SERVER/TOOL`: a tool and its server.
    Pair,
    /// `VARIABLE`: an environment variable.
    Variable,
    /// `HEADER`: a header of HTTP.
    Header,
    /// `ARGUMENT`: a top-level argument of a tool.
    Argument,
    /// `SCOPE`: a scope of OAuth.
    Scope,
    /// `VALUE`: a value of a claim.
    Value,
}

impl Blank {
    /// What a segment of a key stands for; `None` when it stands for itself.
    #[must_use]
    pub fn of(segment: &str) -> Option<Blank> {
        match segment {
            "NAME" => Some(Blank::Name),
            "TOOL" => Some(Blank::Tool),
            "SERVER/TOOL" => Some(Blank::Pair),
            "VARIABLE" => Some(Blank::Variable),
            "HEADER" => Some(Blank::Header),
            "ARGUMENT" => Some(Blank::Argument),
            "SCOPE" => Some(Blank::Scope),
            "VALUE" => Some(Blank::Value),
            _ => None,
        }
    }
}

impl Setting {
    /// The segments of the key.
    pub fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.key.split('.')
    }

    /// The environment variable that overrides it; only settings whose key has no blank have one.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let fixed = self.segments().all(|segment| Blank::of(segment).is_none());
        fixed.then(|| format!("CASEMATE_{}", self.key.replace('.', "_").to_uppercase()))
    }

    /// The setting that a concrete key belongs to.
    #[must_use]
    pub fn find<S: AsRef<str>>(key: &[S]) -> Option<&'static Setting> {
        settings().find(|setting| {
            let mut segments = setting.segments();
            let fits =
                key.iter().all(|part| segments.next().is_some_and(|segment| fits(segment, part.as_ref())));
            fits && segments.next().is_none()
        })
    }
}

/// The segments that may follow a path of segments, in the order of the table.
pub(crate) fn children(path: &[&str]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for setting in settings() {
        let mut segments = setting.segments();
        let below = path.iter().all(|part| segments.next() == Some(*part));
        if let (true, Some(segment)) = (below, segments.next())
            && !found.contains(&segment)
        {
            found.push(segment);
        }
    }
    found
}

/// The setting with exactly these segments.
pub(crate) fn exact(path: &[&str]) -> Option<&'static Setting> {
    settings().find(|setting| setting.segments().eq(path.iter().copied()))
}

fn fits(segment: &str, part: &str) -> bool {
    segment == part || Blank::of(segment).is_some()
}
