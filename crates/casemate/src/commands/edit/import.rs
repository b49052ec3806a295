//! `casemate import`: the servers of a client's file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use casemate_auth::SecretName;
use casemate_builder::import::{self, Given as Imported, Source};
use casemate_config::{EditFault, Given, NewServer, NewSource, State, looks_like_secret};
use serde::Serialize;

use super::engine::Engine;
use super::package;
use crate::args::clients::Import;
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Page, Report, Tone};

/// Adds the servers of a client's file.
pub fn import(context: &Context, import: &Import) -> anyhow::Result<Exit> {
    let text = read(&import.file)?;
    let secret = |key: &str, value: &str| looks_like_secret(key, value).is_some();
    let read = import::read(&text, &secret).with_context(|| {
        Failure::new(Exit::Failure, format!("{} cannot be imported", called(&import.file)))
    })?;
    let mut report = ImportReport {
        warnings: read.warnings.iter().map(ToString::to_string).collect(),
        ..ImportReport::default()
    };
    configuration::edit(context, |document| {
        for server in read.servers {
            let name = server.name.clone();
            let is_there = document.servers().contains(&name.as_str());
            if import.replace && is_there {
                document.remove(&name)?;
            }
            let server = new_server(server);
            match document.add(&name, &server) {
                Ok(()) => report.taken(&name.to_string(), &server, is_there),
                Err(EditFault::Exists(_)) => report.skipped(
                    &name.to_string(),
                    format!(
                        "a server called {name} is configured already\nhint: `casemate import --replace` replaces it"
                    ),
                ),
                Err(fault @ EditFault::Secret { .. }) => report.skipped(&name.to_string(), fault.to_string()),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    })?;
    context.output.print(&report)?;
    if !report.added.is_empty() || !report.replaced.is_empty() {
        configuration::announce(context)?;
    }
    Ok(Exit::Success)
}

fn new_server(server: import::Imported) -> NewServer {
    let given = |value| match value {
        Imported::Literal(text) => Given::Literal(text.into()),
        Imported::Env(name) => Given::Env(name),
        // A name that cannot be one of ours stays a text, which tells nothing.
        Imported::Secret(name) => SecretName::parse(&name).map_or(Given::Env(name), Given::Secret),
    };
    let source = match server.source {
        Source::Command { program, args, env, cwd } => NewSource::Command {
            command: std::iter::once(program).chain(args).collect(),
            env: env.into_iter().map(|(name, value)| (name, given(value))).collect(),
            cwd,
        },
        Source::Remote { url, headers } => NewSource::Url {
            url,
            headers: headers.into_iter().map(|(name, value)| (name, given(value))).collect(),
        },
    };
    NewServer {
        state: if server.enabled { State::Enabled } else { State::Disabled },
        ..NewServer::new(source)
    }
}

/// Why an imported server will not start, whatever else is right about it.
fn obstacle(source: &NewSource) -> Option<String> {
    let NewSource::Command { command, env, .. } = source else { return None };
    if let Some(engine) = Engine::of(command, env.iter().map(|(name, _)| name.as_str())) {
        let image = engine.image();
        return Some(format!("{}; write image = \"{image}\" instead of `command`", engine.why()));
    }
    let unpinned = package(command)?.err()?;
    Some(format!("{unpinned}; {}", unpinned.hint(&BTreeMap::new())))
}

fn read(file: &Path) -> anyhow::Result<String> {
    if is_stdin(file) {
        return std::io::read_to_string(std::io::stdin().lock()).context("cannot read standard input");
    }
    casemate_builder::file::read(file)?
        .with_context(|| Failure::new(Exit::Failure, format!("there is no file {}", file.display())))
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn called(file: &Path) -> String {
    if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() }
}

#[derive(Debug, Default, Serialize)]
struct ImportReport {
    added: Vec<String>,
    replaced: Vec<String>,
    /// Those of both that are switched off, as they were in the client.
    disabled: Vec<String>,
    skipped: Vec<Skipped>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    server: String,
    reason: String,
}

impl ImportReport {
    fn taken(&mut self, name: &str, server: &NewServer, was_there: bool) {
        if was_there { &mut self.replaced } else { &mut self.added }.push(name.to_owned());
        if server.state == State::Disabled {
            self.disabled.push(name.to_owned());
        }
        if let Some(why) = obstacle(&server.source) {
            self.warnings.push(format!("{name}: it will not be started: {why}"));
        }
    }

    fn skipped(&mut self, name: &str, reason: String) {
        self.skipped.push(Skipped { server: name.to_owned(), reason });
    }

    fn lay_out_names(&self, page: &mut Page, (label, names): (&str, &[String])) {
        for name in names {
            let off = if self.disabled.contains(name) { " (disabled, as it was there)" } else { "" };
            page.labelled(Tone::Good, label, &format!("{name}{off}"));
        }
    }
}

impl Report for ImportReport {
    fn lay_out(&self, page: &mut Page) {
        if self.added.is_empty() && self.replaced.is_empty() {
            page.line("Nothing was imported.");
        }
        self.lay_out_names(page, ("added:", &self.added));
        self.lay_out_names(page, ("replaced:", &self.replaced));
        for skipped in &self.skipped {
            page.labelled(Tone::Warning, "skipped:", &format!("{}: {}", skipped.server, skipped.reason));
        }
        for warning in &self.warnings {
            page.labelled(Tone::Warning, "note:", warning);
        }
    }
}
