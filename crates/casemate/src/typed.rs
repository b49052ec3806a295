//! A server that was typed instead of written: the command line of `run` and its like, judged as an entry of the
//! configuration is, by the same code.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use casemate_auth::SecretName;
use casemate_config::{
    Document, EditFault, File, Loaded, NewServer, NewSource, NewValue, PackageSources, Problems, Process,
    STARTER,
};
use casemate_gateway::snapshot::{CommandSource, Program, ServerEntry, Snapshot, Source};
use casemate_gateway::upstream::Launch;
use casemate_inspect::Secret;
use casemate_mcp::names::ServerName;
use casemate_registry::Asked;
use casemate_sandbox::CellSpec;
use secrecy::{ExposeSecret, SecretString};

use crate::args::cells::{Room, Typed, Variable};
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Problem};
use crate::secrets::Held;

/// How long a typed server may be idle: as long as any. It belongs to one client, which ends it, and may hold state that
/// the client still needs.
const IDLE: &str = "1d";

/// What a server's name may have.
const NAME_CHARS_MAX: usize = 32;

/// The configuration of the installation with the server that was typed, and with no other.
#[derive(Debug)]
pub struct Server {
    /// What its calls are judged by.
    pub snapshot: Snapshot,
    /// The server.
    pub entry: Arc<ServerEntry>,
    /// What is to be started for it.
    pub launch: Launch,
    /// How long calls in flight may take to finish at the end.
    pub grace: Duration,
    /// Where packages come from.
    pub packages: PackageSources,
}

impl Server {
    /// Judges what was typed.
    ///
    /// # Errors
    /// The mistakes of the configuration file, or those on the command line.
    pub fn of(context: &Context, typed: &Typed) -> anyhow::Result<Server> {
        // Mistakes of the file are told as such. All others are the command line's.
        configuration::inspect(context)?;
        let name = name(typed)?;
        let Loaded { mut snapshot, process, .. } = compile(context, &name, typed)?;
        let entry = snapshot.servers.remove(&name).context("the server that was typed is lost")?;
        let mut entry = Arc::unwrap_or_clone(entry);
        let Source::Command(command) = &mut entry.source else {
            anyhow::bail!("what was typed is no command");
        };
        complete(context, typed, command)?;
        snapshot.inspecting.inspection =
            Arc::new(snapshot.inspecting.inspection.with_secrets(&secrets(command)));
        let launch = Launch { server: name.clone(), program: Program::Command(command.clone()) };
        let entry = Arc::new(entry);
        snapshot.servers = [(name, Arc::clone(&entry))].into();
        snapshot.profiles.clear();
        let Process { shutdown_grace: grace, packages, .. } = process;
        Ok(Server { snapshot, entry, launch, grace, packages })
    }
}

/// The variables of a command that hold secrets. What is typed may be anything, so looks decide.
fn secrets(command: &CommandSource) -> Vec<Secret> {
    let looks = |(name, value): &(&String, &SecretString)| {
        casemate_config::looks_like_secret(name, value.expose_secret()).is_some()
    };
    let secrets = command.env.iter().filter(looks);
    secrets.filter_map(|(_, value)| Secret::new(value.expose_secret())).collect()
}

/// The whole configuration, as if the server stood in it.
fn compile(context: &Context, name: &ServerName, typed: &Typed) -> anyhow::Result<Loaded> {
    let mut input = configuration::read(context, None)?;
    let before = input.file.as_ref().map_or(STARTER, |file| file.text.as_str());
    let mut document = Document::parse(before)?;
    let taken = || {
        Failure::new(Exit::Usage, format!("a server called {name} is configured already")).hint(format!(
            "`casemate connect --server {name}` speaks to that one; --name gives this one another name"
        ))
    };
    match document.add(name, &new_server(typed)?) {
        Err(EditFault::Exists(_)) => return Err(taken().into()),
        added => added?,
    }
    input.file = Some(File { path: context.paths.config().to_owned(), text: document.text() });
    let loaded = configuration::compile_unresolved(&input)?;
    Ok(loaded.map_err(|problems| mistakes(name, &problems))?)
}

/// What the entry's code has found wrong, in the words of the command line.
fn mistakes(name: &ServerName, problems: &Problems) -> Failure {
    let listed = configuration::listed(problems).into_iter().map(|problem| as_typed(name, problem));
    Failure::new(Exit::Usage, "the server cannot be run so").problems(listed.collect())
}

/// A mistake in an entry that was never written, in the words of the command line that it was made from.
pub fn as_typed(name: &ServerName, problem: Problem) -> Problem {
    Problem {
        place: "command line".to_owned(),
        message: as_flags(name, &problem.message),
        hint: problem.hint.map(|hint| as_flags(name, &hint)),
    }
}

/// A sentence about the keys of an entry, as one about flags.
fn as_flags(name: &ServerName, text: &str) -> String {
    let mut text = text.to_owned();
    for key in [
        "network",
        "read",
        "write",
        "runtime",
        "memory",
        "cpu",
        "processes",
        "install_scripts",
        "host_stats",
        "cell",
        "allow_unsandboxed",
        "image",
        "url",
        "cwd",
    ] {
        let flag = format!("--{}", key.replace('_', "-"));
        for spelled in
            [format!("servers.{name}.limits.{key}"), format!("servers.{name}.{key}"), format!("`{key}`")]
        {
            text = text.replace(&spelled, &flag);
        }
    }
    text.replace(&format!(" in [servers.{name}]"), "")
}

/// What of it a file could hold. Arguments and variables are put in afterwards: they may be secrets, which a file must
/// not hold, and a command line may.
fn new_server(typed: &Typed) -> anyhow::Result<NewServer> {
    let program = typed.command.first().context("there is no command")?;
    let source = NewSource::Command { command: vec![program.clone()], env: Vec::new(), cwd: None };
    let mut settings = settings(&typed.room)?;
    settings.insert(0, ("timeout.idle", NewValue::Text(IDLE.to_owned())));
    Ok(NewServer { settings, ..NewServer::new(source) })
}

/// What a server gets to see and may use, as its entry has it.
///
/// # Errors
/// A path that cannot be granted.
pub fn settings(room: &Room) -> anyhow::Result<Vec<(&'static str, NewValue)>> {
    let Room { network, read, write, memory, cpu, processes, light, allow_unsandboxed, .. } = room;
    let text = |text: &String| NewValue::Text(text.clone());
    let mut settings = Vec::new();
    if *light {
        settings.push(("cell", NewValue::Text("light".to_owned())));
    }
    if *allow_unsandboxed {
        settings.push(("allow_unsandboxed", NewValue::Switch(true)));
    }
    if room.host_stats {
        settings.push(("host_stats", NewValue::Switch(true)));
    }
    if room.install_scripts {
        settings.push(("install_scripts", NewValue::Switch(true)));
    }
    for (key, paths) in [("read", read), ("write", write)] {
        let paths = paths.iter().map(|path| granted(path)).collect::<anyhow::Result<Vec<_>>>()?;
        if !paths.is_empty() {
            settings.push((key, NewValue::Texts(paths)));
        }
    }
    let absolute = |path: &PathBuf| {
        let path = std::path::absolute(path)?;
        path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
    };
    let runtime = room.runtime.iter().map(absolute).collect::<anyhow::Result<Vec<_>>>()?;
    if !runtime.is_empty() {
        settings.push(("runtime", NewValue::Texts(runtime)));
    }
    if !network.is_empty() {
        settings.push(("network", NewValue::Texts(network.clone())));
    }
    settings.extend(memory.iter().map(|size| ("limits.memory", text(size))));
    settings.extend(cpu.iter().map(|number| ("limits.cpu", NewValue::Fraction(*number))));
    settings.extend(processes.iter().map(|count| ("limits.processes", NewValue::Number((*count).into()))));
    Ok(settings)
}

/// A path without links, since none may be in a grant: what was typed is meant as it leads now.
fn granted(path: &Path) -> anyhow::Result<String> {
    let failed = || Failure::new(Exit::Usage, format!("{} cannot be granted", path.display()));
    let real = path.canonicalize().with_context(failed)?;
    let text = real.to_str().context("the path is not UTF-8").with_context(failed)?;
    Ok(text.to_owned())
}

/// Puts in what no file could hold.
fn complete(context: &Context, typed: &Typed, command: &mut CommandSource) -> anyhow::Result<()> {
    let (program, args) = typed.command.split_first().context("there is no command")?;
    // A relative path is meant from here, wherever the server will start.
    command.program = match program.contains('/') {
        true => std::path::absolute(program)?.to_str().context("the program's path is not UTF-8")?.to_owned(),
        false => program.clone(),
    };
    command.args = args.to_vec();
    for variable in &typed.room.env {
        command.env.insert(variable.name.clone(), value(context, variable)?);
    }
    let current = std::env::current_dir().and_then(|folder| folder.canonicalize()).ok();
    command.cwd = current.filter(|folder| typed.room.allow_unsandboxed || is_seen(&typed.room, folder));
    Ok(())
}

/// Whether the server sees a folder, so that relative paths in its arguments mean what they mean to whoever typed them.
fn is_seen(room: &Room, folder: &Path) -> bool {
    let granted = room.read.iter().chain(&room.write).filter_map(|path| path.canonicalize().ok());
    let mut seen = CellSpec::RUNTIME.map(PathBuf::from).into_iter().chain(granted);
    seen.any(|seen| folder.starts_with(seen))
}

fn value(context: &Context, variable: &Variable) -> anyhow::Result<SecretString> {
    let ours = |name: &str| {
        context.environment.text(name).map(SecretString::from).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("the variable {name} is not set"))
                .hint("set it, or leave it out")
        })
    };
    let Some(value) = &variable.value else { return Ok(ours(&variable.name)?) };
    if let Some(name) = value.strip_prefix("env:") {
        return Ok(ours(name)?);
    }
    if let Some(name) = value.strip_prefix("secret:") {
        let wrong = |why: String| {
            let message = format!("the value of {} is not there: {why}", variable.name);
            Failure::new(Exit::Usage, message).hint("`casemate secret list` shows the secrets that there are")
        };
        let name = SecretName::parse(name).map_err(|fault| wrong(fault.to_string()))?;
        return Ok(Held::for_text(context, value).find(&name).map_err(wrong)?);
    }
    let Some(path) = value.strip_prefix("file:") else { return Ok(value.clone().into()) };
    let unreadable = || Failure::new(Exit::Usage, format!("the value of {} cannot be read", variable.name));
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {path}"))
        .with_context(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

/// What a server is called that was given no name: what its package is called, or its program.
fn name(typed: &Typed) -> anyhow::Result<ServerName> {
    if let Some(name) = &typed.name {
        return Ok(name.clone());
    }
    let (program, args) = typed.command.split_first().context("there is no command")?;
    let package = match Asked::recognize(program, args) {
        Some(Ok(asked)) => asked.packages().first().map(|package| package.name().to_owned()),
        _ => None,
    };
    let called = package.unwrap_or_else(|| program.clone());
    let last = called.rsplit('/').next().unwrap_or(&called);
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let parts: Vec<&str> = plain.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("-");
    name.truncate(NAME_CHARS_MAX);
    ServerName::parse(name.trim_end_matches('-')).map_err(|_| {
        Failure::new(Exit::Usage, format!("no name follows from {called:?}"))
            .hint("give one with --name")
            .into()
    })
}
