//! The cell alone: what the command says and hears passes through, and so do signals and its end.

use casemate_gateway::upstream::{Launch, ProcessHandle};
use casemate_sandbox::{CellIo, Exit as Ended};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::task::TaskTracker;

use super::Place;
use super::signals::{self, Signals};
use crate::cells::Opened;
use crate::context::Context;
use crate::exit::Exit;

/// Runs the command to its end.
pub(super) fn run(context: &Context, place: Place, launch: &Launch) -> anyhow::Result<Exit> {
    let runtime = context.small_runtime()?;
    let ended = runtime.block_on(async {
        // From here on signals are the command's, also while it starts.
        let mut signals = Signals::listen()?;
        let design = place.design(launch).await?;
        let opened = place.cells.open(&launch.server, design).await;
        let Opened { io, mut remarks, running } = opened.map_err(super::not_started)?;
        place.tell(&running.report());
        let outputs = connect(io);
        let ended = loop {
            tokio::select! {
                ended = running.cell().wait() => break ended,
                number = signals.next() => running.cell().signal(number),
                Some(remark) = remarks.recv() => place.output.note(&format!("casemate: {remark}")),
            }
        };
        // What it has said is in the pipes, and nobody is left who could say more.
        outputs.wait().await;
        drop(running);
        place.leave().await;
        anyhow::Ok(ended)
    });
    // A thread may wait for our standard input, and nothing will make it stop.
    runtime.shutdown_background();
    Ok(Exit::Command(code(ended?)))
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

fn code(ended: Ended) -> u8 {
    match ended {
        Ended::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Ended::Signal(number) => signals::code(number),
    }
}
