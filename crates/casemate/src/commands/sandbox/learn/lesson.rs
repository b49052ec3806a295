//! What was learned, for people and for scripts.

use std::path::PathBuf;

use casemate_sandbox::learn::{Observed, Proposal};
use serde::Serialize;

use super::{quoted, text};
use crate::commands::sandbox::subject::Subject;
use crate::output::text::safe_line;
use crate::output::{Form, Output, Tone};

/// What a server should be granted.
#[derive(Debug, Serialize)]
pub(super) struct Lesson {
    server: String,
    read: Vec<String>,
    write: Vec<String>,
    runtime: Vec<String>,
    network: Vec<String>,
    /// The same as options of `casemate run`, one word each.
    options: Vec<String>,
    remarks: Vec<Remark>,
    /// What it wanted to write, was refused and is now proposed: what it would have done then is not known yet.
    refused_writes: Vec<String>,
    /// The folder that it started in, where its relative paths lead somewhere; a grant of it lets it start there again.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_in: Option<String>,
    #[serde(skip)]
    proposal: Proposal,
}

#[derive(Debug, Serialize)]
struct Remark {
    reason: String,
    subject: String,
}

impl Lesson {
    pub(super) fn new(subject: &Subject, observed: &Observed) -> Lesson {
        let proposal = observed.propose();
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| text(path)).collect::<Vec<_>>();
        let entry = &proposal.entry;
        let (read, write, runtime) = (texts(&entry.read), texts(&entry.write), texts(&entry.runtime));
        let lists =
            [("--read", &read), ("--write", &write), ("--runtime", &runtime), ("--network", &entry.network)];
        let options = lists
            .into_iter()
            .flat_map(|(option, values)| {
                values.iter().flat_map(move |value| [option.to_owned(), value.clone()])
            })
            .collect();
        let remark = |remark: &casemate_sandbox::learn::Remark| Remark {
            reason: remark.reason.clone(),
            subject: remark.subject.clone(),
        };
        let is_proposed = |path: &&std::path::Path| entry.write.iter().any(|write| path.starts_with(write));
        Lesson {
            server: subject.launch.server.to_string(),
            options,
            network: entry.network.clone(),
            remarks: proposal.remarks.iter().map(remark).collect(),
            refused_writes: observed.refused_writes().filter(is_proposed).map(text).collect(),
            read,
            write,
            runtime,
            starts_in: None,
            proposal,
        }
    }

    pub(super) fn starting_in(self, folder: Option<PathBuf>) -> Lesson {
        Lesson { starts_in: folder.as_deref().map(text), ..self }
    }

    /// Whether nothing was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.options.is_empty() && self.remarks.is_empty() && self.refused_writes.is_empty()
    }

    /// The lines of a server's entry, or the whole as JSON.
    pub(super) fn text(&self, form: Form) -> anyhow::Result<String> {
        match form {
            Form::Human => Ok(self.proposal.to_string()),
            Form::Json => Ok(format!("{}\n", serde_json::to_string(self)?)),
        }
    }

    /// Tells it on standard error: standard output is the server's.
    pub(super) fn tell(&self, output: &Output) -> anyhow::Result<()> {
        if output.form() == Form::Json {
            let line = self.text(Form::Json)?;
            output.say(|page| page.line(line.trim_end()));
            return Ok(());
        }
        output.say(|page| {
            page.gap();
            page.heading(&format!("What it used, as lines of [servers.{}]", self.server));
            if self.options.is_empty() {
                page.line("# nothing beyond what every cell has");
            }
            page.line(self.proposal.to_string().trim_end());
            if !self.options.is_empty() {
                page.gap();
                page.heading("The same for `casemate run`");
                let words = self.options.iter().map(|word| quoted(&safe_line(word)));
                page.line(&words.collect::<Vec<_>>().join(" "));
            }
            page.gap();
            if !self.refused_writes.is_empty() {
                let again = "what it wanted to write was refused: learn again with these lines, until nothing is added";
                page.labelled(Tone::Hint, "hint:", again);
            }
            if let Some(folder) = &self.starts_in {
                let folder = safe_line(folder);
                let again = format!(
                    "it started in {folder}, and its command names a file there: `cwd = {folder:?}` in its entry, or \
                     `--read .` for `run`, lets it start there again"
                );
                page.labelled(Tone::Hint, "hint:", &again);
            }
            let only = "only what was done is seen: a tool that was not called has read nothing";
            page.labelled(Tone::Hint, "hint:", only);
        });
        Ok(())
    }
}
