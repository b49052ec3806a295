//! What somebody with a key, or a server, tries to get that is not theirs. Each test is named for what broke.

use std::time::Duration;

use casemate_mcp::json::Raw;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, background, http_entry, http_server, stdio_entry};
use crate::catalog::Catalog;
use crate::endpoint::Endpoint;
use crate::refusal::{Code, Refusal, Wire};
use crate::snapshot::Sharing;

fn catalog(harness: &Harness) -> &Catalog {
    harness.gate.catalog()
}

#[tokio::test]
async fn wrong_arguments_do_not_tell_that_a_hidden_tool_exists() {
    let (one, _guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![one]).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    for (path, hidden, absent) in [("/mcp", "one__blob", "one__abcd"), ("/servers/one/mcp", "blob", "abcd")] {
        let reader = harness.client(path, "reader").modern(json!({}));
        let wrong = json!({"bytes": "not a number"});
        let hidden_says = reader.call(hidden, wrong.clone()).await.unwrap_err().to_string();
        let absent_says = reader.call(absent, wrong).await.unwrap_err().to_string();
        assert_eq!(hidden_says.replace(hidden, "X"), absent_says.replace(absent, "X"), "{path}");
    }
}

#[tokio::test]
async fn completion_does_not_tell_what_is_hidden() {
    let (one, _one) = http_server("one", Fixture::new(Era::Dual)).await;
    let (two, _two) = http_server("two", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![one, two]).await;
    let list = harness.modern("/mcp").request("prompts/list", json!({})).await.unwrap();
    let prompts = list["prompts"].as_array().unwrap();
    let hidden =
        prompts.iter().filter_map(|prompt| prompt["name"].as_str()).find(|name| name.starts_with("one__"));
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let argument = json!({"name": "a", "value": ""});
    let ask = |reference: Value| {
        let params = json!({"ref": reference, "argument": argument});
        let reader = &reader;
        async move { reader.request("completion/complete", params).await.unwrap_err().to_string() }
    };
    let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    let template = |uri: &str| json!({"type": "ref/resource", "uri": uri});
    let hidden = hidden.unwrap();
    assert_eq!(
        ask(prompt(hidden)).await.replace(hidden, "X"),
        ask(prompt("one__none")).await.replace("one__none", "X")
    );
    let (there, absent) = ("casemate://two/test://{a}", "casemate://none/test://{a}");
    assert_eq!(
        ask(template(there)).await.replace(there, "X"),
        ask(template(absent)).await.replace(absent, "X")
    );
}

#[tokio::test]
async fn nobody_makes_a_server_start_that_they_may_not_see() {
    let harness = Harness::start(vec![stdio_entry("one", "dual"), stdio_entry("two", "dual")]).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let two = catalog(&harness).shelf("two").unwrap();
    two.invalidate();
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    reader.call("two__echo", json!({"message": "a"})).await.unwrap_err();
    let instances = two.server().status().instances;
    assert!(
        instances.iter().all(|one| one.subject.as_ref().unwrap().as_str() == "key:owner"),
        "{instances:?}"
    );
    assert!(two.known().is_some());
}

#[tokio::test]
async fn a_request_does_not_pass_for_a_notification() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let client = harness.legacy("/servers/one/mcp").await;
    for method in ["notifications/cancelled", "notifications/initialized", "notifications/own"] {
        let refused = client.request(method, json!({"requestId": 1})).await.unwrap_err();
        assert_eq!(refused.code(), Some(-32601), "{method}: {refused}");
        let written = format!("allow key:owner {method} one/");
        assert!(!harness.records.lines.borrow().contains(&written), "it did not reach the server");
    }
}

#[tokio::test]
async fn a_task_is_nobody_elses() {
    let (one, _guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![one]).await;
    let can = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let owner = harness.client("/servers/one/mcp", "owner").modern(can.clone());
    let begun = owner.call("slow_compute", json!({"seconds": 1})).await.unwrap();
    assert_eq!(begun["resultType"], "task", "{begun}");
    let id = json!({"taskId": begun["taskId"]});
    let thief = harness.client("/servers/one/mcp", "other").modern(can);
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let refused = thief.request(method, id.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("Unknown task"), "{method}: {refused}");
    }
    assert_eq!(owner.request("tasks/get", id).await.unwrap()["taskId"], begun["taskId"]);
}

#[tokio::test]
async fn a_withdrawn_key_hears_nothing_more() {
    let (one, guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![one]).await;
    let listen = json!({"notifications": {"toolsListChanged": true}});
    let open = async |key| {
        let client = harness.client("/mcp", key).modern(json!({}));
        client.request("tools/list", json!({})).await.unwrap();
        let mut stream = client.open("subscriptions/listen", listen.clone()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        stream
    };
    let mut withdrawn = open("other").await;
    let mut good = open("owner").await;
    harness.keys.gone.lock().unwrap().push("other".to_owned());
    guard.change_tools();
    assert_eq!(good.next().await.unwrap().unwrap()["method"], "notifications/tools/list_changed");
    let heard = tokio::time::timeout(Duration::from_millis(100), withdrawn.next()).await;
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn a_session_ends_with_its_key() {
    let harness = Harness::start(vec![]).await;
    let mut client = harness.client("/mcp", "other");
    client.initialize("2025-11-25", json!({})).await.unwrap();
    harness.gate.sessions().sweep(|_| true);
    assert_eq!(harness.gate.sessions().count(), 1);
    harness.gate.sessions().sweep(|subject| subject.as_str() != "key:other");
    assert_eq!(harness.gate.sessions().count(), 0);
}

#[tokio::test]
async fn whatever_reaches_a_server_is_on_record() {
    let (one, _guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![one]).await;
    let client = harness.modern("/servers/one/mcp");
    client.request("tools/list", json!({})).await.unwrap();
    harness.records.wait_for("allow key:owner tools/list one/").await;
    let wanted = json!({"notifications": {"resourceSubscriptions": ["test://watched-resource"]}});
    let mut stream = client.open("subscriptions/listen", wanted).await.unwrap();
    stream.next().await.unwrap().unwrap();
    harness.records.wait_for("allow key:owner subscriptions/listen /").await;
    drop(stream);
    harness.records.wait_for("abandoned").await;
}

#[tokio::test]
async fn a_change_of_roots_goes_to_nobody_that_the_client_may_not_see() {
    let mut two = stdio_entry("two", "legacy");
    two.sharing = Sharing::Shared;
    let harness = Harness::start(vec![two]).await;
    let owner = harness.legacy("/mcp").await;
    owner.request("tools/list", json!({})).await.unwrap();
    let mut reader = harness.client("/mcp", "reader");
    reader.initialize("2025-11-25", json!({"roots": {}})).await.unwrap();
    for (client, reaches) in [(&reader, 0), (&owner, 1)] {
        client.notify("notifications/roots/list_changed", json!({"forged": "word"})).await.unwrap();
        // Whatever was written before this call is there when it is answered.
        owner.call("two__echo", json!({"message": "a"})).await.unwrap();
        let sent = String::from_utf8(harness.sent.lock().unwrap().clone()).unwrap();
        assert_eq!(sent.matches("roots/list_changed").count(), reaches, "{sent}");
        assert!(!sent.contains("forged"), "{sent}");
    }
}

#[tokio::test]
async fn names_do_not_fill_the_records() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let client = harness.legacy("/servers/one/mcp").await;
    let long = "é".repeat(50_000);
    client.call(&long, json!({})).await.unwrap_err();
    client.request(&format!("x/{long}"), json!({})).await.unwrap_err();
    let lines = harness.records.lines.borrow().clone();
    assert!(lines.iter().filter(|line| line.contains("éé")).count() >= 2, "{}", lines.len());
    assert!(lines.iter().all(|line| line.len() < 1200), "{:?}", lines.iter().map(String::len).max());
}

#[tokio::test]
async fn what_is_kept_or_repeated_is_short() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let long = "x".repeat(70_000);
    let hello = json!({"experimental": {"a": {"b": long}}});
    let refused = harness.client("/mcp", "owner").initialize("2025-11-25", hello).await.unwrap_err();
    assert!(refused.to_string().contains("65536"), "{refused}");
    assert_eq!(harness.gate.sessions().count(), 0);
    let client = harness.legacy("/mcp").await;
    let ping = format!(r#"{{"jsonrpc":"2.0","id":"{long}","method":"ping"}}"#);
    assert_eq!(client.post(ping, &[]).await.unwrap().status, 400);
    let uri = format!("casemate://one/test://{long}");
    let refused = client.request("resources/subscribe", json!({"uri": uri})).await.unwrap_err();
    assert!(refused.to_string().contains("16384"), "{refused}");
    let mut old = harness.client("/mcp", "owner");
    old.initialize("2025-03-26", json!({})).await.unwrap();
    let batch = |n: usize| {
        let pings: Vec<String> =
            (0..n).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)).collect();
        format!("[{}]", pings.join(","))
    };
    assert_eq!(old.post(batch(100), &[]).await.unwrap().status, 200);
    assert_eq!(old.post(batch(101), &[]).await.unwrap().status, 400);
}

#[tokio::test]
async fn a_server_that_announces_changes_in_a_loop_makes_no_work() {
    let harness = Harness::start(vec![stdio_entry("one", "dual"), stdio_entry("two", "dual")]).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let (snapshot, shelf) = (harness.gate.snapshot(), catalog(&harness).shelf("one").unwrap());
    shelf.invalidate();
    let first = catalog(&harness).view(&snapshot, &Endpoint::Joined);
    (0..100).for_each(|_| shelf.invalidate());
    let after = catalog(&harness).view(&snapshot, &Endpoint::Joined);
    assert!(std::sync::Arc::ptr_eq(&first, &after));
}

#[tokio::test]
async fn nothing_of_the_inside_reaches_a_client() {
    let inside = "/srv/inside: permission denied";
    for code in Code::ALL {
        let refusal = Refusal::new(*code, "What a client may read.").with_detail(inside);
        let Wire { error, .. } = refusal.wire();
        let sent = format!("{} {:?}", error.message, error.data.as_ref().map(Raw::as_str));
        assert!(sent.contains("What a client may read.") && !sent.contains("inside"), "{code}: {sent}");
        assert!(!refusal.to_string().contains("inside"), "{code}: {refusal}");
    }
    // A launcher's reason, and what a server says with its last breath, stay with the records.
    let harness = Harness::start(vec![stdio_entry("one", inside), stdio_entry("two", "exits")]).await;
    for name in ["one", "two"] {
        let client = harness.modern(&format!("/servers/{name}/mcp"));
        let told = client.call("echo", json!({"message": "a"})).await.unwrap_err().to_string();
        assert!(told.contains(name), "{told}");
        for private in ["inside", "no such program", "exit", "panicked", ".rs"] {
            assert!(!told.contains(private), "{name}: {told}");
        }
    }
}

#[tokio::test]
async fn a_long_progress_token_is_not_repeated_by_every_notification() {
    let (one, _guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![one]).await;
    let client = harness.modern("/servers/one/mcp");
    client.request("tools/list", json!({})).await.unwrap();
    for (length, is_told) in [(1000, true), (1100, false)] {
        let token = "t".repeat(length);
        let params = json!({"name": "test_tool_with_progress", "_meta": {"progressToken": token}});
        let mut stream = client.open("tools/call", params).await.unwrap();
        let mut tokens = 0;
        while let Some(message) = stream.next().await.unwrap() {
            tokens += usize::from(message["params"]["progressToken"] == json!(token));
        }
        assert_eq!(tokens > 0, is_told, "{length}");
    }
}

/// Token passthrough: nothing that a client proves itself with, and no session of it, ever reaches a server.
#[tokio::test]
async fn no_credential_of_a_client_reaches_a_server_over_http() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (address, _guard) = Fixture::new(Era::Dual).listen("127.0.0.1:0").await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::<u8>::new()));
    let ear = std::sync::Arc::clone(&heard);
    let wire = background(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let ear = std::sync::Arc::clone(&ear);
            connections.spawn(async move {
                let server = tokio::net::TcpStream::connect(address).await.unwrap();
                let ((mut from, mut back), (mut answers, mut to)) =
                    (client.into_split(), server.into_split());
                let there = async {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut bytes).await {
                        ear.lock().unwrap().extend_from_slice(&bytes[..count]);
                        if to.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::join!(there, async { drop(tokio::io::copy(&mut answers, &mut back).await) });
            });
        }
    });
    let harness = Harness::start(vec![http_entry("one", &format!("http://{between}/mcp"))]).await;
    let mut legacy = harness.client("/mcp", "office");
    legacy.initialize("2025-11-25", json!({})).await.unwrap();
    legacy.call("one__echo", json!({"message": "legacy-call"})).await.unwrap();
    let modern = harness.client("/mcp", "token.one/echo").modern(json!({}));
    modern.call("one__echo", json!({"message": "modern-call"})).await.unwrap();
    let relay = harness.client("/servers/one/mcp", "token.one/echo").modern(json!({}));
    relay.call("echo", json!({"message": "relayed-call"})).await.unwrap();
    let text = String::from_utf8_lossy(&heard.lock().unwrap()).to_ascii_lowercase();
    for call in ["legacy-call", "modern-call", "relayed-call"] {
        assert!(text.contains(call), "{call} went over this wire");
    }
    let session = legacy.session().unwrap().to_ascii_lowercase();
    for secret in ["token.one", "office", "authorization", "cookie", &session] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    wire.abort();
}
