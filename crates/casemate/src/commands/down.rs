//! `casemate down`: stops the running gateway and waits until it is gone.

use serde::Serialize;

use crate::args::gateway::Down;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Done, Request};
use crate::daemon::seat;
use crate::exit::Exit;
use crate::output::{Page, Report};

/// Stops the gateway. That none runs is no failure: what was asked for is so.
pub fn run(context: &Context, down: &Down) -> anyhow::Result<Exit> {
    let socket = context.paths.control_socket();
    context.paths.check_socket_length()?;
    let stop = Request::Stop { grace: down.grace };
    let asked: Option<Done> = context.small_runtime()?.block_on(client::ask_if_running(&socket, &stop))?;
    if asked.is_some() {
        // The kernel frees the lock when the process is gone, however it ended.
        seat::wait_until_free(&context.paths)?;
    }
    context.output.print(&Stopped { was_running: asked.is_some() })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Stopped {
    was_running: bool,
}

impl Report for Stopped {
    fn lay_out(&self, page: &mut Page) {
        page.line(if self.was_running { "The gateway has stopped." } else { "No gateway was running." });
    }
}
