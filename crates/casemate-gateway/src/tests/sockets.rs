//! MCP over WebSocket, from a client's socket to a server and back, and what strangers try there.

use std::num::NonZeroU32;
use std::time::Duration;

use casemate_testkit::socket::{self, Closing, McpSocket, RawSocket, SocketFault};
use serde_json::{Value, json};
use tokio_websockets::Message;

use super::harness::{Harness, stdio_entry};
use crate::snapshot::{Allowance, Limits, Pace, Rate};

const OWNER: (&str, &str) = ("Authorization", "Bearer owner");

fn url(harness: &Harness, path: &str) -> String {
    harness.url(path).replacen("http", "ws", 1)
}

async fn open(harness: &Harness, path: &str) -> (McpSocket, Closing) {
    socket::connect(&url(harness, path), &[OWNER]).await.unwrap()
}

async fn raw(harness: &Harness) -> RawSocket {
    socket::raw(&url(harness, "/ws"), &[OWNER]).await.unwrap()
}

/// The next message of a socket on which frames are sent by hand.
async fn hear(socket: &mut RawSocket) -> Value {
    let message = socket::next(socket).await.expect("a message");
    serde_json::from_str(message.as_text().expect("text")).unwrap()
}

/// The code with which the gateway closes; messages before that are passed over.
async fn closed(socket: &mut RawSocket) -> (u16, String) {
    loop {
        let message = socket::next(socket).await.expect("a word at the end");
        if let Some((code, why)) = message.as_close() {
            return (code.into(), why.to_owned());
        }
    }
}

#[tokio::test]
async fn both_dialects_are_spoken_at_every_endpoint() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    for (path, tool) in [("/ws", "one__echo"), ("/servers/one/ws", "echo")] {
        let (legacy, _) = open(&harness, path).await;
        let mut legacy = legacy;
        legacy.initialize("2025-11-25", json!({})).await.unwrap();
        let said = legacy.call(tool, json!({"message": "héllo"})).await.unwrap();
        assert!(said["content"][0]["text"].as_str().unwrap().contains("héllo"), "{said}");
        let (modern, _) = open(&harness, path).await;
        let mut modern = modern.modern(json!({}));
        let said = modern.call(tool, json!({"message": "héllo"})).await.unwrap();
        assert_eq!(said["resultType"], "complete", "{said}");
    }
    let (nowhere, _) = open(&harness, "/servers/two/ws").await;
    let mut nowhere = nowhere.modern(json!({}));
    let refused = nowhere.call("echo", json!({"message": "a"})).await.unwrap_err();
    assert!(refused.code().is_some(), "{refused}");
}

#[tokio::test]
async fn a_connection_is_a_session_with_questions_progress_and_cancellation() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let (mut client, closing) = open(&harness, "/servers/one/ws").await;
    client.initialize("2025-11-25", json!({"elicitation": {}})).await.unwrap();
    let arguments = json!({"message": "who are you?"});
    let id =
        client.send("tools/call", json!({"name": "test_elicitation", "arguments": arguments})).await.unwrap();
    let question = client.next().await.unwrap().unwrap();
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let answer = json!({"action": "accept", "content": {"username": "ada", "email": "ada@example.com"}});
    client.respond(&question["id"], answer).await.unwrap();
    let said = client.wait(&id).await.unwrap();
    assert!(said.to_string().contains("ada"), "{said}");
    drop(client);
    // A client that just goes says nothing.
    assert_eq!(closing.await.unwrap(), None);
}

#[tokio::test]
async fn the_handshake_is_refused_before_anything_else_is_looked_at() {
    let harness = Harness::start(vec![]).await;
    let refused = async |headers: &[(&str, &str)]| match socket::raw(&url(&harness, "/ws"), headers).await {
        Err(SocketFault::Status(status)) => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[]).await, 401);
    assert_eq!(refused(&[("Authorization", "Bearer wrong")]).await, 401);
    assert_eq!(refused(&[OWNER, ("Origin", "https://evil.example")]).await, 403);
    assert_eq!(refused(&[("Origin", "https://evil.example")]).await, 403);
    assert_eq!(refused(&[OWNER, ("Sec-Fetch-Site", "cross-site")]).await, 403);
    // A page of this machine may, with a key.
    socket::raw(&url(&harness, "/ws"), &[OWNER, ("Origin", "http://localhost:3000")]).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_withdrawn_ends_the_connection_with_the_next_message() {
    let harness = Harness::start(vec![]).await;
    let key = ("Authorization", "Bearer other");
    let (client, closing) = socket::connect(&url(&harness, "/ws"), &[key]).await.unwrap();
    let mut client = client.modern(json!({}));
    client.request("tools/list", json!({})).await.unwrap();
    harness.keys.gone.lock().unwrap().push("other".to_owned());
    let refused = client.request("tools/list", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("credential"), "the refusal has the request's id: {refused}");
    let closed = closing.await.unwrap().unwrap();
    assert_eq!(closed, (1008, "the credential is no longer accepted".to_owned()));
}

#[tokio::test]
async fn a_flood_is_refused_and_then_ended() {
    let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(3600) };
    let subject = Allowance { rate, ..Pace::default().subject };
    let limits = Limits { pace: Pace { subject, ..Pace::default() }, ..Limits::default() };
    let harness = Harness::with_limits(vec![], limits).await;
    let mut client = raw(&harness).await;
    for id in 0..200 {
        let text = json!({"jsonrpc": "2.0", "id": id, "method": "ping"}).to_string();
        // The gateway may have had enough before all is written.
        _ = socket::send(&mut client, Message::text(text)).await;
    }
    let (code, why) = closed(&mut client).await;
    assert_eq!((code, why.as_str()), (1008, "too many messages in a row were refused"));
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_what_breaks_the_framing_ends_the_connection() {
    let limits = Limits { request_bytes_max: 1000, ..Limits::default() };
    let harness = Harness::with_limits(vec![], limits).await;
    let mut client = raw(&harness).await;
    for (text, code) in
        [("{", -32700), ("{\"id\":1,\"id\":1}", -32700), ("[]", -32600), ("\"hello\"", -32700)]
    {
        socket::send(&mut client, Message::text(text.to_owned())).await.unwrap();
        assert_eq!(hear(&mut client).await["error"]["code"], code, "{text}");
    }
    socket::send(&mut client, Message::text(" ".repeat(1001))).await.unwrap();
    assert_eq!(closed(&mut client).await.0, 1009);
    let mut client = raw(&harness).await;
    socket::send(&mut client, Message::binary(&b"{}"[..])).await.unwrap();
    assert_eq!(closed(&mut client).await.0, 1003);
}

#[tokio::test]
async fn a_connection_that_is_not_used_ends_and_so_do_all_when_the_gateway_does() {
    let idle = Limits { session_idle_max: Duration::from_millis(20), ..Limits::default() };
    let harness = Harness::with_limits(vec![], idle).await;
    let (_client, closing) = open(&harness, "/ws").await;
    assert_eq!(closing.await.unwrap().unwrap(), (1000, "not used for too long".to_owned()));

    let harness = Harness::start(vec![]).await;
    let (client, closing) = open(&harness, "/ws").await;
    let mut client = client.modern(json!({}));
    client.request("tools/list", json!({})).await.unwrap();
    harness.gate.stop(Duration::ZERO).await;
    assert_eq!(closing.await.unwrap().unwrap(), (1001, "the gateway is stopping".to_owned()));
    let refused = socket::raw(&url(&harness, "/ws"), &[OWNER]).await.unwrap_err();
    assert!(matches!(refused, SocketFault::Status(503)), "{refused:?}");
}

#[tokio::test]
async fn a_request_that_asks_for_no_websocket_is_told_what_to_ask_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let harness = Harness::start(vec![]).await;
    let ask = async |head: &str| {
        let mut stream = tokio::net::TcpStream::connect(harness.address).await.unwrap();
        let end = "Host: localhost\r\nAuthorization: Bearer owner\r\n\r\n";
        stream.write_all(format!("{head}{end}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(answer).unwrap()
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let table = [
        String::from("GET /ws HTTP/1.1\r\n"),
        format!("GET /ws HTTP/1.0\r\n{upgrade}{key}Sec-WebSocket-Version: 13\r\n"),
        format!("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n{key}Sec-WebSocket-Version: 13\r\n"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}{key}Sec-WebSocket-Version: 8\r\n"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 13\r\n"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}{key}{key}Sec-WebSocket-Version: 13\r\n"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}Sec-WebSocket-Key: c2hvcnQ=\r\nSec-WebSocket-Version: 13\r\n"),
    ];
    for head in table {
        let answer = ask(&head).await;
        assert!(answer.contains(" 426 "), "{head}: {answer}");
        assert!(answer.to_lowercase().contains("sec-websocket-version: 13\r\n"), "{answer}");
    }
    let good = format!(
        "GET /ws HTTP/1.1\r\n{upgrade}{key}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, mcp\r\n"
    );
    let answer = ask(&good).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    for line in ["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "sec-websocket-protocol: mcp"] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{answer}");
    }
    assert!(!answer.contains("extensions") && !answer.contains("content-length"), "{answer}");
}
