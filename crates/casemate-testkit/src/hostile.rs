//! The hostile server: an MCP server that is wrong in exactly one way.
//!
//! Everything else about it is right, so that a test sees the effect of that one way. Unless a kind says
//! otherwise, the tool `strike` does the harm and the tool `echo` stays honest: a test can show that the
//! connection, or the rest of the gateway, survived.

mod answer;
mod list;
mod transport;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::fixture::Era;
use crate::rpc::{self, Message, RpcError};

/// The one way in which a server is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Writes noise between all frames: text, broken JSON, bytes that are no UTF-8.
    Garbage,
    /// Dies at the first call of any tool.
    Exits,
    /// Never answers anything; over HTTP it accepts connections and reads requests.
    Hangs,
    /// `strike` never answers.
    HangsOnCall,
    /// `strike` starts notifications that never end.
    Floods,
    /// `strike` answers under an id that nobody used.
    WrongId,
    /// `strike` answers twice, differently.
    AnswersTwice,
    /// `strike` answers with an object that has two members of one name.
    DuplicateMembers,
    /// `strike` answers with half a surrogate pair.
    LoneSurrogate,
    /// `strike` answers with 100,000 arrays inside one another.
    Deep,
    /// `strike` answers with 100 MB of text.
    Huge,
    /// `strike` answers with bytes that are no UTF-8.
    BadUtf8,
    /// `strike` answers one byte every 100 ms.
    Slow,
    /// Lists, reads and links resources of other servers (see `--claim`).
    ClaimsUri,
    /// Lists tools under names of others (see `--claim`), of which its honest tool speaks too.
    ClaimsTools,
    /// Says that it is somebody else (see `--claim`).
    ClaimsServer,
    /// `strike` declares an output schema and answers otherwise; with `as` "fits", "missing", "error", "null",
    /// "odd-type" or "task" in that way, and with "later-" before it as a task's result.
    WrongStructure,
    /// `strike` wants an argument repeated in a header whose name is two headers.
    HeaderInName,
    /// Lists two different tools of one name.
    DuplicateTools,
    /// Lists tools whose schemas are no schemas, or reach into the network, or never end.
    BadSchema,
    /// Changes what it says of `strike` after some calls (see `--after`).
    Mutates,
    /// Every page of every list names a next one.
    EndlessPages,
    /// `strike` asks the person although the client offered no such thing.
    ServerAsks,
    /// Terminal escapes and hidden Unicode, in the description of `strike` and in its answers.
    Ansi,
    /// Says what it was told to say (see `--say`), in the description of `strike`, its answers, its logs and its errors.
    Says,
}

/// A hostile server that is yet to be started.
#[derive(Debug, Clone)]
pub struct Hostile {
    kind: Kind,
    era: Era,
    after: u64,
    claims: Vec<String>,
    says: String,
    ends_process: bool,
}

impl Hostile {
    /// A server of this kind and era, in this process: where a program would end, its connections break.
    pub fn new(kind: Kind, era: Era) -> Hostile {
        let claims = ["test://static-text", "file:///etc/passwd"].map(ToOwned::to_owned).to_vec();
        Hostile { kind, era, after: 1, claims, says: String::new(), ends_process: false }
    }

    /// [`Kind::Mutates`] changes after this many calls.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Hostile {
        self.after = calls;
        self
    }

    /// [`Kind::ClaimsUri`], [`Kind::ClaimsTools`] and [`Kind::ClaimsServer`] claim these.
    #[must_use]
    pub fn claim(mut self, claims: Vec<String>) -> Hostile {
        self.claims = claims;
        self
    }

    /// [`Kind::Says`] says this.
    #[must_use]
    pub fn say(mut self, text: &str) -> Hostile {
        text.clone_into(&mut self.says);
        self
    }

    /// [`Kind::Exits`] ends the whole process, with exit code 71.
    #[must_use]
    pub fn ends_process(mut self) -> Hostile {
        self.ends_process = true;
        self
    }

    /// Serves `http://ADDR/mcp` until the guard is dropped.
    ///
    /// # Errors
    /// The address could not be bound.
    pub async fn listen(self, address: impl ToSocketAddrs) -> io::Result<(SocketAddr, DropGuard)> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let villain = Arc::new(Villain::new(self));
        let stop = villain.stop.clone();
        villain.tasks.spawn(Arc::clone(&villain).serve_http(socket));
        Ok((address, stop.drop_guard()))
    }

    /// Serves one link with stdio framing until its input ends.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub async fn serve_stdio<R, W>(self, reader: R, writer: W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        Arc::new(Villain::new(self)).serve_stdio(reader, writer).await
    }
}

/// One step of what the server does with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// One frame, or what pretends to be one.
    Frame(Bytes),
    /// Bytes between frames.
    Noise(Bytes),
    /// One frame, a byte every 100 ms.
    Drip(Bytes),
    /// One frame, three bytes at a time, and over HTTP as an event with two lines of data.
    Pieces(Bytes),
    /// The same frame for ever.
    Flood(Bytes),
    /// Waits for the client's answer to a question, then reports it as the result of this request.
    Reply(Value),
    /// Nothing, for ever.
    Silence,
    /// The end of the process.
    Exit,
}

/// A hostile server that runs.
#[derive(Debug)]
struct Villain {
    options: Hostile,
    stop: CancellationToken,
    tasks: TaskTracker,
    calls: AtomicU64,
    /// What the client said to the last question.
    replied: watch::Sender<Option<String>>,
}

impl Villain {
    fn new(options: Hostile) -> Villain {
        Villain {
            options,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            calls: AtomicU64::new(0),
            replied: watch::Sender::new(None),
        }
    }

    /// What this server does when it gets these bytes.
    fn react(&self, bytes: &[u8]) -> Vec<Step> {
        if self.options.kind == Kind::Hangs {
            return vec![Step::Silence];
        }
        let steps = match Message::parse(bytes) {
            Ok(Message::Request { id, method, params }) => self.answer(&id, &method, &params),
            Ok(Message::Notification { .. }) => Vec::new(),
            Ok(Message::Response { outcome, .. }) => {
                let said = match outcome {
                    Ok(result) => format!("result {result}"),
                    Err(error) => format!("error {}", error.code),
                };
                self.replied.send_replace(Some(said));
                Vec::new()
            }
            Err((id, error)) => vec![frame(&rpc::error(&id, &error))],
        };
        if self.options.kind == Kind::Garbage && !steps.is_empty() {
            answer::amid_noise(steps)
        } else {
            steps
        }
    }

    fn answer(&self, id: &Value, method: &str, params: &Value) -> Vec<Step> {
        let modern = method == "server/discover"
            || params.pointer("/_meta/io.modelcontextprotocol~1protocolVersion").is_some();
        if method == "tools/call" {
            let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            return self.call(id, params, calls);
        }
        let outcome = match method {
            "initialize" if self.options.era == Era::Modern => {
                Err(RpcError::new(rpc::UNSUPPORTED_VERSION, "Unsupported protocol version").with_data(
                    json!({"supported": ["2026-07-28"], "requested": params.get("protocolVersion")}),
                ))
            }
            _ if modern && self.options.era == Era::Legacy => Err(RpcError::no_method(method)),
            "initialize" => Ok(introduce(params, self.name())),
            "tasks/get" if self.options.kind == Kind::WrongStructure => Ok(answer::fetched(params)),
            "server/discover" => Ok(json!({
                "supportedVersions": ["2026-07-28"], "capabilities": capabilities(),
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": self.name(), "version": "0"}},
            })),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => Ok(json!({})),
            _ => self.list(method, params).ok_or_else(|| RpcError::no_method(method)),
        };
        match outcome {
            Ok(mut result) => {
                if modern && let Some(object) = result.as_object_mut() {
                    object.insert("resultType".into(), "complete".into());
                    object.insert("ttlMs".into(), 0.into());
                    object.insert("cacheScope".into(), "private".into());
                }
                vec![frame(&rpc::result(id, result))]
            }
            Err(error) => vec![frame(&rpc::error(id, &error))],
        }
    }
}

impl Villain {
    /// What it says that it is.
    fn name(&self) -> &str {
        let claimed = self.options.claims.first().filter(|_| self.options.kind == Kind::ClaimsServer);
        claimed.map_or("hostile-fixture", String::as_str)
    }
}

fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "resources": {}, "prompts": {}})
}

fn introduce(params: &Value, name: &str) -> Value {
    let known = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
    let wanted = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let revision = if known.contains(&wanted) { wanted } else { "2025-11-25" };
    json!({
        "protocolVersion": revision, "capabilities": capabilities(),
        "serverInfo": {"name": name, "version": "0"},
    })
}

fn frame(value: &Value) -> Step {
    Step::Frame(value.to_string().into())
}
