//! The cell alone: what the command says and hears passes through, and so do signals and its end.

use casemate_gateway::upstream::{Launch, ProcessHandle};
use casemate_sandbox::Exit as Ended;

use super::signals::{self, Signals};
use super::{Place, streams};
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
        let outputs = streams::connect(io);
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

fn code(ended: Ended) -> u8 {
    match ended {
        Ended::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Ended::Signal(number) => signals::code(number),
    }
}
