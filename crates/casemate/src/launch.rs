//! Reaching the gateway of the installation, and starting one when none runs.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::Context as _;
use casemate_gateway::endpoint::Endpoint;
use casemate_sandbox::Spec;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::control::client::nobody_listens;
use crate::daemon::seat;
use crate::environment::{CASEMATE_CONFIG, CASEMATE_HOME};
use crate::exit::Exit;
use crate::failure::{Account, Failure};
use crate::link;

/// The most that a gateway may say before it is ready, in bytes.
const PREFACE_BYTES_MAX: u64 = 1 << 20;

/// A line of a gateway that was started in the background. Its log lines are not of this form.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It serves.
    Ready {
        /// Where all servers are joined.
        endpoint: String,
    },
    /// It could not start.
    Error(Account),
}

/// Opens a connection to the gateway; when none runs, starts one in the background. Of many that find none at
/// the same time, one starts it and the others wait.
pub fn reach(context: &Context, endpoint: &Endpoint) -> anyhow::Result<UnixStream> {
    if let Some(stream) = open(context, endpoint)? {
        return Ok(stream);
    }
    context.paths.prepare_run()?;
    let _launching = seat::wait_for(&context.paths.launch_lock())?;
    if let Some(stream) = open(context, endpoint)? {
        return Ok(stream);
    }
    context.output.note("No gateway runs; starting one in the background.");
    let failed = start(context)?;
    // Ours may have failed because somebody else's was faster: that one listens once this lock is free.
    drop(seat::wait_for(&context.paths.start_lock())?);
    let stream = open(context, endpoint)?;
    stream.ok_or_else(|| did_not_start(failed))
}

fn open(context: &Context, endpoint: &Endpoint) -> anyhow::Result<Option<UnixStream>> {
    context.paths.check_socket_length()?;
    let socket = context.paths.mcp_socket();
    match link::open(&socket, endpoint) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if nobody_listens(&error) || error.kind() == io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => {
            let message = format!("cannot reach the gateway at {}", socket.display());
            Err(error).context(Failure::new(Exit::Unreachable, message))
        }
    }
}

/// Starts `casemate up` and waits until it is ready. When it ends instead, returns what it said, if anything.
fn start(context: &Context) -> anyhow::Result<Option<Account>> {
    let (said, saying) = io::pipe().context("cannot make a pipe")?;
    let saying = File::from(OwnedFd::from(saying));
    casemate_sandbox::spawn_detached(&spec(context)?, &saying)
        .context(Failure::new(Exit::Unreachable, "cannot start a gateway in the background"))?;
    drop(saying);
    listen(said)
}

/// Reads until the gateway is ready (`None`) or has ended.
fn listen(said: PipeReader) -> anyhow::Result<Option<Account>> {
    for line in BufReader::new(said.take(PREFACE_BYTES_MAX)).lines() {
        let line = line.context("cannot hear the gateway that was started")?;
        match serde_json::from_str(&line) {
            Ok(Word::Ready { .. }) => return Ok(None),
            Ok(Word::Error(account)) => return Ok(Some(account)),
            Err(_) => {}
        }
    }
    Ok(Some(Account::default()))
}

/// Our own program, with our own environment: it stands for a command that a person could have typed.
fn spec(context: &Context) -> anyhow::Result<Spec> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut env: Vec<(OsString, secrecy::SecretString)> = Vec::new();
    let kept = |name: &str| name != CASEMATE_HOME && name != CASEMATE_CONFIG;
    for (name, value) in context.environment.all() {
        // A value that is no text cannot be one that Casemate or a server's entry asks for.
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str())
            && kept(name)
        {
            env.push((name.into(), value.to_owned().into()));
        }
    }
    let mut args: Vec<OsString> = vec!["up".into(), "--background".into(), "--json".into()];
    if let Some(home) = context.paths.home() {
        args.extend(["--home".into(), home.into()]);
    }
    if context.paths.config_is_chosen() {
        args.extend(["--config".into(), context.paths.config().into()]);
    }
    let cwd = Some(PathBuf::from("/"));
    Ok(Spec { program: program.into(), args, env, cwd, label: "gateway".to_owned(), cell: None })
}

fn did_not_start(said: Option<Account>) -> anyhow::Error {
    let said = said.unwrap_or_default();
    let failure =
        Failure::new(Exit::Unreachable, "a gateway was started in the background, but it ended at once")
            .problems(said.problems)
            .hint("run `casemate up` to see it happen");
    let failure = said.hints.into_iter().fold(failure, Failure::hint);
    let reasons: Vec<String> = std::iter::once(said.message).chain(said.causes).collect();
    match reasons.join(": ") {
        reason if reason.is_empty() => failure.into(),
        reason => anyhow::Error::msg(reason).context(failure),
    }
}
