//! `mcp.sock`: MCP with stdio framing, after one line that names the endpoint.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use casemate_gateway::endpoint::Endpoint;
use casemate_mcp::frame::{ErrorObject, Frame, Id};
use casemate_mcp::json::{Limits, Raw};
use casemate_mcp::revision::Revision;
use serde::Serialize;

use crate::args::gateway;
use crate::exit::Exit;
use crate::failure::Failure;

/// The longest answer that is read, in bytes: somewhat more than a gateway can be told to pass on.
const ANSWER_BYTES_MAX: u64 = (1 << 30) + (1 << 20);

/// The endpoint that was chosen on the command line.
pub fn endpoint(typed: &gateway::Endpoint) -> Endpoint {
    match (&typed.server, &typed.profile) {
        (Some(server), _) => Endpoint::Server(server.clone()),
        (None, Some(profile)) => Endpoint::Profile(profile.clone()),
        (None, None) => Endpoint::Joined,
    }
}

/// Opens a connection and names the endpoint. The gateway answers nothing; frames may follow at once.
pub fn open(socket: &Path, endpoint: &Endpoint) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(format!("casemate/1 {endpoint}\n").as_bytes())?;
    Ok(stream)
}

/// A client that asks one thing after the other, in the modern form, which needs no handshake.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<UnixStream>,
    asked: i64,
}

impl Client {
    /// A client on a connection that was opened with [`open`].
    pub fn new(stream: UnixStream) -> Client {
        Client { lines: BufReader::new(stream), asked: 0 }
    }

    /// Asks, and waits for the answer. The params carry a [`Meta`] as their `_meta`.
    pub fn ask(&mut self, method: &str, params: &impl Serialize) -> anyhow::Result<Result<Raw, ErrorObject>> {
        self.asked += 1;
        let request = Request { jsonrpc: "2.0", id: self.asked, method, params };
        let mut frame = serde_json::to_vec(&request).context("cannot word the request")?;
        frame.push(b'\n');
        let gone = || Failure::new(Exit::Unreachable, "the gateway went away before it answered");
        self.lines.get_mut().write_all(&frame).with_context(gone)?;
        loop {
            let mut line = Vec::new();
            self.lines.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line).with_context(gone)?;
            if line.is_empty() {
                return Err(gone().into());
            }
            let limits = Limits { bytes_max: line.len(), ..Limits::default() };
            let frame =
                Frame::parse(Bytes::from(line), &limits).context("the gateway gave an unreadable answer")?;
            // Progress and log messages may come first.
            match frame {
                Frame::Response { id: None, outcome } => return Ok(outcome),
                Frame::Response { id: Some(Id::Number(id)), outcome } if id == self.asked => {
                    return Ok(outcome);
                }
                _ => {}
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Request<'a, Params> {
    jsonrpc: &'static str,
    id: i64,
    method: &'a str,
    params: &'a Params,
}

/// What every modern request says about its sender.
#[derive(Debug, Serialize)]
pub struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    revision: &'static str,
    /// We can be asked nothing in mid-call.
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Nothing,
    #[serde(rename = "io.modelcontextprotocol/clientInfo")]
    client: Program,
    /// Whoever runs a command can hold what it prints.
    #[serde(rename = "io.casemate/results")]
    results: &'static str,
}

#[derive(Debug, Serialize)]
struct Nothing {}

#[derive(Debug, Serialize)]
struct Program {
    name: &'static str,
    version: &'static str,
}

impl Meta {
    /// What this program says about itself.
    pub fn ours() -> Meta {
        Meta {
            revision: Revision::V2026_07_28.as_str(),
            capabilities: Nothing {},
            client: Program { name: "casemate", version: env!("CARGO_PKG_VERSION") },
            results: "whole",
        }
    }
}
