//! Tools that are found instead of listed: what is shown, to whom, and that a call is judged as what it is.

use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, http_server, snapshot, stdio_entry};
use crate::snapshot::{Discovery, Limits};

async fn searching(servers: Vec<crate::snapshot::ServerEntry>, discovery: Discovery) -> Harness {
    let harness = Harness::start(servers.clone()).await;
    let mut changed = snapshot(servers, Limits::default());
    (changed.version, changed.discovery) = (2, discovery);
    harness.gate.swap(changed);
    harness
}

fn names(list: &Value) -> Vec<&str> {
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

const THREE: [&str; 3] = ["find_tools", "describe_tool", "call_tool"];

#[tokio::test]
async fn three_tools_stand_for_all_in_both_dialects() {
    let harness = searching(vec![stdio_entry("one", "dual")], Discovery::Search).await;
    let legacy = harness.legacy("/mcp").await;
    let modern = harness.modern("/mcp");
    for client in [&legacy, &modern] {
        let list = client.request("tools/list", json!({})).await.unwrap();
        assert_eq!(names(&list), THREE);
        let found =
            client.call("find_tools", json!({"query": "return my message", "limit": 3})).await.unwrap();
        let tools = found["structuredContent"]["tools"].as_array().unwrap();
        assert!(tools.len() <= 3 && tools[0]["name"] == "one__echo", "{found}");
        let text = found["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("one__echo: Returns its message"), "{text}");
        let shown = client.call("describe_tool", json!({"name": "one__echo"})).await.unwrap();
        assert_eq!(shown["structuredContent"]["inputSchema"]["required"][0], "message", "{shown}");
        let arguments = json!({"name": "one__echo", "arguments": {"message": "hi"}});
        let said = client.call("call_tool", arguments).await.unwrap();
        assert_eq!(said["content"][0]["text"], "hi");
    }
    // A transparent endpoint shows what its server has.
    let list = harness.modern("/servers/one/mcp").request("tools/list", json!({})).await.unwrap();
    assert!(names(&list).contains(&"echo"), "{list}");
    harness.records.wait_for("allow key:owner tools/call one/echo").await;
    let lines = harness.records.lines.borrow().clone();
    assert!(!lines.iter().any(|line| line.contains("call_tool")), "{lines:?}");
}

#[tokio::test]
async fn nothing_is_started_to_list_three_tools() {
    let harness = searching(vec![stdio_entry("one", "dual")], Discovery::Search).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    assert!(harness.links.guards.lock().unwrap().is_empty());
    let arguments = json!({"name": "one__echo", "arguments": {"message": "hi"}});
    harness.modern("/mcp").call("call_tool", arguments).await.unwrap();
    assert_eq!(harness.links.guards.lock().unwrap().len(), 1, "the first call starts it");
}

#[tokio::test]
async fn whoever_searches_finds_and_calls_only_what_they_may() {
    let harness =
        searching(vec![stdio_entry("one", "dual"), stdio_entry("two", "dual")], Discovery::Search).await;
    let owner = harness.modern("/mcp");
    let all = owner.call("find_tools", json!({"query": "echo message blob", "limit": 50})).await.unwrap();
    assert!(all.to_string().contains("two__echo") && all.to_string().contains("one__blob"), "{all}");
    // The role `reader` may call one/echo, and nothing else.
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let found = reader.call("find_tools", json!({"query": "echo message blob", "limit": 50})).await.unwrap();
    let found = found["structuredContent"]["tools"].as_array().unwrap().clone();
    assert!(found.len() == 1 && found[0]["name"] == "one__echo", "{found:?}");
    let says = async |tool: &str, arguments: Value| {
        reader.call(tool, arguments).await.map_or_else(|refused| refused.to_string(), |said| said.to_string())
    };
    for tool in ["describe_tool", "call_tool"] {
        let hidden = says(tool, json!({"name": "one__blob"})).await;
        let absent = says(tool, json!({"name": "one__abcd"})).await;
        assert_eq!(hidden.replace("one__blob", "X"), absent.replace("one__abcd", "X"), "{tool}");
        assert!(hidden.contains("Unknown tool"), "{hidden}");
    }
    // Called by way of another tool or not, the answer is the same.
    let direct = says("one__blob", json!({"bytes": 1})).await;
    let indirect = says("call_tool", json!({"name": "one__blob", "arguments": {"bytes": 1}})).await;
    assert_eq!(direct, indirect);
}

#[tokio::test]
async fn a_call_by_way_of_another_tool_is_checked_asked_about_and_blocked_like_any_other() {
    let (one, _guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = searching(vec![one], Discovery::Search).await;
    let says = async |key: &str, arguments: Value| {
        let client = harness.client("/mcp", key).modern(json!({}));
        let outcome = client.call("call_tool", arguments).await;
        outcome.map_or_else(|refused| refused.to_string(), |said| said.to_string())
    };
    let echo = |message: Value| json!({"name": "one__echo", "arguments": {"message": message}});
    let wrong = says("owner", echo(json!(7))).await;
    assert!(wrong.contains("CM1501"), "its schema holds: {wrong}");
    // A policy of the role `office` looks at the arguments.
    assert!(says("office", echo(json!("open"))).await.contains("open"));
    assert!(says("office", echo(json!("a secret"))).await.contains("do not allow"));
    // Of `asker` a person is asked first.
    let asked = says("asker", echo(json!("hi"))).await;
    assert!(asked.to_lowercase().contains("approv"), "{asked}");
    // An argument that a header would have to repeat needs none: whoever calls this way knows of no header.
    let region = json!({"name": "one__test_header_param", "arguments": {"region": "eu"}});
    let said = says("owner", region).await;
    assert!(!said.contains("Header mismatch"), "{said}");
    for (arguments, expected) in [
        (json!({}), "needs `name`"),
        (json!({"name": "call_tool", "arguments": {"name": "one__echo"}}), "called directly"),
        (json!({"name": "one__echo", "arguments": []}), "an object"),
    ] {
        let said = says("owner", arguments).await;
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn a_list_gives_way_when_it_is_long_for_whoever_asks() {
    let auto = Discovery::Auto { tokens_max: 500 };
    let harness = searching(vec![stdio_entry("one", "dual")], auto).await;
    let list = harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    assert_eq!(names(&list), THREE);
    // The same servers are a short list for somebody who may see little of them.
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let list = reader.request("tools/list", json!({})).await.unwrap();
    assert_eq!(names(&list), ["one__echo"]);
    let long = searching(vec![stdio_entry("one", "dual")], Discovery::Auto { tokens_max: 1_000_000 }).await;
    let list = long.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    assert!(names(&list).len() > 20);
}

#[tokio::test]
async fn without_discovery_the_three_names_are_nobodys() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    for name in THREE {
        let refused =
            harness.modern("/mcp").call(name, json!({"query": "x", "name": "one__echo"})).await.unwrap_err();
        assert!(refused.to_string().contains("Unknown tool"), "{refused}");
    }
}
