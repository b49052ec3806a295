//! The cell alone: what the command says and hears passes through, and so do signals and its end.

use std::io;
use std::task::Poll;

use anyhow::Context as _;
use casemate_sandbox::{CellHandle, CellIo, Exit as Ended, Spawner, Spec};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::exit::Exit;

/// Runs the command to its end.
pub(super) fn run(context: &Context, spawner: &Spawner, spec: Spec) -> anyhow::Result<Exit> {
    let runtime = context.small_runtime()?;
    let ended = runtime.block_on(async {
        // From here on signals are the command's, also while it starts.
        let mut signals = Signals::listen()?;
        let cell = spawner.spawn(spec).await.map_err(super::no_cell)?;
        let (io, handle) = cell.split();
        tell(context, &handle);
        let outputs = connect(io);
        let ended = loop {
            tokio::select! {
                ended = handle.wait() => break ended,
                number = signals.next() => handle.signal(number),
            }
        };
        // What it has said is in the pipes, and nobody is left who could say more.
        outputs.wait().await;
        anyhow::Ok(ended)
    });
    // A thread may wait for our standard input, and nothing will make it stop.
    runtime.shutdown_background();
    Ok(Exit::Command(code(ended?)))
}

/// With `-v`, what is in force around the command.
fn tell(context: &Context, handle: &CellHandle) {
    if context.global.verbose == 0 {
        return;
    }
    let report = handle.report();
    match &report.enforced {
        Some(enforced) => context.output.note(&format!("casemate: {enforced}")),
        None => context.output.note(&format!("casemate: no cell; held together by {}", report.containment)),
    }
}

/// Joins the command's streams with ours. The tasks that are waited for are those of its outputs.
fn connect(io: CellIo) -> TaskTracker {
    let CellIo { stdin, stdout, stderr } = io;
    let (inputs, outputs) = (TaskTracker::new(), TaskTracker::new());
    inputs.spawn(pass(tokio::io::stdin(), stdin));
    outputs.spawn(pass(stdout, tokio::io::stdout()));
    outputs.spawn(pass(stderr, tokio::io::stderr()));
    outputs.close();
    outputs
}

/// Passes bytes on as they come. When one side is gone the other is let go, and so learns of it.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    if tokio::io::copy(&mut from, &mut to).await.is_ok() {
        let _ = to.flush().await;
    }
}

/// The exit code with which a shell passes an end on.
fn code(ended: Ended) -> u8 {
    let code = match ended {
        Ended::Code(code) => code,
        Ended::Signal(number) => 128 + number,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The signals that are passed on: those that ask a program to end, to read its files anew, or whatever it likes.
struct Signals(Vec<(i32, Signal)>);

impl Signals {
    fn listen() -> anyhow::Result<Signals> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let listen = |kind: SignalKind| io::Result::Ok((kind.as_raw_value(), signal(kind)?));
        let all = kinds.into_iter().map(listen).collect::<io::Result<_>>();
        all.map(Signals).context("cannot listen to signals")
    }

    /// The number of the next one. Cancel-safe.
    async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}
