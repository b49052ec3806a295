//! `casemate sandbox learn`: a server is watched at work, and what it should be granted is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use casemate_gateway::snapshot::Program;
use casemate_gateway::upstream::Launch;
use casemate_sandbox::learn::{Lessons, Observed};
use casemate_sandbox::{Exit as Ended, Spawner};
use casemate_store::RecordLog;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::subject::Subject;
use crate::args::cells::Learn;
use crate::cells::{Cells, Opened, Refused, Running, Spelling, Surroundings};
use crate::commands::run::signals::Signals;
use crate::commands::run::streams;
use crate::commands::run::unseen::is_relative_file;
use crate::context::Context;
use crate::daemon::FAREWELL;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::packages::{self, Life};
use crate::wiring::recorder::Log;
use lesson::Lesson;

mod lesson;

/// How long a server that is told to end may take.
const GRACE: Duration = Duration::from_secs(3);

/// Watches it until it ends, or is ended, and tells what it needs.
pub(super) fn run(context: &Context, learn: &Learn) -> anyhow::Result<Exit> {
    let mut subject = Subject::to_run(context, &learn.which)?;
    let starts_in = start_here(&mut subject);
    let spawner = Spawner::start().context("cannot start the thread that starts processes")?;
    context.paths.prepare_data()?;
    let log = Arc::new(Log::new(RecordLog::open(&context.paths.records())?));
    let tracker = TaskTracker::new();
    let life = Life { tracker: tracker.clone(), stop: CancellationToken::new(), log: Arc::clone(&log) };
    let packages = packages::of(context, &subject.packages, spawner.clone(), life);
    let cells = Cells::new(spawner, Surroundings::of(context)?, tracker.clone());
    let cells = cells.spelled(subject.spelling).preparing(packages).recording(Arc::clone(&log));
    let runtime = context.small_runtime()?;
    let watched = runtime.block_on(async {
        let watched = watch(context, &cells, &subject.launch).await;
        tracker.close();
        let _ = tokio::time::timeout(FAREWELL, tracker.wait()).await;
        watched
    });
    // A thread may wait for our standard input, and nothing will make it stop.
    runtime.shutdown_background();
    log.sync();
    let Watched { ended, is_asked, observed } = watched?;
    if ended != Ended::Code(0) {
        context.output.note(&format!("casemate: it ended with {ended}"));
    }
    let lesson = Lesson::new(&subject, &observed).starting_in(starts_in);
    if lesson.is_empty() && !is_asked && ended != Ended::Code(0) {
        let failure = Failure::new(Exit::Failure, "the server failed, so nothing was learned");
        return Err(failure.hint("what it said stands above; correct its command and learn again").into());
    }
    if let Some(path) = &learn.output {
        std::fs::write(path, lesson.text(context.output.form())?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    lesson.tell(&context.output)?;
    Ok(Exit::Success)
}

/// A relative path means what it means to whoever typed it, so that a command which names one starts here.
fn start_here(subject: &mut Subject) -> Option<PathBuf> {
    let Program::Command(command) = &mut subject.launch.program else { return None };
    if subject.spelling != Spelling::Flags || command.cwd.is_some() {
        return None;
    }
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).ok()?;
    let is_needed = command.args.iter().any(|arg| is_relative_file(arg, &here));
    command.cwd = is_needed.then(|| here.clone());
    command.cwd.clone()
}

/// How it ended, and what was seen until then.
struct Watched {
    ended: Ended,
    /// Whether it was told to end.
    is_asked: bool,
    observed: Observed,
}

async fn watch(context: &Context, cells: &Cells, launch: &Launch) -> anyhow::Result<Watched> {
    let mut signals = Signals::listen()?;
    let design = cells.design(launch).await.map_err(not_started)?;
    let home = context.environment.home();
    let started = cells.learn(&launch.server, design, home.as_deref()).await;
    let (Opened { io, mut remarks, running }, lessons) = started.map_err(not_started)?;
    context.output.note(
        "casemate: it is watched, and sees what you see, but for what is nobody's business. Speak to it on standard input \
         and output, as a client does; its end, or Ctrl-C, shows what it needs.",
    );
    let outputs = streams::connect(io);
    let (ended, is_asked) = loop {
        tokio::select! {
            ended = running.cell().wait() => break (ended, false),
            _ = signals.next() => break (end(&running, &mut signals).await, true),
            Some(remark) = remarks.recv() => context.output.note(&format!("casemate: {remark}")),
        }
    };
    outputs.wait().await;
    drop(running);
    Ok(Watched { ended, is_asked, observed: learned(&lessons).await })
}

/// Asks it to end; a second signal does not ask.
async fn end(running: &Running, signals: &mut Signals) -> Ended {
    tokio::select! {
        ended = running.cell().terminate(GRACE) => ended,
        _ = signals.next() => {
            running.cell().kill();
            running.cell().wait().await
        }
    }
}

/// All that was seen. What still comes after the end comes at once.
async fn learned(lessons: &Lessons) -> Observed {
    match tokio::time::timeout(FAREWELL, lessons.to_the_end()).await {
        Ok(observed) => observed,
        Err(_) => lessons.so_far(),
    }
}

fn not_started(refused: Refused) -> anyhow::Error {
    let failure = Failure::new(Exit::NotStarted, "the server was not started").hint(refused.hint);
    anyhow::Error::msg(refused.what).context(failure)
}

/// A word of a command line, as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
