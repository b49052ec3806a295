use std::time::Duration;

use casemate_testkit::client::McpHttp;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, background, http_server};
use crate::approvals::{Answer, AnswerFault, Approval, Standing};
use crate::snapshot::{ApprovalLimits, Limits};

const HOUR: u64 = 3600;

async fn one(harness: &Harness) -> Approval {
    let approvals = harness.gate.approvals();
    let mut turns = approvals.turns();
    loop {
        if let Some(open) = approvals.list().into_iter().find(|one| one.standing == Standing::Open) {
            return open;
        }
        turns.changed().await.unwrap();
    }
}

async fn start() -> (Harness, casemate_testkit::fixture::Guard) {
    let (one, guard) = http_server("one", Fixture::new(Era::Dual)).await;
    (Harness::start(vec![one]).await, guard)
}

async fn legacy(harness: &Harness, key: &str) -> McpHttp {
    let mut client = harness.client("/mcp", key);
    client.initialize("2025-11-25", json!({"elicitation": {}})).await.unwrap();
    client
}

fn echo(message: &str) -> Value {
    json!({"name": "one__echo", "arguments": {"message": message}})
}

#[tokio::test]
async fn a_modern_client_is_told_the_question_and_its_retry_passes_once_it_is_approved() {
    let (harness, guard) = start().await;
    let asker = harness.client("/mcp", "asker").modern(json!({"elicitation": {}}));
    let refused = asker.call("one__echo", json!({"message": "a"})).await.unwrap_err().to_string();
    let open = one(&harness).await;
    assert!(refused.contains(&*open.id) && refused.contains("approvals show"), "{refused}");
    assert_eq!((&*open.name, &*open.arguments), ("echo", r#"{"message":"a"}"#));
    harness.gate.approvals().answer(&open.id, Answer::Once, HOUR).await.unwrap();
    // Approving A and running B.
    let other = asker.call("one__echo", json!({"message": "b"})).await.unwrap_err().to_string();
    assert!(other.contains("approval"), "{other}");
    asker.call("one__echo", json!({"message": "a"})).await.unwrap();
    asker.call("one__echo", json!({"message": "a"})).await.unwrap_err();
    assert_eq!(*guard.calls().borrow(), 1);
    harness.records.wait_for("asked echo by key:asker").await;
    harness.records.wait_for("once echo by operator").await;
    harness.records.wait_for("ask key:asker tools/call one/echo").await;
}

#[tokio::test]
async fn a_legacy_call_waits_for_the_operator_and_goes_on_once() {
    let (harness, guard) = start().await;
    let (client, second) = (legacy(&harness, "asker").await, legacy(&harness, "asker").await);
    let waiting = background(async move { client.request("tools/call", echo("a")).await });
    let open = one(&harness).await;
    let same = background(async move { second.request("tools/call", echo("a")).await });
    // Both wait for one approval, and one of them gets it.
    let outcomes = async {
        harness.gate.approvals().answer(&open.id, Answer::Once, HOUR).await.unwrap();
        let first = waiting.await.unwrap();
        harness.gate.stop(Duration::from_millis(1)).await;
        (first, same.await.unwrap())
    };
    let (first, same) = outcomes.await;
    assert_eq!([first.is_ok(), same.is_ok()].iter().filter(|done| **done).count(), 1, "{first:?} {same:?}");
    assert_eq!(*guard.calls().borrow(), 1);
}

#[tokio::test]
async fn a_no_of_the_operator_ends_the_call_that_waits_and_the_next_one() {
    let (harness, guard) = start().await;
    let client = legacy(&harness, "asker").await;
    let again = legacy(&harness, "asker").await;
    let waiting = background(async move { client.request("tools/call", echo("a")).await });
    let open = one(&harness).await;
    harness.gate.approvals().answer(&open.id, Answer::Deny, HOUR).await.unwrap();
    assert!(waiting.await.unwrap().unwrap_err().to_string().contains("said no"));
    assert!(again.request("tools/call", echo("a")).await.unwrap_err().to_string().contains("said no"));
    assert_eq!(*guard.calls().borrow(), 0);
    let late = harness.gate.approvals().answer(&open.id, Answer::Once, HOUR).await.unwrap_err();
    assert_eq!(late, AnswerFault::Answered(open.id.to_string()));
}

#[tokio::test]
async fn a_call_that_waits_ends_with_the_gateway_and_with_its_time() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let approvals = ApprovalLimits { wait_max: Duration::from_millis(50), ..ApprovalLimits::default() };
    let harness = Harness::with_limits(vec![server], Limits { approvals, ..Limits::default() }).await;
    let client = legacy(&harness, "asker").await;
    let late = client.request("tools/call", echo("a")).await.unwrap_err().to_string();
    assert!(late.contains("approvals show"), "{late}");

    let (harness, _guard) = start().await;
    let client = legacy(&harness, "asker").await;
    let waiting = background(async move { client.request("tools/call", echo("a")).await });
    one(&harness).await;
    harness.gate.stop(Duration::from_secs(10)).await;
    assert!(waiting.await.unwrap().unwrap_err().to_string().contains("stopping"));
}

#[tokio::test]
async fn a_question_for_the_operator_never_travels_to_a_client() {
    let (harness, guard) = start().await;
    let client = legacy(&harness, "asker").await;
    let mut call = Box::pin(client.request("tools/call", echo("a")));
    tokio::select! {
        _ = one(&harness) => {}
        answer = &mut call => panic!("it waits: {answer:?}"),
    }
    let said = tokio::time::timeout(Duration::from_millis(200), &mut call).await;
    assert!(said.is_err(), "{said:?}");
    let asked = |session: &std::sync::Arc<crate::client::Session>| {
        session.questions.reply(&casemate_mcp::frame::Id::Number(0), Ok(casemate_mcp::json::Raw::NULL))
    };
    assert!(!harness.gate.sessions().list().iter().any(asked), "nothing was asked of the client");
    // A modern client that answers unasked is told the same as before.
    let asker = harness.client("/mcp", "asker").modern(json!({"elicitation": {}}));
    let mut params = echo("x");
    params["inputResponses"] =
        json!({"casemate_approval": {"action": "accept", "content": {"answer": "once"}}});
    params["requestState"] = json!("approved");
    assert!(asker.request("tools/call", params).await.unwrap_err().to_string().contains("operator"));
    assert_eq!(*guard.calls().borrow(), 0);
}

async fn put(asker: &McpHttp, message: &str) -> String {
    let question = asker.request("tools/call", echo(message)).await.unwrap();
    assert_eq!(question["resultType"], "input_required", "{question}");
    let form = &question["inputRequests"]["casemate_approval"];
    assert_eq!(form["method"], "elicitation/create");
    assert!(form["params"]["message"].as_str().unwrap().contains(message), "{question}");
    question["requestState"].as_str().unwrap().to_owned()
}

fn reply(message: &str, state: &str, answer: &str) -> Value {
    let mut params = echo(message);
    params["requestState"] = json!(state);
    params["inputResponses"] =
        json!({"casemate_approval": {"action": "accept", "content": {"answer": answer}}});
    params
}

fn is_question(result: &Value) -> bool {
    result["resultType"] == "input_required"
}

#[tokio::test]
async fn a_modern_subject_answers_its_own_question_and_each_answer_counts_once() {
    let (harness, guard) = start().await;
    let asker = harness.client("/mcp", "own-asker").modern(json!({"elicitation": {}}));
    let state = put(&asker, "a").await;
    let done = asker.request("tools/call", reply("a", &state, "once")).await.unwrap();
    assert_eq!(done["content"][0]["text"], "a", "{done}");
    let replayed = asker.request("tools/call", reply("a", &state, "once")).await.unwrap();
    assert!(is_question(&replayed), "an answer counts once: {replayed}");
    let no = put(&asker, "b").await;
    let refused = asker.request("tools/call", reply("b", &no, "deny")).await.unwrap_err().to_string();
    assert!(refused.contains("said no"), "{refused}");
    let always = put(&asker, "c").await;
    asker.request("tools/call", reply("c", &always, "always")).await.unwrap_err();
    assert_eq!(*guard.calls().borrow(), 1);
    harness.records.wait_for("once echo by key:own-asker").await;
    harness.records.wait_for("deny echo by key:own-asker").await;
}

#[tokio::test]
async fn an_answer_for_one_call_is_none_for_another_or_for_somebody_else() {
    let (harness, guard) = start().await;
    let asker = harness.client("/mcp", "own-asker").modern(json!({"elicitation": {}}));
    let other = harness.client("/mcp", "own-asker-2").modern(json!({"elicitation": {}}));
    let state = put(&asker, "a").await;
    assert!(is_question(&asker.request("tools/call", reply("b", &state, "once")).await.unwrap()), "A for B");
    assert!(is_question(&other.request("tools/call", reply("a", &state, "once")).await.unwrap()), "stolen");
    let mut tampered = state.clone().into_bytes();
    tampered[60] = if tampered[60] == b'A' { b'B' } else { b'A' };
    let tampered = String::from_utf8(tampered).unwrap();
    assert!(is_question(&asker.request("tools/call", reply("a", &tampered, "once")).await.unwrap()));
    assert_eq!(*guard.calls().borrow(), 0);
    // None of these attempts used the answer up.
    asker.request("tools/call", reply("a", &state, "once")).await.unwrap();
    assert_eq!(*guard.calls().borrow(), 1);
}

#[tokio::test]
async fn an_answer_for_the_session_holds_for_these_arguments() {
    let (harness, guard) = start().await;
    let asker = harness.client("/mcp", "own-asker").modern(json!({"elicitation": {}}));
    let state = put(&asker, "a").await;
    asker.request("tools/call", reply("a", &state, "session")).await.unwrap();
    assert!(!is_question(&asker.request("tools/call", echo("a")).await.unwrap()));
    assert!(is_question(&asker.request("tools/call", echo("b")).await.unwrap()));
    assert_eq!(*guard.calls().borrow(), 2);
}

#[tokio::test]
async fn a_legacy_subject_is_asked_on_the_stream_of_its_call() {
    let (harness, guard) = start().await;
    let client = legacy(&harness, "own-asker").await;
    for (answer, done) in [("once", true), ("deny", false)] {
        let mut exchange = client.open("tools/call", echo("a")).await.unwrap();
        let question = exchange.next().await.unwrap().unwrap();
        assert_eq!(question["method"], "elicitation/create", "{question}");
        let result = json!({"action": "accept", "content": {"answer": answer}});
        client.respond(&question["id"], result).await.unwrap();
        assert_eq!(exchange.result().await.is_ok(), done);
    }
    assert_eq!(*guard.calls().borrow(), 1);
}

#[tokio::test]
async fn a_subject_that_cannot_be_asked_waits_for_an_operator() {
    let (harness, _guard) = start().await;
    let asker = harness.client("/mcp", "own-asker").modern(json!({}));
    let refused = asker.call("one__echo", json!({"message": "a"})).await.unwrap_err().to_string();
    assert!(refused.contains("this client cannot ask"), "{refused}");
    let open = one(&harness).await;
    harness.gate.approvals().answer(&open.id, Answer::Always, HOUR).await.unwrap();
    for _ in 0..2 {
        asker.call("one__echo", json!({"message": "a"})).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_hidden_beside_the_arguments_is_not_approved_with_them() {
    let (harness, guard) = start().await;
    let asker = harness.client("/mcp", "asker").modern(json!({}));
    asker.request("tools/call", echo("a")).await.unwrap_err();
    let open = one(&harness).await;
    harness.gate.approvals().answer(&open.id, Answer::Always, HOUR).await.unwrap();
    asker.request("tools/call", echo("a")).await.unwrap();
    let mut more = echo("a");
    more["task"] = json!({"ttl": 1});
    asker.request("tools/call", more).await.unwrap_err();
    let whole = one(&harness).await;
    assert!(whole.arguments.contains("task"), "all of it is shown: {}", whole.arguments);
    assert_eq!(*guard.calls().borrow(), 1);
}

#[tokio::test]
async fn a_credential_that_was_withdrawn_while_its_call_waited_makes_no_call() {
    let (harness, guard) = start().await;
    let client = legacy(&harness, "asker").await;
    let waiting = background(async move { client.request("tools/call", echo("a")).await });
    let open = one(&harness).await;
    harness.keys.gone.lock().unwrap().push("asker".into());
    harness.gate.approvals().answer(&open.id, Answer::Once, HOUR).await.unwrap();
    waiting.await.unwrap().unwrap_err();
    assert_eq!(*guard.calls().borrow(), 0);
}

/// SEP-2643: what a program has to know of a call that waits for a person.
#[tokio::test]
async fn a_call_that_needs_a_person_says_so_in_the_form_of_the_draft() {
    let (harness, _guard) = start().await;
    let params = json!({"name": "one__echo", "arguments": {"message": "a"}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "one__echo")];
    let ask = async || {
        let mut told = harness.client("/mcp", "asker").post(call.clone(), &headers).await.unwrap();
        let told: Value = serde_json::from_str(&told.rest().await.unwrap()).unwrap();
        told["error"]["data"].clone()
    };
    let told = ask().await;
    let open = one(&harness).await;
    let denial = |told: &Value| told["_meta"]["io.modelcontextprotocol/authorization"].clone();
    assert_eq!(told["code"], "CM1602");
    assert_eq!(
        denial(&told),
        json!({
            "reason": "insufficient_authorization", "remediation": "available",
            "authorizationContextId": &*open.id,
        })
    );
    harness.gate.approvals().answer(&open.id, Answer::Deny, HOUR).await.unwrap();
    let told = ask().await;
    assert_eq!(
        (told["code"].as_str(), &denial(&told)["remediation"]),
        (Some("CM1604"), &json!("unavailable"))
    );
}
