//! Killing the gateway, again and again, while calls run: whatever it started has to be gone.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::Cache;
use crate::clock::Moment;
use crate::console::say;
use crate::installation::{Installation, Running};
use crate::{process, target};

/// How long the kernel and the reapers may take to clean up.
const GONE_MAX: Duration = Duration::from_secs(10);

/// Kills the gateway so many times.
pub(crate) fn run(cache: &Cache, count: usize) -> Result<()> {
    target::build()?;
    let node = cache.node()?;
    for round in 0..count {
        once(&node, round).with_context(|| format!("kill {} of {count}", round + 1))?;
    }
    say(format_args!("killed {count} times while calls ran; no process was left"));
    Ok(())
}

fn once(node: &Path, round: usize) -> Result<()> {
    let casemate = target::program("debug", "casemate")?;
    let fixture = target::program("debug", "casemate-fixture")?;
    // Both are arguments of processes, so that these can be told from all others of the machine.
    let tag = format!("{}{round:03}", std::process::id());
    let naps = format!("4000.{tag}");
    let text = |path: &Path| toml_edit::Value::from(path.to_string_lossy().into_owned());
    let configuration = format!(
        "[servers.fixture]\ncommand = [{}, \"--stdio\", \"--page-size\", \"{tag}\"]\n\
         [servers.everything]\ncommand = [{}, {}, \"stdio\", \"{tag}\"]\n",
        text(&fixture),
        text(&node.join("node")),
        text(&node.join("mcp-server-everything")),
    );
    let installation = Installation::new(&casemate, &configuration)?;
    let key = installation.key("user")?;
    let mut gateway = installation
        .up(process::command(&casemate))
        .with_context(|| format!("the gateway printed:\n{}", installation.printed()))?;

    let helper = call(&gateway, &key, ("fixture", "spawn_helper", &format!(r#"{{"seconds":"{naps}"}}"#)))?;
    ensure!(helper.contains("200 OK"), "spawn_helper was answered with:\n{helper}");
    let echo = call(&gateway, &key, ("everything", "echo", r#"{"message":"hi"}"#))?;
    ensure!(echo.contains("200 OK"), "everything was answered with:\n{echo}");
    // This one is in flight when the gateway dies; nobody reads its answer.
    let _pending = send(gateway.address, &key, ("fixture", "sleep_ms", r#"{"ms":60000}"#))?;
    ensure!(tagged(&tag)?.len() >= 3, "not all of the fixture, its helper and everything run");

    gateway.kill()?;
    let killed = Moment::now();
    loop {
        let left = tagged(&tag)?;
        if left.is_empty() {
            return Ok(());
        }
        if killed.elapsed() > GONE_MAX {
            bail!("still there after {GONE_MAX:?}: {left:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The command lines of all living processes that carry the tag.
fn tagged(tag: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc")? {
        let folder = entry?.path();
        // What is no process, or ended meanwhile, has no command line; neither has one that only waits to be reaped.
        let Ok(line) = fs::read(folder.join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(tag) {
            found.insert(format!("{}: {}", folder.display(), line.trim()));
        }
    }
    Ok(found)
}

/// Makes a call and returns the whole HTTP response.
fn call(gateway: &Running, key: &str, what: (&str, &str, &str)) -> Result<String> {
    let mut stream = send(gateway.address, key, what)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut response = String::new();
    stream.read_to_string(&mut response).context("the answer broke off")?;
    Ok(response)
}

/// Sends a call, in the modern form, and returns the connection.
fn send(address: SocketAddr, key: &str, (server, tool, arguments): (&str, &str, &str)) -> Result<TcpStream> {
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{meta}}}}}"#
    );
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /servers/{server}/mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(stream)
}
