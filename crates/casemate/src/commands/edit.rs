//! `casemate add`, `remove`, `enable`, `disable` and `import`: edits of the configuration file.

mod engine;
mod import;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use casemate_config::{EditFault, Given, NewServer, NewSource, State};
use casemate_mcp::names::ServerName;
use casemate_registry::{Asked, Unpinned};
use serde::Serialize;

use crate::absent::Absent;
use crate::args::cells::{Room, Variable};
use crate::args::servers::{Add, Setting};
use crate::configuration::{self, Use};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Page, Report};
use crate::typed;

use engine::Engine;
pub use import::import;

/// Adds a server.
pub fn add(context: &Context, add: Add) -> anyhow::Result<Exit> {
    let source = source(&add)?;
    let mut package = None;
    if let (NewSource::Command { command, env, .. }, false) = (&source, add.room.allow_unsandboxed) {
        if let Some(engine) = Engine::of(command, env.iter().map(|(name, _)| name.as_str())) {
            return Err(engine.refused(&add.name).into());
        }
        package = self::package(command);
    }
    let server = NewServer { settings: typed::settings(&add.room)?, ..NewServer::new(source) };
    let told = |problem| typed::as_typed(&add.name, problem);
    configuration::edit_told(context, |document| document.add(&add.name, &server), told)?;
    print(context, &add.name, "added")?;
    let used = configuration::announce(context)?;
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
    if used == Use::Begun {
        context.output.hint(&format!("try it: `casemate show {}`", add.name));
    }
    Ok(Exit::Success)
}

fn source(add: &Add) -> anyhow::Result<NewSource> {
    Ok(match (&add.url, &add.image) {
        (Some(url), _) => NewSource::Url { url: url.clone(), headers: given(&add.header)? },
        (None, Some(image)) => NewSource::Image {
            image: image.clone(),
            args: add.command.clone(),
            env: given(&variables(&add.room))?,
        },
        (None, None) => NewSource::Command {
            command: add.command.clone(),
            env: given(&variables(&add.room))?,
            cwd: add.cwd.as_deref().map(folder).transpose()?,
        },
    })
}

/// Removes a server.
pub fn remove(context: &Context, name: &ServerName) -> anyhow::Result<Exit> {
    configuration::edit(context, |document| document.remove(name))
        .map_err(|error| missing(context, error))?;
    print(context, name, "removed")?;
    configuration::announce(context)?;
    Ok(Exit::Success)
}

/// Switches a server on or off.
pub fn set_state(context: &Context, name: &ServerName, state: State) -> anyhow::Result<Exit> {
    let changed = configuration::edit(context, |document| document.set_state(name, state));
    let changed = changed.map_err(|error| missing(context, error))?;
    let now = match (state, changed) {
        (State::Enabled, true) => "enabled",
        (State::Enabled, false) => "was enabled already",
        (State::Disabled, true) => "disabled",
        (State::Disabled, false) => "was disabled already",
    };
    print(context, name, now)?;
    if changed {
        configuration::announce(context)?;
    }
    Ok(Exit::Success)
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
