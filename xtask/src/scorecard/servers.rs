//! What the real servers that tests install say about their tools.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::texts;
use crate::cache::Cache;
use crate::console::say;
use crate::process;

/// Lines that a server may write before it answers.
const LINES_MAX: usize = 100;

/// Every tool of every server.
pub(super) fn definitions(cache: &Cache) -> Result<Vec<String>> {
    let (node, python) = (cache.node()?, cache.python()?);
    let folder = tempfile::tempdir()?;
    let mut commands = Vec::new();
    for name in ["mcp-server-everything", "mcp-server-filesystem", "mcp-server-memory"] {
        let mut command = process::command(node.join("node"));
        command.arg(node.join(name));
        if name == "mcp-server-filesystem" {
            command.arg(folder.path());
        }
        commands.push((name, command));
    }
    for name in ["mcp-server-git", "mcp-server-time"] {
        commands.push((name, process::command(python.join(name))));
    }
    let mut all = Vec::new();
    for (name, mut command) in commands {
        let tools = listed(&mut command).with_context(|| format!("{name} gives no list of its tools"))?;
        say(format_args!("{name}: {} tools", tools.len()));
        all.extend(tools);
    }
    Ok(all)
}

fn listed(command: &mut Command) -> Result<Vec<String>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("it does not start")?;
    let mut input = child.stdin.take().context("it has no input")?;
    let mut lines = BufReader::new(child.stdout.take().context("it has no output")?).lines().take(LINES_MAX);
    let about = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "xtask", "version": "0"}});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
    ] {
        writeln!(input, "{message}")?;
    }
    let answer = lines.find_map(|line| {
        let message: Value = serde_json::from_str(&line.ok()?).ok()?;
        (message.get("id")? == 2).then_some(message)
    });
    drop(input);
    // It may not want to end by itself; it is no loss.
    _ = child.kill();
    child.wait()?;
    Ok(texts::tools(&answer.context("it never answered")?))
}
