//! `casemate config`: checking and explaining what is written.

use std::path::Path;

use casemate_config::Explanation;
use serde::Serialize;

use crate::args::config::{Config, Explain};
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, Page, Report, Tone};

/// Does what was asked with the configuration.
pub fn run(context: &Context, config: &Config) -> anyhow::Result<Exit> {
    match config {
        Config::Check => check(context),
        Config::Explain(what) => explain(context, what),
        Config::Schema => schema(&context.output),
    }
}

/// Prints the JSON Schema of the file.
pub fn schema(output: &Output) -> anyhow::Result<Exit> {
    output.write(casemate_config::schema().as_bytes())?;
    Ok(Exit::Success)
}

fn check(context: &Context) -> anyhow::Result<Exit> {
    let loaded = configuration::load(context, None)?;
    let strange = configuration::strange_keys(context, &loaded.resolved)?;
    for problem in configuration::missing_secrets(&loaded.snapshot.servers).chain(strange) {
        context.output.warn(&format!("{}: {}", problem.place, problem.message));
        problem.hint.iter().for_each(|hint| context.output.hint(hint));
    }
    let exists = context.paths.config().exists();
    let servers = loaded.snapshot.servers.len();
    let file = exists.then(|| context.paths.config());
    for remark in &loaded.remarks {
        context.output.warn(remark);
    }
    context.output.print(&Checked { file, servers, remarks: &loaded.remarks })?;
    Ok(Exit::Success)
}

fn explain(context: &Context, what: &Explain) -> anyhow::Result<Exit> {
    let resolved = configuration::legible(context)?;
    let found = match &what.key {
        Some(key) => {
            resolved.explain(key).map_err(|unknown| Failure::new(Exit::Usage, unknown.to_string()))?
        }
        None => resolved.all(),
    };
    let detail = if what.key.is_some() { Detail::Full } else { Detail::Line };
    context.output.print(&Explanations { found: &found, detail })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    /// Absent when there is no file and the built-in configuration holds.
    file: Option<&'a Path>,
    servers: usize,
    /// What is no mistake and should be known all the same.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    remarks: &'a [String],
}

impl Report for Checked<'_> {
    fn lay_out(&self, page: &mut Page) {
        let file = match self.file {
            Some(file) => file.display().to_string(),
            None => "no file, so the built-in configuration holds".to_owned(),
        };
        page.labelled(Tone::Good, "ok:", &format!("{file} ({})", counted(self.servers)));
    }
}

fn counted(servers: usize) -> String {
    if servers == 1 { "1 server".to_owned() } else { format!("{servers} servers") }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Line,
    Full,
}

struct Explanations<'a> {
    found: &'a [Explanation],
    detail: Detail,
}

#[derive(Serialize)]
struct Explained<'a> {
    key: &'a str,
    value: Option<&'a str>,
    origin: String,
    default: Option<&'static str>,
    reason: &'static str,
}

impl Serialize for Explanations<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.found.iter().map(|one| Explained {
            key: &one.key,
            value: one.value.as_deref(),
            origin: one.origin.to_string(),
            default: one.setting.default,
            reason: one.setting.reason,
        }))
    }
}

impl Report for Explanations<'_> {
    fn lay_out(&self, page: &mut Page) {
        if self.detail == Detail::Line {
            let row = |one: &Explanation| {
                let value = one.value.as_deref().unwrap_or("not set");
                vec![one.key.as_str().into(), value.into(), one.origin.to_string().into()]
            };
            page.table(&["setting", "value", "from"], &self.found.iter().map(row).collect::<Vec<_>>());
            return;
        }
        for (index, one) in self.found.iter().enumerate() {
            if index > 0 {
                page.gap();
            }
            page.line(&one.to_string());
        }
    }
}
