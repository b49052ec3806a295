//! Every client dialect with every server dialect, feature by feature, over HTTP and stdio, at a joined and at a
//! transparent endpoint. What comes out is docs/dialects.md: `UPDATE_EXPECT=1` writes it anew.

mod document;
mod feature;

use std::sync::Arc;

use casemate_testkit::client::{Exchange, McpHttp};
use casemate_testkit::fixture::Guard;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, http_server, stdio_entry};
use feature::Feature;

/// What a party speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Modern,
    Dual,
    Legacy,
}

impl Dialect {
    const ALL: [Dialect; 3] = [Dialect::Modern, Dialect::Dual, Dialect::Legacy];

    fn era(self) -> Era {
        match self {
            Dialect::Modern => Era::Modern,
            Dialect::Dual => Era::Dual,
            Dialect::Legacy => Era::Legacy,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Dialect::Modern => "modern",
            Dialect::Dual => "dual",
            Dialect::Legacy => "legacy",
        }
    }

    /// Whether this party speaks the modern dialect with us, who speak both.
    fn is_modern_with_us(self) -> bool {
        self != Dialect::Legacy
    }
}

/// How a server is reached, and where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    HttpJoined,
    StdioAlone,
}

/// A client and a server with the gateway between them.
struct Bed {
    harness: Harness,
    client: McpHttp,
    client_speaks: Dialect,
    server_speaks: Dialect,
    way: Way,
    guard: Option<Guard>,
}

impl Bed {
    async fn make(client: Dialect, server: Dialect, way: Way) -> Bed {
        let (entry, guard) = match way {
            Way::HttpJoined => {
                let (entry, guard) = http_server("one", Fixture::new(server.era())).await;
                (entry, Some(guard))
            }
            Way::StdioAlone => (stdio_entry("one", server.word()), None),
        };
        let harness = Harness::start(vec![entry]).await;
        let path = if way == Way::HttpJoined { "/mcp" } else { "/servers/one/mcp" };
        let opened = open(&harness, path, client).await;
        let bed = Bed { harness, client: opened, client_speaks: client, server_speaks: server, way, guard };
        // The server runs, and what it does at its start is done.
        bed.client.request("tools/list", json!({})).await.unwrap();
        bed
    }

    fn tool(&self, name: &str) -> String {
        if self.way == Way::HttpJoined { format!("one__{name}") } else { name.to_owned() }
    }

    fn uri(&self, uri: &str) -> String {
        if self.way == Way::HttpJoined { format!("casemate://one/{uri}") } else { uri.to_owned() }
    }

    /// A further client of the same kind.
    async fn another(&self) -> McpHttp {
        let path = if self.way == Way::HttpJoined { "/mcp" } else { "/servers/one/mcp" };
        open(&self.harness, path, self.client_speaks).await
    }

    /// The general stream of a legacy session, on which changes are told.
    async fn another_stream(&self) -> Exchange {
        self.client.listen(None).await.unwrap()
    }

    /// How many calls the server was told to give up.
    async fn cancelled(&self, count: u64) {
        match &self.guard {
            Some(guard) => _ = guard.cancelled().wait_for(|cancelled| *cancelled >= count).await.unwrap(),
            None => {
                let guards = self.harness.links.guards.lock().unwrap().clone();
                let waits = guards.iter().map(|guard| {
                    let mut cancelled = guard.cancelled();
                    Box::pin(async move { _ = cancelled.wait_for(|now| *now >= count).await.unwrap() })
                });
                first_of(waits).await;
            }
        }
    }
}

async fn first_of<F: Future<Output = ()> + Unpin>(futures: impl Iterator<Item = F>) {
    let mut futures: Vec<F> = futures.collect();
    std::future::poll_fn(|context| {
        if futures.iter_mut().any(|future| std::pin::Pin::new(future).poll(context).is_ready()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
}

fn capabilities() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}

fn with_tasks() -> Value {
    let mut all = capabilities();
    all["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
    all
}

async fn open(harness: &Harness, path: &str, speaks: Dialect) -> McpHttp {
    let mut client = harness.client(path, "owner");
    match speaks {
        Dialect::Modern => client.modern(with_tasks()),
        Dialect::Dual => {
            // It asks first what we speak, and falls back to `initialize` where that is not understood.
            let client = client.modern(with_tasks());
            let discovered = client.request("server/discover", json!({})).await.unwrap();
            let versions = discovered["supportedVersions"].as_array().unwrap();
            assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
            client
        }
        Dialect::Legacy => {
            client.initialize("2025-11-25", capabilities()).await.unwrap();
            client
        }
    }
}

async fn check(client: Dialect, server: Dialect) {
    for way in [Way::HttpJoined, Way::StdioAlone] {
        let bed = Arc::new(Bed::make(client, server, way).await);
        for feature in Feature::ALL {
            let at = format!("{client:?} client, {server:?} server, {way:?}, {}", feature.word());
            let outcome = tokio::time::timeout(std::time::Duration::from_secs(60), feature.check(&bed)).await;
            let outcome = outcome.unwrap_or_else(|_| panic!("{at}: it hangs"));
            outcome.unwrap_or_else(|why| panic!("{at}: {why}"));
        }
    }
}

#[tokio::test]
async fn a_modern_client_and_any_server() {
    for server in Dialect::ALL {
        check(Dialect::Modern, server).await;
    }
}

#[tokio::test]
async fn a_dual_client_and_any_server() {
    for server in Dialect::ALL {
        check(Dialect::Dual, server).await;
    }
}

#[tokio::test]
async fn a_legacy_client_and_any_server() {
    for server in Dialect::ALL {
        check(Dialect::Legacy, server).await;
    }
}

/// Those of the three tests above are the cells of this document; what a cell says is what its check demands.
#[test]
fn the_document_shows_what_is_tested() {
    expect_test::expect_file!["../../../../docs/dialects.md"].assert_eq(&document::text());
}
