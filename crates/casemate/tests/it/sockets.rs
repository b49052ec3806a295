//! Connections that are sessions of their own, at a gateway that runs: WebSockets, also over TLS, and streams of events.

use std::sync::Arc;

use casemate_testkit::posts;
use casemate_testkit::socket::{self, SocketFault};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_websockets::Message;

use crate::gateway::{Gateway, home_with_fixture};
use crate::home::Home;
use crate::https::{Authority, settings};

fn key(home: &Home) -> String {
    home.run(&["key", "create"]).ok().trim().to_owned()
}

fn sessions(home: &Home) -> Vec<Value> {
    serde_json::from_str(&home.run(&["sessions", "--json"]).ok()).unwrap()
}

#[tokio::test]
async fn websockets_and_streams_of_events_are_listed_and_ended_like_any_session() {
    let home = home_with_fixture("");
    let key = key(&home);
    let gateway = Gateway::start(&home);
    let bearer = format!("Bearer {key}");
    let url = gateway.endpoint().replacen("http", "ws", 1).replace("/mcp", "/ws");
    let (mut socket, closing) = socket::connect(&url, &[("Authorization", &bearer)]).await.unwrap();
    socket.initialize("2025-11-25", json!({})).await.unwrap();
    let said = socket.call("fixture__echo", json!({"message": "over a socket"})).await.unwrap();
    assert_eq!(said["content"][0]["text"], "over a socket");
    let mut events = posts::connect(&gateway.endpoint().replace("/mcp", "/sse"), &key).await.unwrap();
    events.initialize("2024-11-05", json!({})).await.unwrap();

    let listed = sessions(&home);
    let over: Vec<&Value> = listed.iter().map(|session| &session["over"]).collect();
    assert_eq!(over, ["websocket", "sse"], "{listed:?}");
    let (first, subject) = (listed[0]["id"].as_str().unwrap(), listed[0]["subject"].as_str().unwrap());
    assert_eq!(listed[0]["revision"], "2025-11-25");
    assert!(listed.iter().all(|session| session["ends"].as_u64() > session["opened"].as_u64()), "{listed:?}");

    home.run(&["sessions", "revoke", first]).ok();
    assert_eq!(closing.await.unwrap(), Some((1008, "the session was ended".to_owned())));
    events.call("fixture__echo", json!({"message": "still here"})).await.unwrap();
    home.run(&["sessions", "revoke", "--subject", subject]).ok();
    assert!(events.request("ping", json!({})).await.is_err());
    assert_eq!(sessions(&home), Vec::<Value>::new());
    let acts: Vec<_> = home.acts().into_iter().filter(|(act, _)| act.starts_with("session revoke")).collect();
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert_eq!(acts[0], (format!("session revoke {subject}"), first.to_owned()));

    // A connection that its client ends is in no list any more.
    let (other, _) = socket::connect(&url, &[("Authorization", &bearer)]).await.unwrap();
    assert_eq!(sessions(&home).len(), 1);
    drop(other);
    while !sessions(&home).is_empty() {}
}

async fn tls(gateway: &Gateway, authority: &Authority) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.0.join("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let address = gateway.endpoint().strip_prefix("https://").unwrap().strip_suffix("/mcp").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn a_websocket_over_tls_is_opened_with_a_credential_and_nothing_else() {
    let home = Home::new();
    let authority = Authority::new(&home, "ca");
    let server = authority.make("server", ("server", "30"));
    home.write("cm/casemate.toml", &settings(&server, "[servers.system]\nbuiltin = \"system\"\n"));
    let key = key(&home);
    let gateway = Gateway::start(&home);
    let address = gateway.endpoint().strip_prefix("https://").unwrap().strip_suffix("/mcp").unwrap();
    let (url, bearer) = (format!("wss://{address}/ws"), format!("Bearer {key}"));

    let status = |fault| match fault {
        Err(SocketFault::Status(status)) => status,
        other => panic!("{other:?}"),
    };
    let nobody = socket::raw_on(tls(&gateway, &authority).await, &url, &[]).await;
    assert_eq!(status(nobody.map(drop)), 401);
    let page = [("Authorization", bearer.as_str()), ("Origin", "https://evil.example")];
    let page = socket::raw_on(tls(&gateway, &authority).await, &url, &page).await;
    assert_eq!(status(page.map(drop)), 403);
    assert!(
        socket::raw(&format!("ws://{address}/ws"), &[("Authorization", &bearer)]).await.is_err(),
        "plaintext"
    );

    let good = [("Authorization", bearer.as_str())];
    let mut socket = socket::raw_on(tls(&gateway, &authority).await, &url, &good).await.unwrap();
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "system__get_memory_stats", "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}
            }
        }
    });
    socket::send(&mut socket, Message::text(call.to_string())).await.unwrap();
    let answer = socket::next(&mut socket).await.unwrap();
    let answer: Value = serde_json::from_str(answer.as_text().unwrap()).unwrap();
    assert_eq!(answer["id"], 1, "{answer}");
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
}
