use casemate_testkit::client::McpHttp;
use serde_json::json;

use super::harness::{Harness, stdio_entry};
use crate::snapshot::Limits;

/// What a stranger may send, and what it gets for it.
#[tokio::test]
async fn bad_bodies_get_a_clear_answer() {
    let limits = Limits { request_bytes_max: 64 * 1024, ..Limits::default() };
    let harness = Harness::with_limits(vec![stdio_entry("one", "legacy")], limits).await;
    let client = harness.legacy("/mcp").await;
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}}}}}"#, "[".repeat(1000));
    let long =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":"{}"}}}}"#, "x".repeat(70_000));
    for (body, status, code, says) in [
        ("", 400, -32700, "too early"),
        ("{", 400, -32700, "too early"),
        ("nonsense", 400, -32700, "not JSON"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, 400, -32700, "twice"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":{"b":1,"b":2}}}"#, 400, -32700, "twice"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\ud800"}}"#, 400, -32700, "surrogate"),
        (&deep, 400, -32700, "deeply"),
        (&long, 413, -32600, "65536"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, 400, -32600, "null"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, 400, -32600, "2.0"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, 400, -32600, "batch"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#, 200, -32601, "no/such"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, 200, -32601, "server/discover"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#, 200, -32602, "params.name"),
    ] {
        let short: String = body.chars().take(80).collect();
        let mut exchange = client.post(body.to_owned(), &[]).await.unwrap();
        assert_eq!(exchange.status, status, "{short}");
        let message = exchange.next().await.unwrap().unwrap();
        assert_eq!(message["error"]["code"], code, "{short}: {message}");
        assert!(message["error"]["message"].as_str().unwrap().contains(says), "{short}: {message}");
    }
}

#[tokio::test]
async fn bad_heads_get_a_clear_answer() {
    let harness = Harness::start(vec![]).await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let anonymous = McpHttp::new(&harness.url("/mcp"));
    let refused = anonymous.post(ping, &[]).await.unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").is_some());
    let owner = harness.client("/mcp", "owner");
    for (headers, status) in [
        (vec![("authorization", "Bearer wrong")], 401),
        (vec![("origin", "http://evil.example")], 403),
        (vec![("host", "evil.example")], 403),
        (vec![("host", "127.0.0.1.evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("content-type", "text/plain")], 400),
        (vec![("content-type", "")], 400),
        (vec![("mcp-session-id", "0123")], 404),
        (vec![("mcp-protocol-version", "1999-01-01")], 400),
        (vec![], 400),
    ] {
        let reply = owner.post(ping, &headers).await.unwrap();
        assert_eq!(reply.status, status, "{headers:?}");
    }
    let nowhere = harness.client("/nowhere", "owner").post(ping, &[]).await.unwrap();
    assert_eq!(nowhere.status, 404);
}

#[tokio::test]
async fn headers_have_to_say_what_the_body_says() {
    let harness = Harness::start(vec![stdio_entry("one", "modern")]).await;
    let client = harness.client("/mcp", "owner");
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "one__echo", "arguments": {"message": "a"}, "_meta": meta}}).to_string();
    let right =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "one__echo")];
    let with = |name: &str, value: &'static str| {
        let mut headers: Vec<(&str, &str)> = right.to_vec();
        headers.iter_mut().filter(|(header, _)| *header == name).for_each(|header| header.1 = value);
        headers
    };
    assert_eq!(client.post(body.clone(), &right).await.unwrap().status, 200);
    assert_eq!(
        client.post(body.clone(), &with("mcp-name", "=?base64?b25lX19lY2hv?=")).await.unwrap().status,
        200
    );
    for headers in [
        with("mcp-name", "one__blob"),
        with("mcp-name", ""),
        with("mcp-name", "=?base64?***?="),
        with("mcp-method", "tools/list"),
        with("mcp-method", ""),
        with("mcp-protocol-version", "2025-11-25"),
        with("mcp-protocol-version", ""),
    ] {
        let mut exchange = client.post(body.clone(), &headers).await.unwrap();
        assert_eq!(exchange.status, 400, "{headers:?}");
        assert_eq!(exchange.next().await.unwrap().unwrap()["error"]["code"], -32020, "{headers:?}");
    }
    let unknown = body.replace("2026-07-28", "2031-01-01");
    let mut reply = client.post(unknown, &with("mcp-protocol-version", "2031-01-01")).await.unwrap();
    assert_eq!(reply.status, 400);
    let message = reply.next().await.unwrap().unwrap();
    assert_eq!(message["error"]["code"], -32022);
    assert_eq!(message["error"]["data"]["supported"][0], "2026-07-28");
}
