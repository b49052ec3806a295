//! Conversations with processes in both dialects.

use std::time::Duration;

use casemate_mcp::call::Notice;
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::fakes::{Rig, call, caller, eventually, members, question, raw, tool, value};
use crate::{Event, Fault};

#[tokio::test(start_paused = true)]
async fn a_legacy_server_is_found_out_and_spoken_to() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.echo().await;
    });
    let hello = rig.server.hello(&caller(1)).await.unwrap();
    assert_eq!(hello.revision, Revision::V2025_11_25);
    assert!(hello.capabilities.has("tools"));
    let echoed = rig.call_with(&caller(1), &tool(r#"{"name":"x","arguments":{"a":1.0}}"#)).await.unwrap();
    assert_eq!(echoed, json!({"echo": {"name": "x", "arguments": {"a": 1.0}}}));
    assert_eq!(rig.launched(), 1);
    let initialize = &rig.heard("initialize")[0]["params"];
    assert_eq!(initialize["clientInfo"]["name"], "casemate");
    assert_eq!(initialize["capabilities"], json!({"elicitation": {}}));
}

#[tokio::test(start_paused = true)]
async fn a_modern_server_gets_everything_with_every_request() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_modern().await;
        peer.echo().await;
    });
    assert_eq!(rig.server.hello(&caller(1)).await.unwrap().revision, Revision::V2026_07_28);
    let echoed = rig.call_with(&caller(1), &tool(r#"{"name":"x"}"#)).await.unwrap();
    let meta = &echoed["echo"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({"elicitation": {}}));
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "casemate");
    assert!(rig.heard("initialize").is_empty());
    eventually("it is listened to", || !rig.heard("subscriptions/listen").is_empty()).await;
    let wanted = &rig.heard("subscriptions/listen")[0]["params"]["notifications"];
    assert_eq!(*wanted, json!({"toolsListChanged": true}));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_at_an_unknown_question_is_started_again_without_it() {
    let rig = Rig::new(|_, mut peer| async move {
        let Some(first) = peer.next().await else { return };
        if first["method"] != "initialize" {
            return peer.complain("what is that?").await;
        }
        peer.answer(&first, json!({"protocolVersion": "2024-11-05", "capabilities": {}})).await;
        peer.echo().await;
    });
    let hello = rig.server.hello(&caller(1)).await.unwrap();
    assert_eq!((hello.revision, rig.launched()), (Revision::V2024_11_05, 2));
    rig.kill();
    eventually("its end is noticed", || rig.server.status().instances.is_empty()).await;
    rig.call(&caller(1)).await.unwrap();
    assert_eq!((rig.launched(), rig.heard("server/discover").len()), (3, 1), "the dialect is remembered");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_the_probe_is_legacy_after_five_seconds() {
    let rig = Rig::new(|_, mut peer| async move {
        let request = peer.until("initialize").await.unwrap();
        peer.answer(&request, json!({"protocolVersion": "2025-06-18"})).await;
        peer.echo().await;
    });
    let start = tokio::time::Instant::now();
    assert_eq!(rig.server.hello(&caller(1)).await.unwrap().revision, Revision::V2025_06_18);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_modern_server_that_is_slow_to_start_is_still_modern() {
    let rig = Rig::new(|_, mut peer| async move {
        tokio::time::sleep(Duration::from_secs(9)).await;
        peer.greet_modern().await;
        let request = peer.until("initialize").await.unwrap();
        peer.refuse(&request, -32601).await;
        peer.echo().await;
    });
    assert!(rig.server.hello(&caller(1)).await.unwrap().revision.is_modern());
}

#[tokio::test(start_paused = true)]
async fn a_server_of_a_foreign_revision_says_so() {
    let rig = Rig::new(|_, mut peer| async move {
        let request = peer.next().await.unwrap();
        peer.answer(&request, json!({"supportedVersions": ["2031-01-01"], "capabilities": {}})).await;
        peer.echo().await;
    });
    let fault = rig.server.hello(&caller(1)).await.unwrap_err();
    assert_eq!(fault, Fault::Start { why: "it speaks only 2031-01-01".into() });
}

#[tokio::test(start_paused = true)]
async fn progress_comes_back_under_our_token_and_only_when_wanted() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        while let Some(request) = peer.until("tools/call").await {
            let token = request["params"]["_meta"]["progressToken"].clone();
            let params = json!({"progressToken": token, "progress": 1});
            peer.send(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})).await;
            peer.answer(&request, json!({"token": token})).await;
        }
    });
    let caller = caller(1);
    let mut wants = tool("{}");
    wants.meta.progress = Some(raw("\"client's\""));
    let (sender, mut events) = mpsc::channel(4);
    let answer = value(rig.server.call(&caller, &wants, sender).await).unwrap();
    let Some(Event::Notice(Notice { params, .. })) = events.recv().await else { panic!("no progress") };
    assert_eq!(params.unwrap().get("progressToken").unwrap().as_str(), answer["token"].to_string());

    let (sender, mut events) = mpsc::channel(4);
    let answer = value(rig.server.call(&caller, &tool("{}"), sender).await).unwrap();
    assert_eq!(answer["token"], Value::Null);
    assert!(events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_question_in_mid_call_is_answered_under_the_servers_id() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let request = peer.until("tools/call").await.unwrap();
        let ask = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}});
        peer.send(ask).await;
        let reply = peer.next().await.unwrap();
        peer.answer(&request, json!({"heard": reply})).await;
        peer.echo().await;
    });
    let (sender, mut events) = mpsc::channel(4);
    let (caller, call) = (caller(1), tool("{}"));
    let answering = async {
        // The person takes longer than a call may.
        let answer = question(&mut events).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        answer.send(Ok(raw(r#"{"action":"accept"}"#))).unwrap();
    };
    let (outcome, ()) = tokio::join!(rig.server.call(&caller, &call, sender), answering);
    let heard = json!({"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}});
    assert_eq!(value(outcome).unwrap()["heard"], heard);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_gets_one_call_at_a_time_from_then_on() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        let (mut calls, mut most) = (Vec::new(), 0);
        while let Some(message) = peer.next().await {
            match message["method"].as_str() {
                Some("tools/call") => {
                    calls.push(message);
                    most = most.max(calls.len());
                    let id = calls.len() + 100;
                    let ask =
                        json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {}});
                    peer.send(ask).await;
                }
                None => {
                    let answered = calls.pop().unwrap();
                    peer.answer(&answered, json!({"most": most, "heard": message["result"]})).await;
                }
                Some(_) => {}
            }
        }
    });
    let caller = caller(1);
    let one = || async {
        let (sender, mut events) = mpsc::channel(4);
        let answering = async {
            let answer = question(&mut events).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            answer.send(Ok(raw("{}"))).unwrap();
        };
        let call = tool("{}");
        let (outcome, ()) = tokio::join!(rig.server.call(&caller, &call, sender), answering);
        value(outcome).unwrap()
    };
    one().await;
    let (a, b, c) = tokio::join!(one(), one(), one());
    for answer in [a, b, c] {
        assert_eq!(answer, json!({"most": 1, "heard": {}}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_legacy_server_is_told_the_log_level_once() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.echo().await;
    });
    let mut call = tool("{}");
    for level in ["info", "info", "debug"] {
        call.meta.log_level = Some(level.into());
        rig.call_with(&caller(1), &call).await.unwrap();
    }
    let levels: Vec<Value> =
        rig.heard("logging/setLevel").iter().map(|message| message["params"]["level"].clone()).collect();
    assert_eq!(levels, ["info", "debug"]);
}

#[tokio::test(start_paused = true)]
async fn messages_with_line_breaks_between_their_tokens_stay_one_message() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.echo().await;
    });
    let echoed = rig.call_with(&caller(1), &tool("{\n \"name\":\r\n \"a\\nb\"\n}")).await.unwrap();
    assert_eq!(echoed["echo"]["name"], "a\nb");
}

#[tokio::test(start_paused = true)]
async fn batches_are_taken_from_the_one_revision_that_has_them() {
    let script = |revision: &'static str| {
        Rig::new(move |_, mut peer| async move {
            peer.greet_with(revision).await;
            let request = peer.until("tools/call").await.unwrap();
            let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": {"ok": true}});
            peer.send(json!([answer])).await;
            peer.echo().await;
        })
    };
    let with = script("2025-03-26");
    assert_eq!(with.call(&caller(1)).await.unwrap(), json!({"ok": true}));
    let without = script("2025-06-18");
    assert!(matches!(without.call(&caller(1)).await, Err(Fault::Timeout { .. })));
}

#[tokio::test(start_paused = true)]
async fn notices_reach_a_running_instance_and_start_none() {
    let rig = Rig::new(|_, mut peer| async move {
        peer.greet_legacy().await;
        peer.echo().await;
    });
    let notice = Notice { method: Method::RootsChanged, params: Some(members("{}")) };
    rig.server.notify(&caller(1), &notice).await;
    assert_eq!(rig.launched(), 0);
    rig.call(&caller(1)).await.unwrap();
    rig.server.notify(&caller(1), &notice).await;
    rig.server.notify(&caller(2), &notice).await;
    rig.call_with(&caller(1), &call(Method::ToolsList, "{}")).await.unwrap();
    assert_eq!((rig.heard("notifications/roots/list_changed").len(), rig.launched()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_modern_listen_stream_follows_what_is_watched_and_brings_changes() {
    let mut rig = Rig::new(|_, mut peer| async move {
        peer.greet_modern().await;
        while let Some(request) = peer.until("subscriptions/listen").await {
            let meta = json!({"io.modelcontextprotocol/subscriptionId": request["id"]});
            let note =
                |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
            let wanted = request["params"]["notifications"].clone();
            let acknowledged = json!({"_meta": meta, "notifications": wanted});
            peer.send(note("notifications/subscriptions/acknowledged", acknowledged)).await;
            if let Some(uri) = wanted["resourceSubscriptions"].get(0) {
                peer.send(note("notifications/resources/updated", json!({"uri": uri, "_meta": meta}))).await;
            }
        }
    });
    let caller = caller(1);
    rig.server.watch(&caller, "a:1").await.unwrap();
    let notice = rig.notices.recv().await.unwrap();
    assert_eq!(notice.subject, Some(caller.subject.clone()));
    assert_eq!(
        notice.notice.params.unwrap().raw().as_str(),
        r#"{"uri":"a:1"}"#,
        "our subscription id is ours"
    );
    rig.server.unwatch(&caller, "a:1").await;
    let ends = || rig.heard("subscriptions/listen").last().unwrap()["params"]["notifications"].clone();
    eventually("it is no longer watched", || ends() == json!({"toolsListChanged": true})).await;
}
