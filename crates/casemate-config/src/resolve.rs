//! Default < file < environment < flag, and then all of it compiled.

#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};

use casemate_auth::SecretName;
use casemate_gateway::snapshot::Snapshot;

use crate::compile::{self, Builtins, Front, Identity, Process};
use crate::given::{Given, Source};
use crate::key::Key;
use crate::origin::{Lines, Origin};
use crate::problem::{Fault, Problem, Problems, nearest};
use crate::reader::{self, Completeness, Entry, Written};
use crate::setting::{Kind, Setting, settings};
use crate::value::{self, Report, Value};

/// The configuration of a machine that has none, and what the first edit starts from.
pub const STARTER: &str = "\
# Casemate's configuration. Every setting: docs/config.md, or `casemate config explain`.

# Figures about this machine: processor, memory, disks, network.
[servers.system]
builtin = \"system\"
";

/// Everything that was written, wherever it was.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The configuration file; without one [`STARTER`] holds.
    pub file: Option<File>,
    /// The environment of the process. Only variables that begin with `CASEMATE_GATEWAY_` are looked at.
    pub environment: Vec<(String, String)>,
    /// What the command line overrides.
    pub flags: Vec<Flag>,
}

/// The configuration file. Its folder is where relative paths in it start.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path, as it is named in messages.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A value from the command line, or from a variable with a name of its own.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The setting, such as `gateway.listen`.
    pub key: &'static str,
    /// What was typed for it; lists are separated by commas.
    pub text: String,
    /// `Origin::Flag("--listen")` or `Origin::Environment("CASEMATE_LISTEN")`.
    pub origin: Origin,
}

/// A configuration without mistakes.
#[derive(Debug)]
pub struct Loaded {
    /// What calls are judged by.
    pub snapshot: Snapshot,
    /// What takes a restart to change.
    pub process: Process,
    /// What the listener checks, live.
    pub front: Front,
    /// By what callers prove who they are, live.
    pub identity: Identity,
    /// Each value and where it comes from.
    pub resolved: Resolved,
    /// What is no mistake and should be known all the same, each in one sentence.
    pub remarks: Vec<String>,
}

/// Each value that was written and where it comes from.
#[derive(Debug)]
pub struct Resolved {
    pub(crate) written: Written,
}

impl Resolved {
    /// What can be read of a configuration, whatever mistakes it has. It is for looking at, and nothing runs on it.
    #[must_use]
    pub fn legible(input: &Input) -> Resolved {
        Resolved { written: read(input).0 }
    }

    /// Where which secret of the installation is referred to, by the keys of the settings.
    #[must_use]
    pub fn secrets(&self) -> Vec<(String, SecretName)> {
        let named = |(key, entry): (&Key, &Entry)| match &entry.value {
            Some(Value::Given(Given::Secret(name))) => Some((key.to_string(), name.clone())),
            _ => None,
        };
        self.written.entries.iter().filter_map(named).collect()
    }

    /// The ids of API keys that limits of their own are written for, and where. Which keys there are is no part of a
    /// configuration, and one may be made later.
    #[must_use]
    pub fn limited_keys(&self) -> Vec<(&str, Origin)> {
        let keys = self.written.scope("limits").below("keys");
        keys.names().into_iter().map(|id| (id, keys.child(id).origin())).collect()
    }
}

/// Reads and compiles a configuration.
///
/// `version` becomes the snapshot's. References to secrets of servers that are switched off are not followed.
///
/// # Errors
/// All mistakes at once. What depends on two values is judged once all values could be read.
pub fn load(
    input: &Input,
    source: &dyn Source,
    builtins: &Builtins,
    version: u64,
) -> Result<Loaded, Problems> {
    let (mut written, completeness) = read(input);
    let folder = input.file.as_ref().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
    let mut problems = std::mem::take(&mut written.problems);
    if completeness == Completeness::Partial {
        return Err(Problems::of(problems).unwrap_or_else(Problems::unexplained));
    }
    let compiled = compile::compile(&written, folder, source, builtins);
    problems.extend(compiled.problems);
    match Problems::of(problems) {
        Some(problems) => Err(problems),
        None => Ok(Loaded {
            snapshot: Snapshot { version, ..compiled.snapshot },
            process: compiled.process,
            front: compiled.front,
            identity: compiled.identity,
            resolved: Resolved { written },
            remarks: compiled.remarks,
        }),
    }
}

fn read(input: &Input) -> (Written, Completeness) {
    let mut written = Written::default();
    let completeness = match &input.file {
        Some(file) => {
            let lines = Lines::new(file.path.clone(), &file.text);
            let locate =
                |span: Option<Range<usize>>| Origin::File(lines.place(span.map_or(0, |span| span.start)));
            reader::read(&file.text, &locate, &mut written)
        }
        None => reader::read(STARTER, &|_| Origin::Default, &mut written),
    };
    for flag in &input.flags {
        if let Some(setting) = settings().find(|setting| setting.key == flag.key) {
            overrule(setting, &flag.text, &flag.origin, &mut written);
        }
    }
    for (name, text) in &input.environment {
        if !name.starts_with("CASEMATE_GATEWAY_") {
            continue;
        }
        match settings().find(|setting| setting.variable().as_ref() == Some(name)) {
            Some(setting) => overrule(setting, text, &Origin::Environment(name.clone()), &mut written),
            None => written.problems.push(unknown_variable(name)),
        }
    }
    (written, completeness)
}

/// An empty variable counts as one that is not set, since many tools cannot unset one.
fn overrule(setting: &'static Setting, text: &str, origin: &Origin, written: &mut Written) {
    if text.is_empty() && !matches!(setting.kind, Kind::Words(_)) {
        return;
    }
    let key = Key::default().below(setting.key);
    let mut report = Report { locate: &|_| origin.clone(), problems: Vec::new() };
    let value = value::read(setting, &key, &value::from_text(&setting.kind, text), &mut report);
    let problems = report.problems;
    written.problems.extend(problems);
    written.set(key, Entry { value, origin: origin.clone(), setting });
}

fn unknown_variable(name: &str) -> Problem {
    let known: Vec<String> = settings().filter_map(Setting::variable).collect();
    let fault = Fault::new("no setting has this variable");
    let fault = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean {near}?")),
        None => fault.hint(format!("there is {}", known.join(", "))),
    };
    fault.at(Origin::Environment(name.to_owned()))
}
