use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, http_entry, http_server, stdio_entry};

/// Every pair of dialects, over every kind of upstream: list, call, a wrong argument, an unknown tool.
#[tokio::test]
async fn any_client_calls_any_server() {
    let (legacy, _legacy) = http_server("one", Fixture::new(Era::Legacy)).await;
    let (modern, _modern) = http_server("two", Fixture::new(Era::Modern)).await;
    let servers = vec![legacy, modern, stdio_entry("three", "legacy"), stdio_entry("four", "modern")];
    let harness = Harness::start(servers).await;
    for path in ["/mcp", "/servers/one/mcp", "/servers/two/mcp", "/servers/three/mcp", "/servers/four/mcp"] {
        for client in [harness.legacy(path).await, harness.modern(path)] {
            let tools = client.request("tools/list", json!({})).await.unwrap();
            let names: Vec<&str> =
                tools["tools"].as_array().unwrap().iter().filter_map(|t| t["name"].as_str()).collect();
            let prefixes: &[&str] =
                if path == "/mcp" { &["one__", "two__", "three__", "four__"] } else { &[""] };
            for prefix in prefixes {
                let echo = format!("{prefix}echo");
                assert!(names.contains(&echo.as_str()), "{path}: {echo} in {names:?}");
                let answer = client.call(&echo, json!({"message": "grüße"})).await.unwrap();
                assert_eq!(text(&answer), "grüße", "{path} {echo}");
                let refused = client.call(&echo, json!({"message": 7})).await.unwrap();
                assert_eq!(refused["isError"], true, "{path} {echo}");
                assert!(text(&refused).contains("/message"), "{refused}");
                let unknown = client.call(&format!("{prefix}nothing"), json!({})).await.unwrap_err();
                assert_eq!(unknown.code(), Some(-32602), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_role_does_not_allow_is_not_there() {
    let (one, _one) = http_server("one", Fixture::new(Era::Dual)).await;
    let (two, _two) = http_server("two", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![one, two]).await;
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let tools = reader.request("tools/list", json!({})).await.unwrap();
    assert_eq!(tools["tools"].as_array().unwrap().len(), 1, "{tools}");
    assert_eq!(text(&reader.call("one__echo", json!({"message": "a"})).await.unwrap()), "a");
    let hidden = reader.call("one__blob", json!({"bytes": 1})).await.unwrap_err().to_string();
    let absent = reader.call("one__abc", json!({})).await.unwrap_err().to_string();
    assert_eq!(hidden.replace("one__blob", "X"), absent.replace("one__abc", "X"));
    let other = reader.call("two__echo", json!({"message": "a"})).await.unwrap_err().to_string();
    assert_eq!(other.replace("two__echo", "X"), absent.replace("one__abc", "X"));
    let transparent = harness.client("/servers/one/mcp", "reader").modern(json!({}));
    let tools = transparent.request("tools/list", json!({})).await.unwrap();
    assert_eq!(tools["tools"].as_array().unwrap().len(), 1, "{tools}");
    let closed = harness.client("/servers/two/mcp", "reader").modern(json!({}));
    assert!(closed.request("tools/list", json!({})).await.unwrap_err().to_string().contains("endpoint"));
}

#[tokio::test]
async fn what_a_person_has_to_approve_of_is_listed_and_not_done_before() {
    let (one, _one) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![one]).await;
    let asker = harness.client("/mcp", "asker").modern(json!({}));
    let tools = asker.request("tools/list", json!({})).await.unwrap();
    assert!(tools["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "one__echo"), "{tools}");
    let refused = asker.call("one__echo", json!({"message": "a"})).await.unwrap_err().to_string();
    assert!(refused.contains("approval of an operator"), "{refused}");
    asker.call("one__blob", json!({"bytes": 1})).await.unwrap();
}

#[tokio::test]
async fn a_dead_server_costs_its_own_tools_only() {
    let (one, _one) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness =
        Harness::start(vec![one, http_entry("dead", "http://127.0.0.1:9/mcp"), stdio_entry("gone", "x")])
            .await;
    let client = harness.modern("/mcp");
    let tools = client.request("tools/list", json!({})).await.unwrap();
    let names: Vec<&str> =
        tools["tools"].as_array().unwrap().iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert!(names.contains(&"one__echo") && names.iter().all(|name| name.starts_with("one__")), "{names:?}");
    let down = client.call("dead__echo", json!({})).await.unwrap_err().to_string();
    assert!(down.contains("dead"), "{down}");
    assert_eq!(text(&client.call("one__echo", json!({"message": "a"})).await.unwrap()), "a");
}

#[tokio::test]
async fn progress_and_questions_reach_the_client_of_the_call() {
    for (kind, era) in [("http", "legacy"), ("stdio", "legacy")] {
        let (http, _guard) = http_server("one", Fixture::new(Era::Legacy)).await;
        let server = if kind == "http" { http } else { stdio_entry("one", era) };
        let harness = Harness::start(vec![server]).await;
        for path in ["/mcp", "/servers/one/mcp"] {
            let client = harness.legacy(path).await;
            let prefix = if path == "/mcp" { "one__" } else { "" };
            let params = json!({"name": format!("{prefix}test_tool_with_progress"), "arguments": {}, "_meta": {"progressToken": "mine"}});
            let mut exchange = client.open("tools/call", params).await.unwrap();
            let mut progress = 0;
            while let Some(message) = exchange.next().await.unwrap() {
                if message["method"] == "notifications/progress" {
                    assert_eq!(message["params"]["progressToken"], "mine", "{kind} {path}");
                    progress += 1;
                }
            }
            assert!(progress >= 3, "{kind} {path}: {progress}");

            let params =
                json!({"name": format!("{prefix}test_elicitation"), "arguments": {"message": "who"}});
            let mut exchange = client.open("tools/call", params).await.unwrap();
            let question = exchange.next().await.unwrap().unwrap();
            assert_eq!(question["method"], "elicitation/create", "{kind} {path}: {question}");
            let reply = json!({"action": "accept", "content": {"username": "u", "email": "e@x.org"}});
            client.respond(&question["id"], reply).await.unwrap();
            let answer = exchange.result().await.unwrap();
            assert!(answer.to_string().contains("accept"), "{kind} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_a_server_says_in_one_breath_with_its_answer_is_heard_before_it() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let client = harness.legacy("/mcp").await;
    let params = json!({"name": "one__test_logging_tool", "arguments": {}});
    for _ in 0..10 {
        let mut exchange = client.open("tools/call", params.clone()).await.unwrap();
        let first = exchange.next().await.unwrap().unwrap();
        assert_eq!(first["method"], "notifications/message", "{first}");
        exchange.result().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_call() {
    for path in ["/mcp", "/servers/one/mcp"] {
        for era in [Era::Legacy, Era::Modern] {
            let (server, guard) = http_server("one", Fixture::new(era)).await;
            let harness = Harness::start(vec![server]).await;
            let client = harness.modern(path);
            let name = if path == "/mcp" { "one__sleep_ms" } else { "sleep_ms" };
            let mut started = guard.calls();
            let call =
                super::harness::background(async move { client.call(name, json!({"ms": 60_000})).await });
            started.wait_for(|calls| *calls == 1).await.unwrap();
            call.abort();
            guard.cancelled().wait_for(|cancelled| *cancelled == 1).await.unwrap();
            harness.records.wait_for("abandoned").await;
        }
    }
}

#[tokio::test]
async fn every_call_is_on_record_before_it_is_made() {
    let (server, guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![server]).await;
    let client = harness.modern("/mcp");
    client.call("one__echo", json!({"message": "a"})).await.unwrap();
    client.call("one__nothing", json!({})).await.unwrap_err();
    let lines = harness.records.lines.borrow().clone();
    assert_eq!(
        lines,
        [
            "allow key:owner tools/call one/echo",
            "ok",
            "deny key:owner tools/call /one__nothing",
            "refused CM1401"
        ]
    );
    *harness.records.full.lock().unwrap() = true;
    let before = *guard.calls().borrow();
    let refused = client.call("one__echo", json!({"message": "a"})).await.unwrap_err().to_string();
    assert!(refused.contains("recorded"), "{refused}");
    assert_eq!(*guard.calls().borrow(), before, "what cannot be recorded is not done");
}

#[tokio::test]
async fn resources_are_found_again_under_their_joined_uris() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![server]).await;
    for client in [harness.legacy("/mcp").await, harness.modern("/mcp")] {
        let list = client.request("resources/list", json!({})).await.unwrap();
        let uris: Vec<&str> =
            list["resources"].as_array().unwrap().iter().filter_map(|r| r["uri"].as_str()).collect();
        assert!(uris.contains(&"casemate://one/test://static-text"), "{uris:?}");
        let read = client
            .request("resources/read", json!({"uri": "casemate://one/test://static-text"}))
            .await
            .unwrap();
        assert_eq!(read["contents"][0]["uri"], "casemate://one/test://static-text", "{read}");
        let embedded = client.call("one__test_embedded_resource", json!({})).await.unwrap();
        let uri = embedded["content"][0]["resource"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("casemate://one/"), "{uri}");
        let missing =
            client.request("resources/read", json!({"uri": "casemate://two/test://x"})).await.unwrap_err();
        assert!(matches!(missing.code(), Some(-32602 | -32002)), "{missing}");
    }
}

#[tokio::test]
async fn a_server_that_forgets_its_sessions_costs_nothing() {
    let (server, guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![server]).await;
    let client = harness.legacy("/mcp").await;
    client.call("one__echo", json!({"message": "a"})).await.unwrap();
    guard.forget_sessions();
    assert_eq!(text(&client.call("one__echo", json!({"message": "b"})).await.unwrap()), "b");
}

#[tokio::test]
async fn a_server_process_that_dies_costs_at_most_the_call_in_flight() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let client = harness.legacy("/mcp").await;
    client.call("one__echo", json!({"message": "a"})).await.unwrap();
    let lost = client.call("one__crash", json!({})).await.unwrap_err().to_string();
    assert!(lost.contains("went away"), "{lost}");
    assert_eq!(text(&client.call("one__echo", json!({"message": "b"})).await.unwrap()), "b");
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

/// `printf … | casemate connect`: who says everything and then closes still reads the answers.
#[tokio::test]
async fn a_client_that_has_said_everything_gets_every_answer() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let (client, server) = tokio::net::UnixStream::pair().unwrap();
    let peer = casemate_transport::listener::Peer::Unix { uid: 0, pid: None };
    let gate = std::sync::Arc::clone(&harness.gate);
    let halves = server.into_split();
    super::harness::background(async move { crate::edge::lines::serve_connection(gate, halves, peer).await });
    let (reader, mut writer) = client.into_split();
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"one__echo","arguments":{{"message":"bye"}},{meta}}}}}"#
    );
    writer.write_all(format!("casemate/1 /mcp\n{call}\n").as_bytes()).await.unwrap();
    writer.shutdown().await.unwrap();
    let mut lines = BufReader::new(reader).lines();
    let answer = lines.next_line().await.unwrap().unwrap();
    assert!(answer.contains("bye") && answer.contains("\"id\":7"), "{answer}");
    assert_eq!(lines.next_line().await.unwrap(), None, "and then the connection ends");
}

/// `printf … | casemate connect` does not wait for the answer to `initialize` before it goes on.
#[tokio::test]
async fn a_request_did_not_overtake_the_opening_of_its_session() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    for path in ["/mcp", "/servers/one/mcp"] {
        let (client, server) = tokio::net::UnixStream::pair().unwrap();
        let peer = casemate_transport::listener::Peer::Unix { uid: 0, pid: None };
        let gate = std::sync::Arc::clone(&harness.gate);
        let halves = server.into_split();
        super::harness::background(async move {
            crate::edge::lines::serve_connection(gate, halves, peer).await;
        });
        let (reader, mut writer) = client.into_split();
        let said = format!(
            "casemate/1 {path}\n{}\n{}\n{}\n",
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
        );
        writer.write_all(said.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(reader).lines();
        let opened = lines.next_line().await.unwrap().unwrap();
        assert!(opened.contains("\"id\":1") && opened.contains("protocolVersion"), "{path}: {opened}");
        let listed = lines.next_line().await.unwrap().unwrap();
        assert!(listed.contains("\"id\":2") && listed.contains("\"tools\":["), "{path}: {listed}");
    }
}
