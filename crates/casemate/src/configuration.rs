//! The configuration of this installation: found, read, checked and edited.
//!
//! casemate-config knows what a configuration means; this knows where the file is, what the environment and the
//! command line say, and that a running gateway wants to hear of a change.

pub mod policies;
pub mod stamps;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use casemate_auth::SecretName;
use casemate_config::{
    BYTES_MAX, Builtins, Document, EditFault, File, Flag, Given, Input, Loaded, Origin, Problems, Resolved,
    STARTER, Source,
};
use casemate_gateway::snapshot::{Interceptors, Missing, ServerEntry, Way};
use casemate_inspect::SEED_BYTES;
use casemate_mcp::names::ServerName;
use casemate_store::Store;
use secrecy::SecretString;

use crate::cells::{self, Refused};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Reloaded, Request};
use crate::environment::{CASEMATE_LISTEN, Environment};
use crate::exit::Exit;
use crate::failure::{Failure, Problem};
use crate::secrets::Held;

/// How long images may be looked up for the sake of a message.
const LOOKUP_TIME: Duration = Duration::from_secs(20);

/// Reads what was written, wherever it was. Nothing is judged yet.
pub fn read(context: &Context, listen: Option<SocketAddr>) -> anyhow::Result<Input> {
    let path = context.paths.config();
    let text = read_file(path)?;
    if text.is_none() && context.paths.config_is_chosen() {
        let message = format!("there is no configuration file at {}", path.display());
        let hint = "leave out --config and CASEMATE_CONFIG to start without one; `casemate add` creates it";
        return Err(Failure::new(Exit::Configuration, message).hint(hint).into());
    }
    let variable = context.environment.text(CASEMATE_LISTEN);
    let flag = |text: String, origin| Flag { key: "gateway.listen", text, origin };
    let variable =
        variable.map(|text| flag(text.to_owned(), Origin::Environment(CASEMATE_LISTEN.to_owned())));
    let typed = listen.map(|address| flag(address.to_string(), Origin::Flag("--listen".to_owned())));
    Ok(Input {
        file: text.map(|text| File { path: path.to_owned(), text }),
        environment: context.environment.texts(),
        // The later one wins.
        flags: variable.into_iter().chain(typed).collect(),
    })
}

/// Judges what was read and compiles it with these secrets.
pub fn compile(
    context: &Context,
    input: &Input,
    version: u64,
    held: &Held,
) -> anyhow::Result<Result<Loaded, Problems>> {
    let seed = context.seed.get().copied();
    let outside = Outside { environment: &context.environment, held, seed };
    Ok(casemate_config::load(input, &outside, &builtins()?, version))
}

/// The secrets of this installation that what was read refers to.
pub fn held(context: &Context, input: &Input) -> Held {
    let text = input.file.as_ref().map_or("", |file| file.text.as_str());
    Held::for_text(context, text)
}

/// Where the configuration refers to which secret of this installation.
pub fn named_secrets(context: &Context) -> anyhow::Result<Vec<(String, SecretName)>> {
    // What is wrong elsewhere in the file is said by other commands.
    Ok(compile_unresolved(&read(context, None)?)?.map(|loaded| loaded.resolved.secrets()).unwrap_or_default())
}

/// Tells of the servers that are not started because a secret is missing, wherever it should be kept.
pub fn missing_secrets(
    servers: &BTreeMap<ServerName, Arc<ServerEntry>>,
) -> impl Iterator<Item = Problem> + '_ {
    servers.values().flat_map(|entry| unstarted(entry))
}

/// The same of one server.
pub fn unstarted(entry: &ServerEntry) -> Vec<Problem> {
    let what = format!("the server {} is not started", entry.name);
    entry.secrets.missing.iter().map(|missing| missed(missing, &what)).collect()
}

/// The same of interceptors that are not asked.
pub fn unasked_interceptors(interceptors: &Interceptors) -> impl Iterator<Item = Problem> + '_ {
    interceptors.iter().filter_map(|interceptor| {
        let Way::Http(judge) = &interceptor.way else { return None };
        let what = format!("the interceptor {} is not asked", interceptor.name);
        judge.missing.as_ref().map(|missing| missed(missing, &what))
    })
}

fn missed(missing: &Missing, what: &str) -> Problem {
    let hint = match Given::parse("", &missing.secret) {
        Ok(Given::Env(name)) => {
            let kept = SecretName::parse(&name).map_or_else(|_| "NAME".to_owned(), |name| name.to_string());
            format!(
                "set {name} where casemate is started, or keep the value in Casemate: `casemate secret set {kept}`, \
                 and \"secret:{kept}\" refers to it"
            )
        }
        Ok(Given::File(_)) => {
            "put the value into that file, whose relative path starts at the folder of the configuration; a running \
             gateway reads it when it gets SIGHUP"
                .to_owned()
        }
        _ => format!("`casemate secret set {}` sets it", missing.secret),
    };
    Problem {
        place: missing.setting.clone(),
        message: format!("{what} without the secret {}: {}", missing.secret, missing.why),
        hint: Some(hint),
    }
}

/// Tells of limits that are written for an API key which there is not: they would be looked for in vain.
pub fn unknown_keys(resolved: &Resolved, is_known: impl Fn(&str) -> bool) -> Vec<Problem> {
    let unknown = resolved.limited_keys().into_iter().filter(|(id, _)| !is_known(id));
    let told = |(id, origin): (&str, Origin)| Problem {
        place: place(&origin),
        message: format!("limits.keys.{id} limits nobody: there is no API key with this id"),
        hint: Some("`casemate key list` shows the ids; a key's name is none".to_owned()),
    };
    unknown.map(told).collect()
}

/// The same with the keys of the store. Looking creates nothing.
pub fn strange_keys(context: &Context, resolved: &Resolved) -> anyhow::Result<Vec<Problem>> {
    if resolved.limited_keys().is_empty() {
        return Ok(Vec::new());
    }
    let mut known = BTreeSet::new();
    if context.paths.data().exists() {
        let store = Store::open(context.paths.data())?;
        let keys = context.small_runtime()?.block_on(store.keys().list())?;
        known.extend(keys.into_iter().map(|key| key.id));
    }
    Ok(unknown_keys(resolved, |id| known.contains(id)))
}

/// Reads and compiles; mistakes are a failure that lists them all.
pub fn load(context: &Context, listen: Option<SocketAddr>) -> anyhow::Result<Loaded> {
    let input = read(context, listen)?;
    compile(context, &input, 1, &held(context, &input))?
        .map_err(|problems| failure(context, &problems).into())
}

/// As [`load`], to look at what is written: references to secrets are not followed, since they need to lead
/// somewhere only where the gateway runs.
pub fn inspect(context: &Context) -> anyhow::Result<Loaded> {
    compile_unresolved(&read(context, None)?)?.map_err(|problems| failure(context, &problems).into())
}

/// What is written, with a warning when mistakes are among it: what they stand for may be another value in a gateway that
/// runs.
pub fn legible(context: &Context) -> anyhow::Result<Resolved> {
    let input = read(context, None)?;
    Ok(match compile_unresolved(&input)? {
        Ok(loaded) => loaded.resolved,
        Err(_) => {
            context.output.warn("the configuration has mistakes, and a running gateway keeps the one before");
            context.output.hint("`casemate config check` lists them");
            Resolved::legible(&input)
        }
    })
}

/// As [`compile`], without following references to secrets.
pub fn compile_unresolved(input: &Input) -> anyhow::Result<Result<Loaded, Problems>> {
    Ok(casemate_config::load(input, &Anything, &builtins()?, 1))
}

/// All mistakes as one failure. Where an image has no digest, what its name stands for now is looked up.
pub fn failure(context: &Context, problems: &Problems) -> Failure {
    let message = match problems.list().len() {
        1 => "the configuration has a mistake".to_owned(),
        count => format!("the configuration has {count} mistakes"),
    };
    let mut listed = listed(problems);
    let unpinned = problems.list().iter().zip(&mut listed);
    let unpinned: Vec<_> =
        unpinned.filter_map(|(problem, shown)| Some((problem.image.as_deref()?, shown))).collect();
    if !unpinned.is_empty() {
        look_up(context, unpinned);
    }
    Failure::new(Exit::Configuration, message).problems(listed)
}

/// Replaces the advice about images by the very line to write, as far as the engine or a registry knows it.
fn look_up(context: &Context, unpinned: Vec<(&str, &mut Problem)>) {
    let Ok(runtime) = context.small_runtime() else { return };
    runtime.block_on(async {
        let until = tokio::time::Instant::now() + LOOKUP_TIME;
        let late = |_| Refused { what: "it takes too long".to_owned(), hint: String::new() };
        let engine = cells::find_engine(&context.paths, &context.environment);
        let engine = tokio::time::timeout_at(until, engine).await.map_err(late).flatten();
        for (image, problem) in unpinned {
            let line = match &engine {
                Ok(engine) => {
                    tokio::time::timeout_at(until, cells::pinned(engine, image)).await.map_err(late).flatten()
                }
                Err(refused) => Err(refused.clone()),
            };
            let before = problem.hint.take().unwrap_or_default();
            problem.hint = Some(match line {
                Ok(line) => format!("write {line}"),
                Err(Refused { what, .. }) => format!("{before} (it cannot be looked up now: {what})"),
            });
        }
    });
}

/// The mistakes, ready to be shown.
pub fn listed(problems: &Problems) -> Vec<Problem> {
    let listed = problems.list().iter().map(|problem| Problem {
        place: place(&problem.origin),
        message: problem.what.clone(),
        hint: problem.hint.clone(),
    });
    listed.collect()
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::File(place) => place.to_string(),
        other => other.to_string(),
    }
}

/// Edits the file and returns what it says afterwards. An edit that would make it wrong is not saved; what was
/// wrong before does not stand in the way.
pub fn edit<T>(
    context: &Context,
    change: impl FnOnce(&mut Document) -> Result<T, EditFault>,
) -> anyhow::Result<T> {
    edit_told(context, change, |problem| problem)
}

/// As [`edit`], with words of its own for what would be wrong.
pub fn edit_told<T>(
    context: &Context,
    change: impl FnOnce(&mut Document) -> Result<T, EditFault>,
    told: impl Fn(Problem) -> Problem,
) -> anyhow::Result<T> {
    let path = context.paths.config();
    let before = read_file(path)?;
    let mut document = Document::parse(before.as_deref().unwrap_or(STARTER))
        .map_err(|fault| anyhow::Error::new(fault).context(cannot_edit(path)))?;
    let changed = change(&mut document)?;
    let after = document.text();
    if before.as_deref() == Some(after.as_str()) {
        return Ok(changed);
    }
    let new = new_mistakes(path, before.as_deref().unwrap_or(STARTER), &after)?;
    if !new.is_empty() {
        let message = "nothing was changed, since the configuration would be wrong";
        let told = new.into_iter().map(told).collect();
        return Err(Failure::new(Exit::Configuration, message).problems(told).into());
    }
    casemate_config::save(path, before.as_deref(), &after)?;
    Ok(changed)
}

fn cannot_edit(path: &Path) -> Failure {
    Failure::new(Exit::Configuration, format!("{} cannot be edited", path.display()))
}

/// What an edit would make wrong. Whether references to secrets lead anywhere is judged where the gateway runs, so here
/// all of them do. No line is told: nobody has the text in which it would be one.
fn new_mistakes(path: &Path, before: &str, after: &str) -> anyhow::Result<Vec<Problem>> {
    let builtins = builtins()?;
    let judged = |text: &str| {
        let file = Some(File { path: path.to_owned(), text: text.to_owned() });
        let input = Input { file, ..Input::default() };
        let loaded = casemate_config::load(&input, &Anything, &builtins, 1);
        loaded.err().map(|problems| listed(&problems)).unwrap_or_default()
    };
    let known: Vec<String> = judged(before).into_iter().map(|problem| problem.message).collect();
    let new = judged(after).into_iter().filter(|problem| !known.contains(&problem.message));
    Ok(new.map(|problem| Problem { place: path.display().to_string(), ..problem }).collect())
}

/// Whether what was written is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is, or will be when a gateway starts.
    Begun,
    /// Mistakes elsewhere in the file keep it from being used.
    Waits,
}

/// Tells the running gateway, if there is one, that something was written, and waits until it holds. The file is
/// saved, so mistakes that keep a gateway from taking it over are warnings here.
pub fn announce(context: &Context) -> anyhow::Result<Use> {
    let socket = context.paths.control_socket();
    let asked = client::ask_if_running::<Reloaded>(&socket, &Request::Reload);
    let running = context.small_runtime()?.block_on(asked)?;
    let (who, mistakes) = match &running {
        Some(reloaded) => ("the running gateway does not use it", reloaded.problems.clone()),
        None => ("no gateway starts", mistakes_here(context)?),
    };
    match mistakes.as_slice() {
        [] => {}
        [one] => {
            context.output.warn(&format!("{who} before this is corrected: {}: {}", one.place, one.message));
            one.hint.iter().for_each(|hint| context.output.hint(hint));
            return Ok(Use::Waits);
        }
        all => {
            let count = all.len();
            context.output.warn(&format!("{who} before {count} mistakes in the configuration are corrected"));
            context.output.hint("`casemate config check` lists them");
            return Ok(Use::Waits);
        }
    }
    // A gateway may have been started with other variables and with the passphrase of its secrets.
    let seen = if running.is_some() { "as seen from here" } else { "when a gateway runs" };
    for problem in missing_here(context)? {
        context.output.warn(&format!("{seen}: {}: {}", problem.place, problem.message));
        problem.hint.iter().for_each(|hint| context.output.hint(hint));
    }
    Ok(Use::Begun)
}

fn mistakes_here(context: &Context) -> anyhow::Result<Vec<Problem>> {
    let input = read(context, None)?;
    Ok(compile(context, &input, 1, &held(context, &input))?.err().map(|all| listed(&all)).unwrap_or_default())
}

/// What servers would miss that a gateway were to start here. Of locked secrets nothing is known.
fn missing_here(context: &Context) -> anyhow::Result<Vec<Problem>> {
    let input = read(context, None)?;
    let held = held(context, &input);
    if matches!(held, Held::Unavailable(_)) {
        return Ok(Vec::new());
    }
    let loaded = compile(context, &input, 1, &held)?;
    Ok(loaded.map(|loaded| missing_secrets(&loaded.snapshot.servers).collect()).unwrap_or_default())
}

/// Our own program, which is started anew for the servers that come with it.
fn builtins() -> anyhow::Result<Builtins> {
    Ok(Builtins { program: std::env::current_exe().context("cannot find the path of this program")? })
}

fn read_file(path: &Path) -> anyhow::Result<Option<String>> {
    let unreadable = || Failure::new(Exit::Configuration, format!("cannot read {}", path.display()));
    match std::fs::metadata(path) {
        Ok(found) if found.len() > BYTES_MAX as u64 => {
            let message = format!("{} is larger than {} KiB", path.display(), BYTES_MAX >> 10);
            return Err(Failure::new(Exit::Configuration, message).into());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(_) | Err(_) => {}
    }
    std::fs::read_to_string(path).map(Some).with_context(unreadable)
}

/// Where references to secrets lead: our environment, our disk, and the vault.
struct Outside<'a> {
    environment: &'a Environment,
    held: &'a Held,
    seed: Option<[u8; SEED_BYTES]>,
}

impl Source for Outside<'_> {
    fn env(&self, name: &str) -> Option<String> {
        self.environment.text(name).map(str::to_owned)
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn policies(&self, folder: &Path) -> io::Result<Vec<(String, String)>> {
        policies::read(folder)
    }

    fn secret(&self, name: &SecretName) -> Result<SecretString, String> {
        self.held.find(name)
    }

    fn seed(&self) -> Option<[u8; SEED_BYTES]> {
        self.seed
    }
}

/// Every reference leads to something.
struct Anything;

impl Source for Anything {
    fn env(&self, _: &str) -> Option<String> {
        Some("something".to_owned())
    }

    fn read_file(&self, _: &Path) -> io::Result<String> {
        Ok("something".to_owned())
    }

    /// Policies are no secrets, and a change of the configuration can make one wrong.
    fn policies(&self, folder: &Path) -> io::Result<Vec<(String, String)>> {
        policies::read(folder)
    }

    fn read_rules(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn secret(&self, _: &SecretName) -> Result<SecretString, String> {
        Ok("something".to_owned().into())
    }
}
