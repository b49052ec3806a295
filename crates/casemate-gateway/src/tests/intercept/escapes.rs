//! What once got past the judges. Each test is named for what broke.

use std::collections::BTreeSet;

use casemate_testkit::client::McpHttp;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::bench::{Judge, MUTATOR, VALIDATOR, change, interceptor, makes, on};
use crate::snapshot::{Event, Interceptor, Interceptors, Phase};
use crate::tests::harness::{Harness, http_server, stdio_entry};
use crate::tests::seen::{PLACES, server, tool};

const WORD: &str = "FORBIDDEN";

/// Says no to whatever has the word in it.
fn strict() -> Judge {
    Box::new(|asked| Some(json!({"valid": !asked["payload"].to_string().contains(WORD)})))
}

fn judging(harness: &Harness, events: &[Event], (interceptor, judge): (Interceptor, Judge)) {
    let events: BTreeSet<Event> = events.iter().copied().collect();
    harness.bench.judges.lock().unwrap().insert(interceptor.name.to_string(), judge.into());
    let all = vec![Interceptor { events, ..interceptor }];
    change(harness, |snapshot| snapshot.interceptors = Interceptors::new(all));
}

fn everything() -> Value {
    json!({"elicitation": {}, "sampling": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// Replies to what a tool asks.
async fn replied(client: &McpHttp, name: &str, reply: &Value) -> Result<Value, String> {
    let mut call = json!({"name": name, "arguments": {}});
    let asked = client.request("tools/call", call.clone()).await.unwrap();
    let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    call["inputResponses"] = json!({ key: reply });
    if let Some(state) = asked.get("requestState") {
        call["requestState"] = state.clone();
    }
    client.request("tools/call", call).await.map_err(|fault| fault.to_string())
}

#[tokio::test]
async fn a_reply_with_a_member_of_another_kind_was_shown_to_the_wrong_judges() {
    for era in [Era::Legacy, Era::Modern] {
        let (one, _guard) = http_server("one", Fixture::new(era)).await;
        let harness = Harness::start(vec![one]).await;
        let judge = || (on(Phase::Response, interceptor("judge", VALIDATOR)), strict());
        for (path, prefix) in PLACES {
            let client = harness.client(path, "owner").modern(everything());
            let elicits = format!("{prefix}test_input_required_result_elicitation");
            let samples = format!("{prefix}test_input_required_result_sampling");
            judging(&harness, &[Event::Elicitation], judge());
            for extra in [json!({}), json!({"role": "user"}), json!({"roots": []}), json!({"model": "m"})] {
                let mut reply = json!({"action": "accept", "content": {"name": WORD}});
                reply.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
                let refused = replied(&client, &elicits, &reply).await.unwrap_err();
                assert!(
                    refused.contains("does not let the answer pass"),
                    "{era:?} {path} {extra}: {refused}"
                );
            }
            let good = json!({"action": "accept", "content": {"name": "Vauban"}, "role": "user"});
            replied(&client, &elicits, &good).await.unwrap();
            judging(&harness, &[Event::Sampling], judge());
            for extra in [json!({}), json!({"action": "accept"}), json!({"roots": []})] {
                let mut reply =
                    json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": WORD}});
                reply.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
                let refused = replied(&client, &samples, &reply).await.unwrap_err();
                assert!(
                    refused.contains("does not let the answer pass"),
                    "{era:?} {path} {extra}: {refused}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_reply_to_a_task_with_a_member_of_another_kind_was_shown_to_the_wrong_judges() {
    for era in [Era::Legacy, Era::Modern] {
        let (one, _guard) = http_server("one", Fixture::new(era)).await;
        let harness = Harness::start(vec![one]).await;
        judging(
            &harness,
            &[Event::Elicitation],
            (on(Phase::Response, interceptor("judge", VALIDATOR)), strict()),
        );
        for (path, prefix) in PLACES {
            let client = harness.client(path, "owner").modern(everything());
            let name = format!("{prefix}confirm_delete");
            let begun = client.call(&name, json!({"filename": "f"})).await.unwrap();
            let key = loop {
                let state = client.request("tasks/get", json!({"taskId": begun["taskId"]})).await.unwrap();
                if let Some(asked) = state["inputRequests"].as_object() {
                    break asked.keys().next().unwrap().clone();
                }
            };
            let update = async |reply: Value| {
                let params = json!({"taskId": begun["taskId"], "inputResponses": {&key: reply}});
                client.request("tasks/update", params).await.map_err(|fault| fault.to_string())
            };
            let bad = json!({"action": "accept", "content": {"confirm": true, "x": WORD}, "role": "user"});
            let refused = update(bad).await.unwrap_err();
            assert!(refused.contains("does not let the answer pass"), "{era:?} {path}: {refused}");
            update(json!({"action": "accept", "content": {"confirm": true}})).await.unwrap();
        }
    }
}

/// A gateway over a server whose tool is a task that is as `told` says, and that came to `outcome`.
async fn task(is_modern: bool, told: Value, outcome: Result<Value, Value>) -> Harness {
    let can = if is_modern {
        json!({"tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
    } else {
        json!({"tools": {}, "tasks": {"cancel": {}, "requests": {"tools": {"call": {}}}}})
    };
    let harness = Harness::start(vec![stdio_entry("one", "plays")]).await;
    harness.links.play(server((is_modern, can), move |method, _| {
        let now = "2026-11-29T00:00:00Z";
        let mut task = json!({"taskId": "t", "status": "working", "createdAt": now, "lastUpdatedAt": now});
        task[if is_modern { "ttlMs" } else { "ttl" }] = Value::Null;
        match method {
            "tools/list" => return Ok(json!({"tools": [tool()]})),
            "tools/call" if is_modern => task["resultType"] = "task".into(),
            "tools/call" => return Ok(json!({"task": task})),
            "tasks/get" | "tasks/cancel" => {
                task.as_object_mut().unwrap().extend(told.as_object().unwrap().clone());
            }
            _ => return outcome.clone(),
        }
        Ok(task)
    }));
    harness
}

async fn fetched(harness: &Harness, (path, prefix): (&str, &str)) -> Result<Value, String> {
    let client = harness.client(path, "owner").modern(everything());
    let begun = client.call(&format!("{prefix}strike"), json!({})).await.unwrap();
    client.request("tasks/get", json!({"taskId": begun["taskId"]})).await.map_err(|fault| fault.to_string())
}

#[tokio::test]
async fn what_a_task_says_besides_its_result_was_shown_to_no_judge() {
    let error = || json!({"code": -32000, "message": WORD});
    let cases = [
        (true, json!({"status": "failed", "error": error()})),
        (true, json!({"status": "failed", "error": {"code": -32000, "message": "x", "data": WORD}})),
        (true, json!({"status": "failed", "error": WORD})),
        (true, json!({"status": "working", "statusMessage": WORD})),
        (true, json!({"status": "working", "createdAt": WORD})),
        (true, json!({"status": "completed", "content": [{"type": "text", "text": WORD}]})),
        (true, json!({"status": "completed", "structuredContent": {"x": WORD}})),
        (true, json!({"status": "completed", "result": [WORD]})),
        (true, json!({"status": "completed", "result": {"content": [{"type": "text", "text": WORD}]}})),
        (false, json!({"status": "working", "statusMessage": WORD})),
        (false, json!({"status": "failed"})),
    ];
    for (is_modern, told) in cases {
        let harness = task(is_modern, told.clone(), Err(error())).await;
        for place in PLACES {
            judging(
                &harness,
                &[Event::ToolsCall],
                (on(Phase::Response, interceptor("judge", VALIDATOR)), strict()),
            );
            let refused = fetched(&harness, place).await.unwrap_err();
            assert!(
                refused.contains("does not let the answer pass"),
                "{is_modern} {place:?} {told}: {refused}"
            );
            change(&harness, |snapshot| snapshot.interceptors = Interceptors::default());
            assert!(fetched(&harness, place).await.unwrap().to_string().contains(WORD), "{told}");
        }
    }
}

#[tokio::test]
async fn a_task_that_says_nothing_is_no_question_to_a_judge_and_one_that_is_changed_stays_a_task() {
    let harness = task(true, json!({"status": "working"}), Ok(json!({}))).await;
    let judge = || (on(Phase::Response, interceptor("judge", VALIDATOR)), strict());
    judging(&harness, &[Event::ToolsCall], judge());
    for (asked, place) in PLACES.into_iter().enumerate() {
        fetched(&harness, place).await.unwrap();
        assert_eq!(harness.bench.order().len(), asked + 1, "only of the call that began it");
    }
    let told = json!({
        "status": "failed", "statusMessage": WORD, "error": {"code": -32000, "message": WORD, "data": 1},
    });
    let harness = task(true, told, Ok(json!({}))).await;
    let kinder = makes(|payload| {
        for spot in ["/error/message", "/statusMessage"] {
            if let Some(text) = payload.pointer_mut(spot) {
                *text = "kinder".into();
            }
        }
    });
    judging(&harness, &[Event::ToolsCall], (on(Phase::Response, interceptor("judge", MUTATOR)), kinder));
    for place in PLACES {
        let state = fetched(&harness, place).await.unwrap();
        assert_eq!(state["error"], json!({"code": -32000, "message": "kinder", "data": 1}), "{state}");
        assert_eq!((&state["statusMessage"], &state["status"]), (&json!("kinder"), &json!("failed")));
        assert!(state["taskId"].is_string() && state["createdAt"].is_string(), "{state}");
    }
    let liar = makes(|payload| payload["result"] = json!({"content": []}));
    judging(&harness, &[Event::ToolsCall], (on(Phase::Response, interceptor("judge", MUTATOR)), liar));
    for place in PLACES {
        let client = harness.client(place.0, "owner").modern(everything());
        let refused = client.call(&format!("{}strike", place.1), json!({})).await;
        assert!(refused.is_ok(), "{refused:?}");
        let refused = fetched(&harness, place).await.unwrap_err();
        assert!(refused.contains("CM1511"), "{refused}");
    }
}
