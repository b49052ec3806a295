//! `casemate install` and `casemate uninstall`: our entry in a client's configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use casemate_builder::clients::{Client, Homes, Launch, Os};
use casemate_builder::file::{self, Applied};
use serde::Serialize;

use crate::args::clients;
use crate::clock;
use crate::context::Context;
use crate::environment::{CASEMATE_CONFIG, CASEMATE_HOME, Environment, RELOCATIONS};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Page, Report, Tone};

/// Puts our entry into the client's file.
pub fn install(context: &Context, args: &clients::Client) -> anyhow::Result<Exit> {
    let client = find(&args.client)?;
    let file = file(context, client, args.file.as_deref())?;
    let launch = launch(context)?;
    let applied = file::edit(&file, &clock::stamp(), |text| client.install(text, &launch))?;
    let next = (applied != Applied::Unchanged).then_some(client.next);
    context.output.print(&Edited::new(client, &file, &applied, next))?;
    Ok(Exit::Success)
}

/// Takes our entry out of the client's file.
pub fn uninstall(context: &Context, args: &clients::Client) -> anyhow::Result<Exit> {
    let client = find(&args.client)?;
    let file = file(context, client, args.file.as_deref())?;
    let applied = file::edit(&file, &clock::stamp(), |text| client.uninstall(text))?;
    context.output.print(&Edited::new(client, &file, &applied, None))?;
    Ok(Exit::Success)
}

/// The clients of this user: which file each reads, and whether it has our entry.
pub fn installed(context: &Context) -> Vec<(&'static Client, PathBuf)> {
    let Some(homes) = homes(&context.environment) else {
        return Vec::new();
    };
    let has_entry = |file: &Path, client: &Client| {
        let text = file::read(file).ok().flatten();
        text.is_some_and(|text| client.installed(&text).unwrap_or(false))
    };
    casemate_builder::clients::CLIENTS
        .iter()
        .map(|client| (client, client.file(&homes)))
        .filter(|(client, file)| has_entry(file, client))
        .collect()
}

fn find(id: &str) -> anyhow::Result<&'static Client> {
    Client::find(id).map_err(|unknown| Failure::new(Exit::Usage, unknown.to_string()).into())
}

fn file(context: &Context, client: &Client, chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(chosen) = chosen {
        return std::path::absolute(chosen)
            .with_context(|| format!("cannot make {} absolute", chosen.display()));
    }
    let homes = homes(&context.environment).ok_or_else(|| {
        Failure::new(
            Exit::Configuration,
            format!("HOME is not set, so the file of {} cannot be found", client.name),
        )
        .hint("name it with --file")
    })?;
    Ok(client.file(&homes))
}

fn homes(environment: &Environment) -> Option<Homes> {
    let mut homes =
        Homes::of(if cfg!(target_os = "macos") { Os::MacOs } else { Os::Linux }, &environment.home()?);
    if cfg!(target_os = "linux") {
        homes.config = environment.config_home()?;
    }
    if let Some(claude) = environment.claude_home() {
        homes.claude = claude;
    }
    Some(homes)
}

/// How the client starts us: by absolute path, and pointed at this installation when it is not the default one,
/// since clients pass on few of their variables.
fn launch(context: &Context) -> anyhow::Result<Launch> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    // What does not apply here may stand in the entry from another time.
    let ours = [CASEMATE_HOME, CASEMATE_CONFIG].into_iter().chain(RELOCATIONS);
    let mut env: BTreeMap<String, Option<String>> = ours.map(|name| (name.to_owned(), None)).collect();
    match context.paths.home() {
        Some(home) => {
            env.insert(CASEMATE_HOME.to_owned(), Some(text(home)?));
        }
        None => {
            for (name, folder) in context.environment.relocations() {
                env.insert(name.to_owned(), Some(text(&folder)?));
            }
        }
    }
    if context.paths.config_is_chosen() {
        env.insert(CASEMATE_CONFIG.to_owned(), Some(text(context.paths.config())?));
    }
    Ok(Launch { program: text(&program)?, env })
}

fn text(path: &Path) -> anyhow::Result<String> {
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("{} is not UTF-8, which JSON needs", path.display()))
}

#[derive(Debug, Serialize)]
struct Edited<'a> {
    client: &'static str,
    #[serde(skip)]
    name: &'static str,
    file: &'a Path,
    changed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

impl<'a> Edited<'a> {
    fn new(client: &Client, file: &'a Path, applied: &'a Applied, next: Option<&'static str>) -> Edited<'a> {
        let backup = match applied {
            Applied::Changed { backup } => Some(backup.as_path()),
            Applied::Unchanged | Applied::Created => None,
        };
        let changed = *applied != Applied::Unchanged;
        Edited { client: client.id, name: client.name, file, changed, backup, next }
    }
}

impl Report for Edited<'_> {
    fn lay_out(&self, page: &mut Page) {
        let done = if self.changed { "updated" } else { "nothing to change" };
        page.labelled(Tone::Strong, &format!("{}:", self.name), &format!("{done} ({})", self.file.display()));
        if let Some(backup) = self.backup {
            page.labelled(Tone::Quiet, "  as it was:", &backup.display().to_string());
        }
        if let Some(next) = self.next {
            page.labelled(Tone::Hint, "  next:", next);
        }
    }
}
