//! Challenges, metadata and scopes: what a client is told so that it can get a token, and no more than that.

use std::collections::BTreeMap;
use std::sync::Arc;

use casemate_policy::Scope;
use casemate_testkit::client::McpHttp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{Harness, stdio_entry};
use crate::authorization::{Asking, Authorization, TokenScope};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const ISSUER: &str = "https://login.example.com";

/// A gateway over `one` and `two` that takes tokens: `echo` opens one tool, `all` the server `one`, `two` the other.
async fn harness() -> Harness {
    let harness = Harness::start(vec![stdio_entry("one", "legacy"), stdio_entry("two", "legacy")]).await;
    let scope = |patterns: &[&str], asked| TokenScope { holds: Scope::parse(patterns).unwrap(), asked };
    let scopes = BTreeMap::from([
        ("echo".to_owned(), scope(&["one/echo"], Asking::First)),
        ("one:all".to_owned(), scope(&["one", "one/prompt:*"], Asking::WhenNeeded)),
        ("two".to_owned(), scope(&["two"], Asking::WhenNeeded)),
    ]);
    let mut snapshot = (*harness.gate.snapshot()).clone();
    snapshot.version = 2;
    snapshot.authorization = Arc::new(Authorization { issuers: vec![ISSUER.to_owned()], scopes });
    harness.gate.swap(snapshot);
    harness
}

/// Status, headers and body of a request without a body.
async fn ask(harness: &Harness, method: &str, path: &str) -> (u16, String) {
    let address = harness.url("").replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

async fn challenge(client: McpHttp) -> (u16, Option<String>) {
    let refused = client.post(PING, &[]).await.unwrap();
    (refused.status, refused.header("www-authenticate").map(str::to_owned))
}

#[tokio::test]
async fn without_issuers_there_is_nothing_to_find() {
    let harness = Harness::start(vec![]).await;
    let told = Some("Bearer realm=\"casemate\"".to_owned());
    assert_eq!(challenge(McpHttp::new(&harness.url("/mcp"))).await, (401, told));
    assert_eq!(ask(&harness, "GET", "/.well-known/oauth-protected-resource/mcp").await.0, 404);
}

#[tokio::test]
async fn challenges_name_the_metadata_of_each_endpoint_whether_it_is_there_or_not() {
    let harness = harness().await;
    for path in ["/mcp", "/servers/one/mcp", "/servers/none/mcp", "/profiles/none/mcp"] {
        let metadata =
            format!("resource_metadata=\"http://127.0.0.1/.well-known/oauth-protected-resource{path}\"");
        let missing = format!("Bearer realm=\"casemate\", {metadata}, scope=\"echo\"");
        assert_eq!(challenge(McpHttp::new(&harness.url(path))).await, (401, Some(missing)), "{path}");
        let bad = format!("Bearer realm=\"casemate\", error=\"invalid_token\", {metadata}, scope=\"echo\"");
        assert_eq!(challenge(harness.client(path, "wrong")).await, (401, Some(bad)), "{path}");
    }
}

#[tokio::test]
async fn the_metadata_say_the_same_of_what_is_there_and_of_what_is_not() {
    let harness = harness().await;
    let well_known = "/.well-known/oauth-protected-resource";
    for (path, resource) in [
        ("", "/mcp"),
        ("/mcp", "/mcp"),
        ("/servers/one/mcp", "/servers/one/mcp"),
        ("/servers/none/mcp", "/servers/none/mcp"),
        ("/profiles/none/mcp", "/profiles/none/mcp"),
    ] {
        let (status, answer) = ask(&harness, "GET", &format!("{well_known}{path}")).await;
        assert_eq!(status, 200, "{path}");
        let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let expected = json!({
            "resource": format!("http://127.0.0.1{resource}"),
            "authorization_servers": [ISSUER],
            "scopes_supported": ["echo", "one:all", "two"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Casemate",
        });
        assert_eq!(body, expected, "{path}");
    }
    for path in ["/", "/mcp/", "/other", "/servers/one", "/servers/../mcp", "mcp", "/.well-known"] {
        assert_eq!(ask(&harness, "GET", &format!("{well_known}{path}")).await.0, 404, "{path}");
    }
    assert_eq!(ask(&harness, "POST", &format!("{well_known}/mcp")).await.0, 405);
}

#[tokio::test]
async fn a_token_counts_in_its_header_and_nowhere_else() {
    let harness = harness().await;
    for path in ["/mcp?access_token=token.one", "/mcp?token=owner", "/mcp?authorization=Bearer%20owner"] {
        assert_eq!(challenge(McpHttp::new(&harness.url(path))).await.0, 401, "{path}");
    }
    for (name, value) in [
        ("cookie", "access_token=owner; Authorization=Bearer owner"),
        ("x-api-key", "owner"),
        ("proxy-authorization", "Bearer owner"),
        ("x-authorization", "Bearer owner"),
        ("x-forwarded-access-token", "owner"),
    ] {
        let client = McpHttp::new(&harness.url("/mcp")).header(name, value);
        assert_eq!(challenge(client).await.0, 401, "{name}");
    }
}

#[tokio::test]
async fn a_token_that_may_become_good_is_waited_for_once() {
    let harness = harness().await;
    harness.client("/mcp", "token.wait").modern(json!({})).request("tools/list", json!({})).await.unwrap();
    assert_eq!(*harness.keys.settled.lock().unwrap(), 1);
    assert_eq!(challenge(harness.client("/mcp", "token.never")).await.0, 401);
    assert_eq!(*harness.keys.settled.lock().unwrap(), 2);
    // Whoever was refused for good is not waited for.
    assert_eq!(challenge(harness.client("/mcp", "wrong")).await.0, 401);
    assert_eq!(*harness.keys.settled.lock().unwrap(), 2);
}

/// Calls a tool with a token for those patterns; status, challenge and the code of the error.
async fn called(harness: &Harness, (path, scope): (&str, &str), tool: &str) -> (u16, String, Value) {
    let client = harness.client(path, &format!("token.{scope}")).modern(json!({}));
    let mut exchange =
        client.open("tools/call", json!({ "name": tool, "arguments": { "message": "hi" } })).await.unwrap();
    let challenge = exchange.header("www-authenticate").unwrap_or_default().to_owned();
    let message = exchange.next().await.unwrap().unwrap();
    (exchange.status, challenge, message["error"]["data"]["code"].clone())
}

#[tokio::test]
async fn what_a_scope_keeps_from_a_token_is_answered_with_the_scope_that_is_missing() {
    let harness = harness().await;
    let (status, challenge, code) = called(&harness, ("/mcp", "one/echo"), "one__echo").await;
    assert_eq!((status, challenge.as_str(), code), (200, "", Value::Null));
    let metadata = "http://127.0.0.1/.well-known/oauth-protected-resource";
    for (path, scope, tool, needed) in [
        ("/mcp", "one/echo", "one__blob", "one:all"),
        ("/mcp", "two", "one__echo", "echo"),
        // Nothing of that server was ever loaded, and nothing is for this.
        ("/mcp", "one/echo", "two__anything", "two"),
        ("/servers/one/mcp", "two", "echo", "echo"),
        ("/servers/one/mcp", "one/echo", "blob", "one:all"),
    ] {
        let (status, challenge, code) = called(&harness, (path, scope), tool).await;
        let expected = format!(
            "Bearer realm=\"casemate\", error=\"insufficient_scope\", resource_metadata=\"{metadata}{path}\", scope=\"{needed}\""
        );
        assert_eq!((status, challenge, code), (403, expected, json!("CM1603")), "{path} {scope} {tool}");
    }
    assert!(
        harness.gate.catalog().shelf("two").unwrap().known().is_none(),
        "no server was started to find out"
    );
    // What is not there at all is not there for any token.
    let (status, challenge, code) = called(&harness, ("/mcp", "one/echo"), "none__echo").await;
    assert_eq!((status, challenge.as_str(), code), (200, "", json!("CM1401")));
}

#[tokio::test]
async fn a_token_without_what_all_need_is_told_what_that_is() {
    let harness = harness().await;
    let (status, told) = challenge(harness.client("/mcp", "token.poor")).await;
    let told = told.unwrap();
    assert!(
        status == 403 && told.contains("insufficient_scope") && told.contains("scope=\"all:need\""),
        "{told}"
    );
}

#[tokio::test]
async fn a_clients_token_never_reaches_a_server() {
    let harness = harness().await;
    let client = harness.client("/servers/one/mcp", "token.one").modern(json!({}));
    client.call("echo", json!({ "message": "hi" })).await.unwrap();
    let sent = String::from_utf8(harness.sent.lock().unwrap().clone()).unwrap();
    assert!(sent.contains("tools/call") && !sent.contains("token.one"), "{sent}");
}

/// Pages were kept by roles alone, so that whoever asked within a second was shown what another's scope opens.
#[tokio::test]
async fn a_list_that_was_kept_for_one_scope_is_not_shown_to_another() {
    let harness = harness().await;
    let listed = async |key: &str| {
        let client = harness.client("/mcp", key).modern(json!({}));
        let list = client.request("tools/list", json!({})).await.unwrap();
        list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>()
    };
    let all = listed("owner").await;
    assert!(all.len() > 10, "{all:?}");
    for _ in 0..2 {
        assert_eq!(listed("token.one/echo").await, ["one__echo"]);
        assert_eq!(listed("token.").await, [""; 0], "a scope of nothing");
        assert_eq!(listed("owner").await, all);
    }
}
