//! Questions in mid-call, between any two dialects.

pub(super) mod person;
pub(super) mod script;

use std::time::Duration;

use casemate_auth::seal::{Owner, Ring, Seals};
use casemate_testkit::client::McpHttp;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, background, http_server, stdio_entry};
use crate::snapshot::{Limits, QuestionLimits};
use person::{call, code, retry};

fn all() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}

fn modern(harness: &Harness, path: &str, key: &str) -> McpHttp {
    harness.client(path, key).modern(all())
}

/// A call that waits: the client, and what it was told.
async fn asked(client: &McpHttp, tool: &str, arguments: Value) -> Value {
    let result = client.call(tool, arguments).await.unwrap();
    assert_eq!(result["resultType"], "input_required", "{result}");
    result
}

/// The request that goes on with a call.
fn going_on(tool: &str, arguments: Value, result: &Value) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments});
    params.as_object_mut().unwrap().append(&mut retry(result));
    params
}

fn now() -> u64 {
    crate::clock::unix_now().as_secs()
}

async fn with_questions(program: &str, questions: QuestionLimits) -> Harness {
    let limits = Limits { questions, ..Limits::default() };
    Harness::with_limits(vec![stdio_entry("one", program)], limits).await
}

#[tokio::test]
async fn a_modern_client_answers_what_a_legacy_server_asks() {
    let (http, _guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    for (kind, server) in [("http", http), ("stdio", stdio_entry("one", "legacy"))] {
        let harness = Harness::start(vec![server]).await;
        for (path, prefix) in [("/mcp", "one__"), ("/servers/one/mcp", "")] {
            let client = modern(&harness, path, "owner");
            let tool = |name: &str| format!("{prefix}test_input_required_result_{name}");
            let heard = call(&client, &tool("elicitation"), json!({})).await;
            assert_eq!(heard.text(), "Hello, Vauban!", "{kind} {path}");
            let heard = call(&client, &tool("multi_round"), json!({})).await;
            assert_eq!((heard.text(), heard.asked.len()), ("Vauban likes red", 2), "{kind} {path}");
            let heard = call(&client, &tool("multiple_inputs"), json!({})).await;
            assert_eq!(heard.text(), "Vauban: Paris (1 roots)", "{kind} {path}");
            let prompt =
                json!({"name": format!("{prefix}test_input_required_result_prompt"), "arguments": {}});
            let heard = person::request(&client, "prompts/get", prompt).await;
            assert_eq!(heard.asked.len(), 1, "{kind} {path}: {heard:?}");
            assert!(heard.result.unwrap()["messages"][0]["content"]["text"].is_string(), "{kind} {path}");
            assert_eq!(harness.gate.parked().count(), 0, "{kind} {path}");
        }
    }
}

#[tokio::test]
async fn a_legacy_client_answers_what_a_modern_server_asks() {
    let (http, _guard) = http_server("one", Fixture::new(Era::Modern)).await;
    for (kind, server) in [("http", http), ("stdio", stdio_entry("one", "modern"))] {
        let harness = Harness::start(vec![server]).await;
        for (path, prefix) in [("/mcp", "one__"), ("/servers/one/mcp", "")] {
            let client = harness.legacy(path).await;
            let tool = |name: &str| format!("{prefix}test_input_required_result_{name}");
            let heard = call(&client, &tool("elicitation"), json!({})).await;
            assert_eq!(heard.text(), "Hello, Vauban!", "{kind} {path}");
            let heard = call(&client, &tool("multi_round"), json!({})).await;
            assert_eq!((heard.text(), heard.asked.len()), ("Vauban likes red", 2), "{kind} {path}");
            let heard = call(&client, &tool("multiple_inputs"), json!({})).await;
            assert_eq!((heard.text(), heard.asked.len()), ("Vauban: Paris (1 roots)", 3), "{kind} {path}");
            // The state goes back as it came: the server seals it.
            let heard = call(&client, &tool("request_state"), json!({})).await;
            assert!(heard.text().starts_with("state-ok"), "{kind} {path}: {}", heard.text());
        }
    }
}

#[tokio::test]
async fn a_question_says_which_server_asks_where_several_are_joined() {
    for era in ["legacy", "modern"] {
        let harness = Harness::start(vec![stdio_entry("one", era)]).await;
        let (modern, legacy) = (modern(&harness, "/mcp", "owner"), harness.legacy("/mcp").await);
        for client in [&modern, &legacy] {
            let heard = call(client, "one__test_input_required_result_elicitation", json!({})).await;
            let question = &heard.asked[0]["params"];
            assert_eq!(question["message"], "one asks: What is your name?", "{era}");
            assert_eq!(question["_meta"]["io.casemate/server"], "one", "{era}");
            let heard = call(client, "one__test_input_required_result_sampling", json!({})).await;
            assert_eq!(heard.asked[0]["params"]["_meta"]["io.casemate/server"], "one", "{era}");
        }
        // Alone, its words are its own.
        let alone = self::modern(&harness, "/servers/one/mcp", "owner");
        let heard = call(&alone, "test_input_required_result_elicitation", json!({})).await;
        assert_eq!(heard.asked[0]["params"]["message"], "What is your name?", "{era}");
        assert!(heard.asked[0]["params"].get("_meta").is_none(), "{era}");
    }
}

#[tokio::test]
async fn a_call_goes_on_once() {
    let (server, guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![server]).await;
    let client = modern(&harness, "/mcp", "owner");
    let tool = "one__test_input_required_result_elicitation";
    let question = asked(&client, tool, json!({})).await;
    let again = going_on(tool, json!({}), &question);
    let (one, other) = tokio::join!(
        client.request("tools/call", again.clone()),
        client.request("tools/call", again.clone())
    );
    let outcomes = [one, other];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).unwrap();
    assert_eq!(code(refused), "CM1713");
    assert_eq!(code(&client.request("tools/call", again).await.unwrap_err()), "CM1713");
    assert_eq!(*guard.calls().borrow(), 1);
}

#[tokio::test]
async fn a_state_that_was_changed_or_given_for_another_call_is_refused_and_the_call_still_waits() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy"), stdio_entry("two", "legacy")]).await;
    let client = modern(&harness, "/mcp", "owner");
    let tool = "one__test_elicitation";
    let question = asked(&client, tool, json!({"message": "m"})).await;
    let good = going_on(tool, json!({"message": "m"}), &question);
    let state = question["requestState"].as_str().unwrap().to_owned();
    let with = |name: &str, arguments: Value, state: &str| {
        let mut params = going_on(name, arguments, &question);
        params["requestState"] = state.into();
        params
    };
    let m = || json!({"message": "m"});
    let mut changed = state.clone();
    let last = changed.pop().unwrap();
    changed.push(if last == 'A' { 'Q' } else { 'A' });
    let mut cut = state.clone();
    cut.truncate(40);
    for wrong in [changed.as_str(), cut.as_str(), "", "nonsense"] {
        let error = client.request("tools/call", with(tool, m(), wrong)).await.unwrap_err();
        assert_eq!((code(&error), error.code()), ("CM1308".to_owned(), Some(-32602)), "{wrong:?}");
    }
    let foreign = [
        with(tool, json!({"message": "n"}), &state),
        with("two__test_elicitation", m(), &state),
        with("one__test_sampling", json!({"prompt": "m"}), &state),
    ];
    for params in foreign {
        let error = client.request("tools/call", params).await.unwrap_err();
        assert_eq!(code(&error), "CM1309");
    }
    let thief = modern(&harness, "/mcp", "other");
    assert_eq!(code(&thief.request("tools/call", good.clone()).await.unwrap_err()), "CM1309");
    let mut wrong = good.clone();
    wrong["inputResponses"] = json!({"question-1": "yes"});
    assert_eq!(client.request("tools/call", wrong).await.unwrap_err().code(), Some(-32602));
    // None of them used it up.
    client.request("tools/call", good).await.unwrap();
}

#[tokio::test]
async fn a_call_that_waits_outlives_a_change_of_the_keys() {
    let ring = Ring::fresh(now()).unwrap();
    let seals = Seals::new(ring.clone(), Owner([1; 8]));
    let harness = Harness::replica(vec![stdio_entry("one", "legacy")], seals).await;
    let client = modern(&harness, "/mcp", "owner");
    let (tool, m) = ("one__test_elicitation", || json!({"message": "m"}));
    let kept = asked(&client, tool, m()).await;
    let turned = ring.turned(now()).unwrap();
    harness.gate.seals().swap(turned.clone());
    client.request("tools/call", going_on(tool, m(), &kept)).await.unwrap();
    // What begins now is sealed with the new key, and the one before may be forgotten some day.
    let question = asked(&client, tool, m()).await;
    harness.gate.seals().swap(turned.turned(now()).unwrap());
    client.request("tools/call", going_on(tool, m(), &question)).await.unwrap();
    let lost = asked(&client, tool, m()).await;
    harness.gate.seals().swap(Ring::fresh(now()).unwrap());
    let refused = client.request("tools/call", going_on(tool, m(), &lost)).await.unwrap_err();
    assert_eq!(code(&refused), "CM1308", "its key is gone");
}

#[tokio::test]
async fn a_call_that_waits_elsewhere_is_refused_in_so_many_words_and_a_servers_own_state_goes_anywhere() {
    let (shared, _guard) = http_server("two", Fixture::new(Era::Modern)).await;
    let ring = Ring::fresh(now()).unwrap();
    let replica = async |owner| {
        let seals = Seals::new(ring.clone(), Owner([owner; 8]));
        Harness::replica(vec![stdio_entry("one", "legacy"), shared.clone()], seals).await
    };
    let (here, there) = (replica(1).await, replica(2).await);
    let (client, other) = (modern(&here, "/mcp", "owner"), modern(&there, "/mcp", "owner"));
    let (tool, m) = ("one__test_elicitation", || json!({"message": "m"}));
    let question = asked(&client, tool, m()).await;
    let refused = other.request("tools/call", going_on(tool, m(), &question)).await.unwrap_err();
    assert_eq!(code(&refused), "CM1712");
    assert!(refused.to_string().contains("another replica of this gateway has it"), "{refused}");
    client.request("tools/call", going_on(tool, m(), &question)).await.unwrap();

    let tool = "two__test_input_required_result_elicitation";
    let question = asked(&client, tool, json!({})).await;
    let done = other.request("tools/call", going_on(tool, json!({}), &question)).await.unwrap();
    assert_eq!(done["resultType"], "complete", "{done}");
    let thief = modern(&there, "/mcp", "other");
    let question = asked(&client, tool, json!({})).await;
    let refused = thief.request("tools/call", going_on(tool, json!({}), &question)).await.unwrap_err();
    assert_eq!(code(&refused), "CM1309");
}

#[tokio::test]
async fn what_nobody_here_knows_passes_through_between_any_two_dialects() {
    let capabilities = json!({"extensions": {"com.example/unknown": {"x": [1, null, "é"]}}});
    let meta = json!({
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=a:b;c", "baggage": "k=v,%20", "com.example/thing": {"deep": [{"é": 1}, null]}
    });
    for program in ["legacy", "modern"] {
        let harness = Harness::start(vec![stdio_entry("one", program)]).await;
        let mut legacy = harness.client("/servers/one/mcp", "owner");
        legacy.initialize("2025-11-25", capabilities.clone()).await.unwrap();
        let modern = harness.client("/servers/one/mcp", "owner").modern(capabilities.clone());
        for (client, speaks) in [(legacy, "legacy"), (modern, "modern")] {
            let params = json!({"name": "request_info", "arguments": {}, "_meta": meta});
            let seen = client.request("tools/call", params).await.unwrap();
            let seen = &seen["structuredContent"];
            for (key, value) in meta.as_object().unwrap() {
                assert_eq!(&seen["meta"][key], value, "{speaks} client, {program} server: {key}");
            }
            let (declared, sent) = (&seen["capabilities"]["extensions"], &capabilities["extensions"]);
            assert_eq!(
                declared["com.example/unknown"], sent["com.example/unknown"],
                "{speaks}, {program}: {seen}"
            );
        }
    }
}

#[tokio::test]
async fn a_reply_that_leaves_a_question_out_is_asked_for_it_again() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let client = modern(&harness, "/mcp", "owner");
    let arguments = || json!({"how": "at-once"});
    let first = asked(&client, "one__ask", arguments()).await;
    let mut partial = going_on("one__ask", arguments(), &first);
    partial["inputResponses"] = json!({"nobody-asked": {}});
    let second = client.request("tools/call", partial).await.unwrap();
    assert_eq!(second["inputRequests"], first["inputRequests"]);
    let heard = person::request(&client, "tools/call", going_on("one__ask", arguments(), &second)).await;
    assert!(heard.text().contains("Vauban") && heard.text().contains("file:///work"), "{}", heard.text());
}

#[tokio::test]
async fn a_client_that_never_comes_back_costs_the_call_and_nothing_else() {
    let limits = QuestionLimits { time_max: Duration::from_millis(20), ..QuestionLimits::default() };
    let limits = Limits { questions: limits, ..Limits::default() };
    let (server, guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::with_limits(vec![server], limits).await;
    let client = modern(&harness, "/mcp", "owner");
    let tool = "one__test_input_required_result_elicitation";
    let question = asked(&client, tool, json!({})).await;
    guard.cancelled().wait_for(|cancelled| *cancelled == 1).await.unwrap();
    let late = client.request("tools/call", going_on(tool, json!({}), &question)).await.unwrap_err();
    assert_eq!(code(&late), "CM1712");
    assert_eq!(harness.gate.parked().count(), 0);
}

#[tokio::test]
async fn waiting_calls_are_bounded_and_end_with_the_gateway_and_with_the_credential() {
    let questions = QuestionLimits { parked_max: 2, parked_all_max: 3, ..QuestionLimits::default() };
    let limits = Limits { questions, ..Limits::default() };
    let (server, guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::with_limits(vec![server], limits).await;
    let (client, other) = (modern(&harness, "/mcp", "owner"), modern(&harness, "/mcp", "other"));
    let tool = "one__test_input_required_result_elicitation";
    let first = asked(&client, tool, json!({})).await;
    asked(&client, tool, json!({})).await;
    assert_eq!(code(&client.call(tool, json!({})).await.unwrap_err()), "CM1714");
    guard.cancelled().wait_for(|cancelled| *cancelled == 1).await.unwrap();
    asked(&other, tool, json!({})).await;
    assert_eq!(code(&other.call(tool, json!({})).await.unwrap_err()), "CM1714");
    guard.cancelled().wait_for(|cancelled| *cancelled == 2).await.unwrap();

    harness.keys.gone.lock().unwrap().push("other".to_owned());
    harness.gate.parked().sweep(|whose| harness.gate.current(&whose.owner).is_some());
    guard.cancelled().wait_for(|cancelled| *cancelled == 3).await.unwrap();
    assert_eq!(harness.gate.parked().count(), 2);
    harness.gate.stop(Duration::from_secs(10)).await;
    guard.cancelled().wait_for(|cancelled| *cancelled == 5).await.unwrap();
    assert_eq!(harness.gate.parked().count(), 0);
    client.request("tools/call", going_on(tool, json!({}), &first)).await.unwrap_err();
}

#[tokio::test]
async fn a_server_that_asks_on_and_on_is_stopped() {
    let questions = QuestionLimits { rounds_max: 3, ..QuestionLimits::default() };
    let harness = with_questions("script", questions).await;
    let client = modern(&harness, "/mcp", "owner");
    let heard = call(&client, "one__ask", json!({"how": "forever"})).await;
    assert_eq!((heard.refused(), heard.asked.len()), ("CM1714".to_owned(), 3));
    let heard = call(&client, "one__ask", json!({"how": "count-cancelled"})).await;
    assert_eq!(heard.text(), "1");
}

#[tokio::test]
async fn a_server_that_no_longer_wants_its_question_answered_is_not_waited_for() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let client = modern(&harness, "/mcp", "owner");
    let heard = call(&client, "one__ask", json!({"how": "withdraw"})).await;
    assert_eq!(heard.text(), "I know it myself");
}

#[tokio::test]
async fn an_address_to_open_is_asked_for_in_the_words_of_each_dialect() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let client = modern(&harness, "/servers/one/mcp", "owner");
    let heard = call(&client, "ask", json!({"how": "url"})).await;
    let question = json!({"mode": "url", "url": "https://example.org/x", "message": "go"});
    assert_eq!(heard.asked[0]["params"], question);
    assert!(heard.text().contains("accept"), "{}", heard.text());
    let result = client.call("ask", json!({"how": "url-error"})).await.unwrap();
    assert_eq!(result["inputRequests"]["question-1"]["params"], question, "{result}");
    assert!(result.get("requestState").is_none(), "{result}");
    let mut legacy = harness.client("/servers/one/mcp", "owner");
    legacy.initialize("2025-11-25", all()).await.unwrap();
    let heard = call(&legacy, "ask", json!({"how": "url"})).await;
    assert_eq!(heard.asked[0]["params"]["elicitationId"], "e1");
}

#[tokio::test]
async fn a_client_is_told_what_it_would_have_had_to_declare() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let client = |capabilities| harness.client("/servers/one/mcp", "owner").modern(capabilities);
    let cases = [
        (json!({"roots": {}}), "plain", json!({"elicitation": {}})),
        (json!({"elicitation": {}}), "url", json!({"elicitation": {"url": {}}})),
        (json!({"sampling": {}}), "sample-with-tools", json!({"sampling": {"tools": {}}})),
    ];
    for (declared, how, required) in cases {
        let error = client(declared).call("ask", json!({"how": how})).await.unwrap_err();
        let casemate_testkit::client::ClientError::Rpc(error) = error else { panic!("{error}") };
        assert_eq!(
            (error.code, error.data),
            (-32021, Some(json!({"requiredCapabilities": required}))),
            "{how}"
        );
    }
    let heard = call(&client(all()), "ask", json!({"how": "sample-with-tools"})).await;
    assert!(heard.asked[0]["params"]["tools"].is_array(), "{heard:?}");
}

#[tokio::test]
async fn an_approved_call_goes_on_with_its_approval() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let client = modern(&harness, "/mcp", "asker");
    // `asker` may call everything of `one` and is asked before `echo`; a question of the server is none of the gateway's.
    let heard = call(&client, "one__test_input_required_result_elicitation", json!({})).await;
    assert_eq!(heard.text(), "Hello, Vauban!");
    harness.records.wait_for("allow key:asker tools/call one/test_input_required_result_elicitation").await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_resumed_call_runs_cancels_it() {
    let (server, guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![server]).await;
    let client = modern(&harness, "/mcp", "owner");
    let tool = "one__test_input_required_result_multi_round";
    let first = asked(&client, tool, json!({})).await;
    let second = client.request("tools/call", going_on(tool, json!({}), &first)).await.unwrap();
    assert_eq!(second["resultType"], "input_required", "{second}");
    let left = background(async move {
        harness.gate.stop(Duration::from_secs(10)).await;
        harness
    });
    guard.cancelled().wait_for(|cancelled| *cancelled == 1).await.unwrap();
    left.await.unwrap();
}

#[tokio::test]
async fn a_tool_for_a_servers_own_interface_is_there_for_clients_that_show_it_and_for_no_model() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let shows =
        json!({"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}});
    for (path, prefix) in [("/mcp", "one__"), ("/servers/one/mcp", "")] {
        let (plain, host) = (harness.modern(path), harness.client(path, "owner").modern(shows.clone()));
        let panel = format!("{prefix}panel");
        let lists =
            |list: &Value| list["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == *panel);
        assert!(!lists(&plain.request("tools/list", json!({})).await.unwrap()), "{path}");
        assert!(lists(&host.request("tools/list", json!({})).await.unwrap()), "{path}");
        let how = || json!({"how": "count-cancelled"});
        assert_eq!(plain.call(&panel, how()).await.unwrap_err().code(), Some(-32602), "{path}");
        host.call(&panel, how()).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_is_asked_for_where_servers_are_joined_by_whoever_began_it() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![server]).await;
    let tasks = || json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}});
    let client = harness.client("/mcp", "owner").modern(tasks());
    let created = client.call("one__confirm_delete", json!({"filename": "f"})).await.unwrap();
    assert_eq!(created["resultType"], "task", "{created}");
    let id = created["taskId"].clone();
    let asks = loop {
        let state = client.request("tasks/get", json!({"taskId": id})).await.unwrap();
        assert_eq!(state["taskId"], id);
        if state["status"] == "input_required" {
            break state;
        }
    };
    let request = &asks["inputRequests"]["confirm"];
    assert_eq!(request["params"]["message"], "one asks: Delete f?", "{asks}");
    let other = harness.client("/mcp", "other").modern(tasks());
    for method in ["tasks/get", "tasks/cancel"] {
        let refused = other.request(method, json!({"taskId": id})).await.unwrap_err();
        assert_eq!(refused.code(), Some(-32602), "{method}");
    }
    let replies = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    client.request("tasks/update", json!({"taskId": id, "inputResponses": replies})).await.unwrap();
    loop {
        let state = client.request("tasks/get", json!({"taskId": id})).await.unwrap();
        if state["status"] == "completed" {
            assert!(state["result"].to_string().contains("f: action=accept"), "{state}");
            break;
        }
    }
}

#[tokio::test]
async fn a_state_that_a_server_gave_one_subject_is_nothing_in_anothers_hands() {
    let (server, guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![server]).await;
    let (client, thief) = (modern(&harness, "/mcp", "owner"), modern(&harness, "/mcp", "other"));
    let tool = "one__test_input_required_result_request_state";
    let question = asked(&client, tool, json!({})).await;
    let again = going_on(tool, json!({}), &question);
    let before = *guard.calls().borrow();
    assert_eq!(code(&thief.request("tools/call", again.clone()).await.unwrap_err()), "CM1309");
    let mut bare = again.clone();
    bare["requestState"] = json!("eyJub3RoaW5nIjoxfQ.x");
    assert_eq!(code(&client.request("tools/call", bare).await.unwrap_err()), "CM1308");
    assert_eq!(*guard.calls().borrow(), before);
    let heard = person::request(&client, "tools/call", again).await;
    assert!(heard.text().starts_with("state-ok"), "{}", heard.text());
}
