//! Results that are not what their tools declared, and arguments that are not what guards demand.

use casemate_inspect::guard::{Guard, Guards, Roots, Spot};
use casemate_inspect::{Measure, Policy};
use casemate_mcp::names::ServerName;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;

use super::harness::{Harness, http_entry, http_server};
use crate::snapshot::Inspecting;

async fn wrong(output: Measure) -> (Harness, DropGuard) {
    let (address, guard) = Hostile::new(Kind::WrongStructure, Era::Dual).listen("127.0.0.1:0").await.unwrap();
    let harness = Harness::start(vec![http_entry("bad", &format!("http://{address}/mcp"))]).await;
    let policy = Policy { output, ..Policy::default() };
    set(&harness, Inspecting { policies: [(name("bad"), policy)].into(), ..Inspecting::default() });
    (harness, guard)
}

fn name(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn set(harness: &Harness, inspecting: Inspecting) {
    let mut snapshot = (*harness.gate.snapshot()).clone();
    snapshot.version += 1;
    snapshot.inspecting = inspecting;
    harness.gate.swap(snapshot);
}

#[tokio::test]
async fn a_result_that_is_not_what_its_tool_declared_does_not_pass() {
    let (harness, _guard) = wrong(Measure::Block).await;
    for (path, prefix) in [("/mcp", "bad__"), ("/servers/bad/mcp", "")] {
        for client in [harness.modern(path), harness.legacy(path).await] {
            for (how, refused) in [
                ("misfit", "does not fit the tool's output schema"),
                ("error-misfit", "does not fit the tool's output schema"),
                ("null", "does not fit the tool's output schema"),
                ("odd-type", "does not fit the tool's output schema"),
                ("task", "does not fit the tool's output schema"),
                ("missing", "has no structured content"),
            ] {
                let error = client.call(&format!("{prefix}strike"), json!({"as": how})).await.unwrap_err();
                let error = error.to_string();
                assert!(error.contains(refused), "{how}: {error}");
                assert!(!error.contains("previous instructions"), "nothing of it reaches a model: {error}");
            }
            for how in ["fits", "error"] {
                client.call(&format!("{prefix}strike"), json!({"as": how})).await.unwrap();
            }
            client.call(&format!("{prefix}echo"), json!({"message": "no schema, no promise"})).await.unwrap();
            let error = client.call(&format!("{prefix}unusable"), json!({})).await.unwrap_err().to_string();
            assert!(error.contains("its output schema cannot be used"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_result_of_a_task_is_held_against_the_tool_that_began_it() {
    let (harness, _guard) = wrong(Measure::Block).await;
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    for (path, tool) in [("/mcp", "bad__strike"), ("/servers/bad/mcp", "strike")] {
        let client = harness.client(path, "owner").modern(tasks.clone());
        for (how, refused) in [
            ("misfit", Some("does not fit the tool's output schema")),
            ("missing", Some("has no structured content")),
            ("fits", None),
            ("error", None),
        ] {
            let begun = client.call(tool, json!({"as": format!("later-{how}")})).await.unwrap();
            let asked = json!({"taskId": begun["taskId"]});
            let fetched = client.request("tasks/get", asked).await.map_err(|fault| fault.to_string());
            match (refused, fetched) {
                (Some(refused), Err(error)) => assert!(error.contains(refused), "{how}: {error}"),
                (None, Ok(task)) => assert_eq!(task["result"]["content"][0]["text"], "Counted", "{how}"),
                (_, other) => panic!("{path} {how}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn where_a_setting_says_so_it_is_only_told_of_or_not_looked_at() {
    let (harness, _guard) = wrong(Measure::Flag).await;
    let client = harness.modern("/mcp");
    let note = |result: &Value| result["_meta"]["io.casemate/inspection"].clone();
    for (how, rule) in [("misfit", "structured-content-misfit"), ("missing", "structured-content-missing")] {
        let result = client.call("bad__strike", json!({"as": how})).await.unwrap();
        assert_eq!(note(&result)["flagged"][rule], 1, "{result}");
    }
    let result = client.call("bad__strike", json!({"as": "fits"})).await.unwrap();
    assert_eq!(note(&result), Value::Null);
    let result = client.call("bad__unusable", json!({})).await.unwrap();
    assert_eq!(note(&result)["flagged"]["output-schema-unusable"], 1);

    let (harness, _guard) = wrong(Measure::Off).await;
    let result = harness.modern("/mcp").call("bad__strike", json!({})).await.unwrap();
    assert_eq!(note(&result)["flagged"]["structured-content-misfit"], Value::Null);
}

#[tokio::test]
async fn an_argument_that_a_guard_refuses_goes_to_no_server() {
    let (entry, _fixture) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![entry]).await;
    let mut guards = Guards::default();
    guards.add("echo", Spot::parse("message"), vec![Guard::Within(Roots::new(&["/srv"]))]);
    guards.add("echo", Spot::parse("mesage"), vec![Guard::NoLeadingDash]);
    guards.add("ehco", Spot::parse("message"), vec![Guard::NoLeadingDash]);
    set(&harness, Inspecting { guards: [(name("one"), guards)].into(), ..Inspecting::default() });
    for (path, tool) in [("/mcp", "one__echo"), ("/servers/one/mcp", "echo")] {
        for client in [harness.modern(path), harness.legacy(path).await] {
            let refused =
                client.call(tool, json!({"message": "/srv/../etc/passwd"})).await.unwrap_err().to_string();
            assert!(refused.contains("message of \"echo\" is refused: it leads upward"), "{refused}");
            let result = client.call(tool, json!({"message": "/srv/a"})).await.unwrap();
            assert_eq!(result["content"][0]["text"], "/srv/a");
        }
    }
    let lines = harness.records.lines.borrow().clone();
    let intents = lines.iter().filter(|line| line.ends_with("one/echo")).count();
    assert_eq!(intents, 4, "what is refused is no call: {lines:?}");
    let snapshot = harness.gate.snapshot();
    let shelf = harness.gate.catalog().shelf("one").unwrap();
    let slips: Vec<String> = harness
        .gate
        .catalog()
        .names(&snapshot)
        .doubted(&snapshot, &shelf)
        .into_iter()
        .map(|one| one.why)
        .collect();
    assert_eq!(
        slips,
        [
            "a guard is set for its parameter mesage, which its schema does not have",
            "guards are set for it, and the server has no such tool",
        ]
    );
}
