//! Any transport in, any transport out: the full product, for a call, its progress, its cancellation, and a server's
//! question in mid-call.

use std::path::Path;
use std::sync::Arc;

use casemate_mcp::names::ServerName;
use casemate_testkit::client::{McpHttp, McpStdio};
use casemate_testkit::fixture::Guard;
use casemate_testkit::{Era, Fixture, posts, socket};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::harness::{
    Harness, background, http_entry, http_server, socket_entry, stdio_entry, websocket_entry,
};
use crate::edge::lines::{PREAMBLE, serve_connection};
use crate::snapshot::{ServerEntry, SocketSource};
use casemate_transport::listener::Peer;

/// How a client reaches the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Http,
    WebSocket,
    Events,
    Lines,
}

const INS: [In; 4] = [In::Http, In::WebSocket, In::Events, In::Lines];

/// How the gateway reaches a server, and what that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Out {
    Stdio(Era),
    Http(Era),
    WebSocket(Era),
    Events,
    Unix(Era),
    Tcp(Era),
}

const OUTS: [Out; 11] = [
    Out::Stdio(Era::Legacy),
    Out::Stdio(Era::Modern),
    Out::Http(Era::Legacy),
    Out::Http(Era::Modern),
    Out::WebSocket(Era::Legacy),
    Out::WebSocket(Era::Modern),
    Out::Events,
    Out::Unix(Era::Legacy),
    Out::Unix(Era::Modern),
    Out::Tcp(Era::Legacy),
    Out::Tcp(Era::Modern),
];

impl Out {
    fn name(self) -> String {
        format!("{self:?}").to_lowercase().replace(['(', ')'], "-").trim_end_matches('-').to_owned()
    }

    fn era(self) -> Era {
        match self {
            Out::Stdio(era) | Out::Http(era) | Out::WebSocket(era) | Out::Unix(era) | Out::Tcp(era) => era,
            Out::Events => Era::Legacy,
        }
    }

    /// The server, the entry that leads to it, and what keeps it alive; a process is kept by the gateway.
    async fn start(self, folder: &Path) -> (ServerEntry, Option<Guard>) {
        let name = self.name();
        let fixture = Fixture::new(self.era());
        match self {
            Out::Stdio(era) => {
                (stdio_entry(&name, if era == Era::Legacy { "legacy" } else { "modern" }), None)
            }
            Out::Http(_) => {
                let (entry, guard) = http_server(&name, fixture).await;
                (entry, Some(guard))
            }
            Out::WebSocket(_) => {
                let (address, guard) = fixture.listen_sockets(None).await.unwrap();
                (websocket_entry(&name, &format!("http://{address}/ws")), Some(guard))
            }
            Out::Events => {
                let (address, guard) = fixture.listen_events().await.unwrap();
                (http_entry(&name, &format!("http://{address}/sse")), Some(guard))
            }
            Out::Unix(_) => {
                let path = folder.join(format!("{name}.sock"));
                let guard = fixture.listen_unix(&path).await.unwrap();
                (socket_entry(&name, SocketSource::Unix(path)), Some(guard))
            }
            Out::Tcp(_) => {
                let (address, guard) = fixture.listen_tcp().await.unwrap();
                let place = casemate_net::Plain::parse(&address.to_string()).unwrap();
                (socket_entry(&name, SocketSource::Tcp(place)), Some(guard))
            }
        }
    }
}

type Link = McpStdio<Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>>;

/// A client over any transport.
enum Client {
    Http(McpHttp),
    Link(Link),
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Legacy,
    Modern,
}

impl Client {
    async fn open(harness: &Harness, way: In, server: &str, dialect: Dialect) -> Client {
        let capabilities = json!({"elicitation": {}});
        let at = |last: &str| harness.url(&format!("/servers/{server}/{last}"));
        let boxed = |stream: tokio::io::DuplexStream| {
            let (reader, writer) = tokio::io::split(stream);
            (
                Box::new(reader) as Box<dyn AsyncRead + Send + Unpin>,
                Box::new(writer) as Box<dyn AsyncWrite + Send + Unpin>,
            )
        };
        let mut link = match way {
            In::Http => {
                let mut client = McpHttp::new(&at("mcp")).bearer("owner");
                return Client::Http(match dialect {
                    Dialect::Modern => client.modern(capabilities),
                    Dialect::Legacy => {
                        client.initialize("2025-11-25", capabilities).await.unwrap();
                        client
                    }
                });
            }
            In::WebSocket => {
                let url = at("ws").replacen("http", "ws", 1);
                let lines = socket::lines(&url, &[("Authorization", "Bearer owner")]).await.unwrap();
                let (reader, writer) = boxed(lines);
                McpStdio::new(reader, writer)
            }
            In::Events => {
                let (reader, writer) = boxed(posts::lines(&at("sse"), "owner").await.unwrap());
                McpStdio::new(reader, writer)
            }
            In::Lines => {
                let (ours, theirs) = tokio::io::duplex(1 << 20);
                let halves = tokio::io::split(theirs);
                let peer = Peer::Unix { uid: 0, pid: None };
                background(serve_connection(Arc::clone(&harness.gate), halves, peer));
                let (reader, writer) = boxed(ours);
                let mut client = McpStdio::new(reader, writer);
                client.raw(format!("{PREAMBLE}/servers/{server}/mcp\n").as_bytes()).await.unwrap();
                client
            }
        };
        Client::Link(match dialect {
            Dialect::Modern => link.modern(capabilities),
            Dialect::Legacy => {
                // The transport of 2024-11-05 is spoken by clients of that time.
                let revision = if way == In::Events { "2024-11-05" } else { "2025-11-25" };
                link.initialize(revision, capabilities).await.unwrap();
                link
            }
        })
    }

    /// Calls a tool, answers its question, and returns what was told meanwhile, and the result.
    async fn call(&mut self, tool: &str, arguments: Value) -> (Vec<Value>, Value) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "mine"}});
        let answer = json!({"action": "accept", "content": {"username": "ada", "email": "ada@example.com"}});
        let mut told = Vec::new();
        match self {
            Client::Http(client) => {
                let mut exchange = client.open("tools/call", params).await.unwrap();
                loop {
                    let message = exchange.next().await.unwrap().expect("an answer");
                    match (message.get("method"), message.get("id")) {
                        (Some(_), Some(id)) => client.respond(id, answer.clone()).await.unwrap(),
                        (Some(_), None) => told.push(message),
                        _ => return (told, message["result"].clone()),
                    }
                }
            }
            Client::Link(client) => {
                let id = client.send("tools/call", params).await.unwrap();
                loop {
                    let message = client.next().await.unwrap().expect("an answer");
                    match (message.get("method"), message.get("id")) {
                        (Some(_), Some(id)) => client.respond(id, answer.clone()).await.unwrap(),
                        (Some(_), None) => told.push(message),
                        (None, answered) if answered == Some(&id) => {
                            return (told, message["result"].clone());
                        }
                        _ => panic!("{message}"),
                    }
                }
            }
        }
    }

    /// Begins a long call and gives it up once it runs.
    async fn give_up(&mut self, dialect: Dialect) {
        let params = json!({
            "name": "sleep_ms", "arguments": {"ms": 600_000}, "_meta": {"progressToken": "mine"},
        });
        match self {
            Client::Http(client) => {
                let mut exchange = client.open("tools/call", params).await.unwrap();
                exchange.next().await.unwrap().expect("progress");
                if dialect == Dialect::Legacy {
                    let id = exchange.id.clone();
                    client.notify("notifications/cancelled", json!({"requestId": id})).await.unwrap();
                }
                // A modern call is given up by closing its stream.
            }
            Client::Link(client) => {
                let id = client.send("tools/call", params).await.unwrap();
                client.next().await.unwrap().expect("progress");
                client.notify("notifications/cancelled", json!({"requestId": id})).await.unwrap();
            }
        }
    }
}

/// Goes through all that one server can be asked for, over one transport in.
async fn cell(harness: &Harness, (way, out): (In, Out), guards: &[Arc<Guard>]) {
    let name = out.name();
    for dialect in [Dialect::Legacy, Dialect::Modern] {
        let what = format!("{way:?} → {out:?}, {dialect:?} client");
        let mut client = Client::open(harness, way, &name, dialect).await;
        let (_, said) = client.call("echo", json!({"message": what})).await;
        assert_eq!(said["content"][0]["text"], what, "{said}");
        let (told, said) = client.call("test_tool_with_progress", json!({})).await;
        let progress = |message: &&Value| message["method"] == "notifications/progress";
        assert_eq!(told.iter().filter(progress).count(), 3, "{what}: {told:?} {said}");
        assert!(told.iter().all(|message| message["params"]["progressToken"] == "mine"), "{what}: {told:?}");
        if dialect == Dialect::Legacy && out.era() == Era::Legacy {
            let (_, said) = client.call("test_elicitation", json!({"message": "who"})).await;
            assert!(said.to_string().contains("ada"), "{what}: {said}");
        }
        let before: Vec<u64> = guards.iter().map(|guard| *guard.cancelled().borrow()).collect();
        client.give_up(dialect).await;
        canceled(guards, &before).await;
    }
}

/// Waits until one of the servers was told that a call was given up.
async fn canceled(guards: &[Arc<Guard>], before: &[u64]) {
    let mut waiting = JoinSet::new();
    for (guard, before) in guards.iter().zip(before) {
        let (mut cancelled, before) = (guard.cancelled(), *before);
        waiting.spawn(async move { cancelled.wait_for(|now| *now > before).await.map(|_| ()) });
    }
    waiting.join_next().await.expect("a server").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_transport_in_leads_to_any_transport_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut entries, mut guards) = (Vec::new(), Vec::new());
    for out in OUTS {
        let (entry, guard) = out.start(folder.path()).await;
        assert!(ServerName::parse(&out.name()).is_ok(), "{}", out.name());
        entries.push(entry);
        guards.push((out, guard.map(Arc::new)));
    }
    let harness = Arc::new(Harness::start(entries).await);
    let (pipes, others): (Vec<_>, Vec<_>) = guards.into_iter().partition(|(_, guard)| guard.is_none());
    let mut rows = JoinSet::new();
    // Processes come one after the other, so that it is known which of them was started for which row.
    let shared = Arc::clone(&harness);
    rows.spawn(async move {
        for (out, _) in pipes {
            let before = shared.links.guards.lock().unwrap().len();
            let mut client = Client::open(&shared, In::Lines, &out.name(), Dialect::Legacy).await;
            client.call("echo", json!({"message": "start"})).await;
            let started = shared.links.guards.lock().unwrap()[before..].to_vec();
            row(&shared, out, &started).await;
        }
    });
    for (out, guard) in others {
        let harness = Arc::clone(&harness);
        rows.spawn(async move { row(&harness, out, &[guard.unwrap()]).await });
    }
    while let Some(row) = rows.join_next().await {
        row.unwrap();
    }
}

/// One server, over every transport in. A server that asks answers one call at a time, so its clients come one after the
/// other.
async fn row(harness: &Harness, out: Out, guards: &[Arc<Guard>]) {
    for way in INS {
        cell(harness, (way, out), guards).await;
    }
}
