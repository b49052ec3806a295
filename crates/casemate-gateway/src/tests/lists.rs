use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, http_entry, http_server, snapshot, stdio_entry};
use crate::snapshot::{Limits, Profile, ProfileTool};
use casemate_mcp::names::{ProfileName, ServerName, ToolName};
use std::collections::BTreeMap;
use std::sync::Arc;

#[tokio::test]
async fn long_lists_are_read_to_their_end_and_in_their_order() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Legacy).page_size(3)).await;
    let harness = Harness::start(vec![server, stdio_entry("two", "modern")]).await;
    let client = harness.modern("/mcp");
    let first = names(&client.request("tools/list", json!({})).await.unwrap());
    let again = names(&client.request("tools/list", json!({})).await.unwrap());
    assert_eq!(first, again);
    let ones = first.iter().filter(|name| name.starts_with("one__")).count();
    let twos = first.iter().filter(|name| name.starts_with("two__")).count();
    assert!(ones > 10 && twos > 10, "{first:?}");
    let bad = client.request("tools/list", json!({"cursor": "nonsense"})).await.unwrap_err();
    assert_eq!(bad.code(), Some(-32602));
}

#[tokio::test]
async fn a_tool_whose_headers_nobody_can_send_is_left_out_and_the_others_stay() {
    let (address, _guard) = Hostile::new(Kind::HeaderInName, Era::Dual).listen("127.0.0.1:0").await.unwrap();
    let harness = Harness::start(vec![http_entry("bad", &format!("http://{address}/mcp"))]).await;
    for (path, prefix) in [("/mcp", "bad__"), ("/servers/bad/mcp", "")] {
        for client in [harness.modern(path), harness.legacy(path).await] {
            let listed = names(&client.request("tools/list", json!({})).await.unwrap());
            assert_eq!(listed, [format!("{prefix}echo")]);
            let arguments = json!({"a": "x", "message": "x"});
            let refused = client.call(&format!("{prefix}strike"), arguments.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Some(-32602), "{refused}");
            client.call(&format!("{prefix}echo"), arguments).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_changed_list_is_announced_and_then_seen() {
    for era in [Era::Legacy, Era::Modern] {
        let (server, guard) = http_server("one", Fixture::new(era)).await;
        let harness = Harness::start(vec![server]).await;
        let legacy = harness.legacy("/mcp").await;
        let before = names(&legacy.request("tools/list", json!({})).await.unwrap());
        let mut general = legacy.listen(None).await.unwrap();
        let modern = harness.modern("/mcp");
        let mut listen = modern
            .open("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}))
            .await
            .unwrap();
        let acknowledged = listen.next().await.unwrap().unwrap();
        assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        guard.change_tools();
        let told = |message: Option<Value>| message.unwrap()["method"] == "notifications/tools/list_changed";
        while !told(general.next().await.unwrap()) {}
        while !told(listen.next().await.unwrap()) {}
        let after = names(&legacy.request("tools/list", json!({})).await.unwrap());
        assert_ne!(before, after, "{era:?}");
    }
}

#[tokio::test]
async fn watched_resources_are_told_to_their_watchers() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![server]).await;
    let client = harness.legacy("/mcp").await;
    let uri = "casemate://one/test://watched-resource";
    client.request("resources/subscribe", json!({"uri": uri})).await.unwrap();
    client.request("resources/unsubscribe", json!({"uri": uri})).await.unwrap();
}

#[tokio::test]
async fn a_profile_shows_what_it_chooses_the_way_it_says() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![server.clone()]).await;
    let mut next = snapshot(vec![server], Limits::default());
    let one = ServerName::parse("one").unwrap();
    let say = ProfileTool {
        rename: Some(ToolName::parse("say_hi").unwrap()),
        description: Some("Says hi.".into()),
        fixed: [("message".to_owned(), "\"hi\"".to_owned())].into(),
    };
    let profile = Profile {
        name: ProfileName::parse("work").unwrap(),
        servers: [one.clone()].into(),
        only: Some(vec!["one/e*".into(), "one/counter".into()]),
        hidden: vec!["one/env".into()],
        tools: BTreeMap::from([((one, ToolName::parse("echo").unwrap()), say)]),
    };
    next.version = 2;
    next.profiles.insert(profile.name.clone(), Arc::new(profile));
    harness.gate.swap(next);
    let client = harness.modern("/profiles/work/mcp");
    let list = client.request("tools/list", json!({})).await.unwrap();
    let mut shown = names(&list);
    shown.sort();
    assert_eq!(shown, ["one__counter", "say_hi"]);
    let tool = list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "say_hi").unwrap();
    assert_eq!(tool["description"], "Says hi.");
    assert!(tool["inputSchema"]["properties"].get("message").is_none(), "{tool}");
    let answer = client.call("say_hi", json!({})).await.unwrap();
    assert_eq!(answer["content"][0]["text"], "hi");
    let refused = client.call("say_hi", json!({"message": "other"})).await.unwrap();
    assert_eq!(refused["isError"], true, "{refused}");
    assert_eq!(client.call("one__echo", json!({"message": "a"})).await.unwrap_err().code(), Some(-32602));
    assert!(harness.modern("/profiles/other/mcp").request("tools/list", json!({})).await.is_err());
}

fn names(list: &Value) -> Vec<String> {
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}
