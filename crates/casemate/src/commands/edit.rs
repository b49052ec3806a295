//! `casemate add`, `remove`, `enable`, `disable` and `import`: edits of the configuration file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use casemate_builder::import::{self, Given as Imported, Source as ImportedSource};
use casemate_config::{EditFault, Given, NewServer, NewSource, State, looks_like_secret};
use casemate_mcp::names::ServerName;
use casemate_registry::{Asked, Unpinned};
use serde::Serialize;

use crate::absent::Absent;
use crate::args::cells::{Room, Variable};
use crate::args::clients::Import;
use crate::args::servers::{Add, Setting};
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Page, Report};
use crate::typed;

/// Adds a server.
pub fn add(context: &Context, add: Add) -> anyhow::Result<Exit> {
    let source = match add.url {
        Some(url) => NewSource::Url { url, headers: given(&add.header)? },
        None => NewSource::Command {
            command: add.command,
            env: given(&variables(&add.room))?,
            cwd: add.cwd.as_deref().map(folder).transpose()?,
        },
    };
    let package = match &source {
        NewSource::Command { command, .. } if !add.room.allow_unsandboxed => package(command),
        _ => None,
    };
    let server = NewServer { settings: typed::settings(&add.room)?, ..NewServer::new(source) };
    configuration::edit(context, |document| document.add(&add.name, &server))?;
    configuration::announce(context)?;
    print(context, &add.name, "added")?;
    match package {
        Some(Err(unpinned)) => {
            context.output.warn(&format!("it will not be started: {unpinned}"));
            context.output.hint(&unpinned.hint(&BTreeMap::new()));
            return Ok(Exit::Success);
        }
        Some(Ok(_)) => context.output.hint(&format!(
            "its package is installed at the first start, which takes a while; `casemate prepare {}` does it now",
            add.name
        )),
        None => {}
    }
    context.output.hint(&format!("try it: `casemate show {}`", add.name));
    Ok(Exit::Success)
}

/// Removes a server.
pub fn remove(context: &Context, name: &ServerName) -> anyhow::Result<Exit> {
    configuration::edit(context, |document| document.remove(name))
        .map_err(|error| missing(context, error))?;
    configuration::announce(context)?;
    print(context, name, "removed")
}

/// Switches a server on or off.
pub fn set_state(context: &Context, name: &ServerName, state: State) -> anyhow::Result<Exit> {
    let changed = configuration::edit(context, |document| document.set_state(name, state));
    let changed = changed.map_err(|error| missing(context, error))?;
    if changed {
        configuration::announce(context)?;
    }
    let now = match (state, changed) {
        (State::Enabled, true) => "enabled",
        (State::Enabled, false) => "was enabled already",
        (State::Disabled, true) => "disabled",
        (State::Disabled, false) => "was disabled already",
    };
    print(context, name, now)
}

/// Adds to a fault about a name that there is not what was most likely meant.
fn missing(context: &Context, error: anyhow::Error) -> anyhow::Error {
    let Some(EditFault::Missing(name)) = error.downcast_ref() else { return error };
    // Mistakes elsewhere in the file are said by other commands.
    match configuration::inspect(context) {
        Ok(loaded) => Failure::from(Absent::of(name.as_str(), &loaded.snapshot.servers)).into(),
        Err(_) => error,
    }
}

/// Adds the servers of a client's file.
pub fn import(context: &Context, import: &Import) -> anyhow::Result<Exit> {
    let text = read(&import.file)?;
    let secret = |key: &str, value: &str| looks_like_secret(key, value).is_some();
    let read = import::read(&text, &secret).with_context(|| {
        Failure::new(Exit::Failure, format!("{} cannot be imported", import.file.display()))
    })?;
    let mut names = Vec::new();
    let mut skipped = Vec::new();
    configuration::edit(context, |document| {
        for server in read.servers {
            let name = server.name.clone();
            if import.replace && document.servers().contains(&name.as_str()) {
                document.remove(&name)?;
            }
            match document.add(&name, &new_server(server)) {
                Ok(()) => names.push(name.to_string()),
                Err(fault @ (EditFault::Exists(_) | EditFault::Secret { .. })) => {
                    skipped.push(Skipped { server: name.to_string(), reason: fault.to_string() });
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    })?;
    if !names.is_empty() {
        configuration::announce(context)?;
    }
    let warnings = read.warnings.iter().map(ToString::to_string).collect();
    context.output.print(&ImportReport { added: names, skipped, warnings })?;
    Ok(Exit::Success)
}

/// The package that a runner's command line asks for, or why that will be refused.
fn package(command: &[String]) -> Option<Result<Asked, Unpinned>> {
    let (program, args) = command.split_first()?;
    Asked::recognize(program, args)
}

/// The variables of a server's process. One without a value is ours when the gateway starts.
fn variables(room: &Room) -> Vec<Setting> {
    let setting = |variable: &Variable| Setting {
        name: variable.name.clone(),
        value: variable.value.clone().unwrap_or_else(|| format!("env:{}", variable.name)),
    };
    room.env.iter().map(setting).collect()
}

fn given(settings: &[Setting]) -> anyhow::Result<Vec<(String, Given)>> {
    let parse = |setting: &Setting| {
        let given = Given::parse(&setting.name, &setting.value)
            .map_err(|refused| Failure::new(Exit::Usage, refused.to_string()))?;
        Ok((setting.name.clone(), given))
    };
    settings.iter().map(parse).collect()
}

/// A relative path would start at the configuration's folder, which is not what was meant when it was typed.
fn folder(path: &Path) -> anyhow::Result<String> {
    let absolute = std::path::absolute(path).context("cannot find the current folder")?;
    let text = absolute.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

fn new_server(server: import::Imported) -> NewServer {
    let given = |value| match value {
        Imported::Literal(text) => Given::Literal(text.into()),
        Imported::Env(name) => Given::Env(name),
    };
    let source = match server.source {
        ImportedSource::Command { program, args, env, cwd } => NewSource::Command {
            command: std::iter::once(program).chain(args).collect(),
            env: env.into_iter().map(|(name, value)| (name, given(value))).collect(),
            cwd,
        },
        ImportedSource::Remote { url, headers } => NewSource::Url {
            url,
            headers: headers.into_iter().map(|(name, value)| (name, given(value))).collect(),
        },
    };
    NewServer {
        state: if server.enabled { State::Enabled } else { State::Disabled },
        ..NewServer::new(source)
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        return std::io::read_to_string(std::io::stdin().lock()).context("cannot read standard input");
    }
    casemate_builder::file::read(file)?
        .with_context(|| Failure::new(Exit::Failure, format!("there is no file {}", file.display())))
}

fn print(context: &Context, name: &ServerName, now: &'static str) -> anyhow::Result<Exit> {
    let file = context.paths.config();
    context.output.print(&Edited { server: name.as_str(), now, file })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Edited<'a> {
    server: &'a str,
    now: &'static str,
    file: &'a Path,
}

impl Report for Edited<'_> {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!("{}: {} ({})", self.server, self.now, self.file.display()));
    }
}

#[derive(Debug, Serialize)]
struct ImportReport {
    added: Vec<String>,
    skipped: Vec<Skipped>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    server: String,
    reason: String,
}

impl Report for ImportReport {
    fn lay_out(&self, page: &mut Page) {
        use crate::output::Tone;
        if self.added.is_empty() {
            page.line("Nothing was imported.");
        }
        for name in &self.added {
            page.labelled(Tone::Good, "added:", name);
        }
        for skipped in &self.skipped {
            page.labelled(Tone::Warning, "skipped:", &format!("{}: {}", skipped.server, skipped.reason));
        }
        for warning in &self.warnings {
            page.labelled(Tone::Warning, "look:", warning);
        }
    }
}
