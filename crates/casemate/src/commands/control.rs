//! `casemate start`, `stop`, `restart` and `logs`: what is done with a server of the running gateway.

use std::io::IsTerminal;

use casemate_mcp::names::ServerName;
use serde::Serialize;

use crate::args::servers::Logs;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Action, Done, LOG_LINES_MAX, Request};
use crate::exit::Exit;
use crate::output::{Page, Report, text};

/// Starts, stops or restarts a server.
pub fn act(context: &Context, server: &ServerName, action: Action) -> anyhow::Result<Exit> {
    let request = Request::Control { server: server.to_string(), action };
    let socket = context.paths.control_socket();
    let Done {} = context.small_runtime()?.block_on(client::ask(&socket, &request))?;
    let done = match action {
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Restart => "restarted",
    };
    context.output.print(&Acted { server: server.as_str(), done })?;
    Ok(Exit::Success)
}

/// Prints what a server wrote to stderr.
pub fn logs(context: &Context, logs: &Logs) -> anyhow::Result<Exit> {
    let request = Request::Logs { server: logs.server.to_string(), lines: logs.lines.min(LOG_LINES_MAX) };
    let socket = context.paths.control_socket();
    let lines: Vec<String> = context.small_runtime()?.block_on(client::ask(&socket, &request))?;
    if lines.is_empty() {
        context.output.note(&format!("{}: nothing was written to stderr yet", logs.server));
    }
    context.output.print(&Lines(lines))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Acted<'a> {
    server: &'a str,
    done: &'static str,
}

impl Report for Acted<'_> {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!("{}: {}", self.server, self.done));
    }
}

#[derive(Debug, Serialize)]
struct Lines(Vec<String>);

impl Report for Lines {
    fn lay_out(&self, page: &mut Page) {
        let terminal = std::io::stdout().is_terminal();
        for line in &self.0 {
            // Only a terminal can be fooled; a file or a program gets what the server wrote.
            page.line(&if terminal { text::safe(line) } else { line.into() });
        }
    }
}
