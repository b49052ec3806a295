//! `casemate up`: runs the gateway.

use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use casemate_auth::KeySecret;
use casemate_config::Process;
use casemate_registry::lock::Lock;
use casemate_sandbox::Spawner;
use serde::Serialize;
use tracing_subscriber::filter::LevelFilter;

use crate::args::gateway::Up;
use crate::configuration;
use crate::context::Context;
use crate::daemon::{Daemon, Start};
use crate::exit::Exit;
use crate::launch::Word;
use crate::lock_file;
use crate::output::{Form, Page, Report, Tone};
use crate::secrets::Held;
use crate::{paths, secrets, seed};

/// A log of background gateways that is longer, in bytes, is put aside at the next start.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// After everything has ended in order, how long a blocked thread may hold up the end of the process.
const THREADS_TIME_MAX: Duration = Duration::from_secs(1);

/// Runs the gateway until it is told to stop.
pub fn run(context: &Arc<Context>, up: &Up) -> anyhow::Result<Exit> {
    let ended = serve(context, up);
    if up.background
        && let Err(error) = &ended
    {
        // Whoever started us reads this; the ordinary account of the error goes to the log.
        let account = crate::failure::Account::of(error);
        let mut line = serde_json::to_vec(&Word::Error(account))?;
        line.push(b'\n');
        let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), &line);
    }
    ended
}

/// The lock file that counts: the command line's, or else the configuration's.
fn held_to(up: &Up, process: &Process) -> anyhow::Result<Option<Lock>> {
    let own = process.locked.as_ref().map(|locked| (&locked.file, locked.key.as_deref()));
    let named = up.locked.as_ref().map(|file| (file, up.lock_key.as_deref())).or(own);
    named.map(|(file, key)| lock_file::read(file, key)).transpose()
}

fn serve(context: &Arc<Context>, up: &Up) -> anyhow::Result<Exit> {
    let input = configuration::read(context, up.listen)?;
    // Before any other thread, and never ended: what it starts dies with its thread.
    let spawner = Spawner::start().context("cannot start the thread that starts servers")?;
    let store = secrets::open(context)?;
    let vault = secrets::vault_asking(context, store.clone())?;
    let (held, seed) =
        context.small_runtime()?.block_on(async { (Held::of(&vault).await, seed::of(&store).await) });
    _ = context.seed.set(seed?);
    let loaded = configuration::compile(context, &input, 1, &held)?
        .map_err(|problems| configuration::failure(context, &problems))?;
    drop(held);
    let lock = held_to(up, &loaded.process)?;
    context.start_logging(loaded.process.log.parse().unwrap_or(LevelFilter::INFO))?;
    if let Err(error) = casemate_sandbox::raise_open_files() {
        tracing::warn!(%error, "the limit on open files stays; many servers and clients may reach it");
    }
    let text = input.file.map(|file| file.text);
    let start = Start { loaded, text, listen: up.listen, spawner, store, vault, lock };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(async {
        let daemon = Daemon::start(Arc::clone(context), start).await?;
        announce(context, &daemon, up)?;
        daemon.serve().await;
        anyhow::Ok(())
    })?;
    runtime.shutdown_timeout(THREADS_TIME_MAX);
    Ok(Exit::Success)
}

/// Says that the gateway is ready, to whoever waits for it.
fn announce(context: &Context, daemon: &Daemon, up: &Up) -> anyhow::Result<()> {
    if up.background {
        keep_key(context, daemon.first_key.as_ref())?;
        context.output.print_json(&Word::Ready { endpoint: daemon.endpoint.clone() })?;
        return move_to_log(&context.paths.gateway_log());
    }
    let terminal = std::io::stdout().is_terminal() && context.output.form() == Form::Human;
    let key = match &daemon.first_key {
        None => Key::Old,
        Some(key) if terminal => Key::Shown(key.expose()),
        kept => keep_key(context, kept.as_ref())?.map_or(Key::Old, Key::Kept),
    };
    context.output.print(&Welcome::new(context, daemon, key))
}

/// Puts the first key where only its owner can read it.
fn keep_key(context: &Context, key: Option<&KeySecret>) -> anyhow::Result<Option<PathBuf>> {
    let Some(key) = key else { return Ok(None) };
    let path = context.paths.first_key();
    paths::write_private(&path, format!("{}\n", key.expose()).as_bytes())
        .with_context(|| format!("cannot write the first API key to {}", path.display()))?;
    Ok(Some(path))
}

/// From here on, whatever is written, panics included, goes to the log: whoever started us is about to leave.
fn move_to_log(path: &Path) -> anyhow::Result<()> {
    if path.metadata().is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.old")).context("cannot put the old log aside")?;
    }
    let log = File::options().create(true).append(true).mode(0o600).open(path);
    let log = log.with_context(|| format!("cannot open {}", path.display()))?;
    rustix::stdio::dup2_stdout(&log).context("cannot move standard output to the log")?;
    rustix::stdio::dup2_stderr(&log).context("cannot move standard error to the log")
}

/// What is known of the first API key.
enum Key<'a> {
    /// The installation has keys already.
    Old,
    /// It is shown here, once.
    Shown(&'a str),
    /// It is in a file.
    Kept(PathBuf),
}

#[derive(Serialize)]
struct Welcome<'a> {
    endpoint: &'a str,
    pid: u32,
    config: &'a Path,
    mcp_socket: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<PathBuf>,
    #[serde(skip)]
    key: Option<&'a str>,
    #[serde(skip)]
    has_config: bool,
}

impl<'a> Welcome<'a> {
    fn new(context: &'a Context, daemon: &'a Daemon, key: Key<'a>) -> Welcome<'a> {
        let (key, key_file) = match key {
            Key::Old => (None, None),
            Key::Shown(key) => (Some(key), None),
            Key::Kept(file) => (None, Some(file)),
        };
        Welcome {
            endpoint: &daemon.endpoint,
            pid: std::process::id(),
            config: context.paths.config(),
            mcp_socket: context.paths.mcp_socket(),
            key_file,
            key,
            has_config: context.paths.config().exists(),
        }
    }
}

impl Report for Welcome<'_> {
    fn lay_out(&self, page: &mut Page) {
        page.heading(&format!("Casemate {} is ready.", env!("CARGO_PKG_VERSION")));
        page.gap();
        let config = self.config.display();
        let config = if self.has_config { config.to_string() } else { format!("{config} (none yet)") };
        page.table(
            &[],
            &[vec!["  endpoint".into(), self.endpoint.into()], vec!["  configuration".into(), config.into()]],
        );
        page.gap();
        page.line("  Add it to a client with one line, for example:");
        page.line(&page.toned(Tone::Strong, "    casemate install claude-code"));
        if let Some(key) = self.key {
            page.gap();
            page.line("  Clients that use the endpoint send this API key. It is shown this once:");
            page.line(&page.toned(Tone::Strong, &format!("    {key}")));
        }
        if let Some(file) = &self.key_file {
            page.gap();
            page.line("  Clients that use the endpoint send an API key. The first one is in:");
            page.line(&format!("    {}", file.display()));
        }
        page.gap();
    }
}
