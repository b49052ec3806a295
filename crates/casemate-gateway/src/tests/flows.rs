//! What flows within a conversation: private data and untrusted text, and then nothing goes out unasked.

use casemate_mcp::names::ServerName;
use casemate_policy::{Answerer, Label, Labels};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, http_server, stdio_entry};
use crate::approvals::Answer;
use crate::snapshot::{Flows, Follow, ServerLabels, Snapshot, Verdict};

/// Files of somebody's own, pages of strangers, and a way out.
async fn harness(verdict: Verdict, change: impl FnOnce(&mut Flows)) -> (Harness, impl Sized) {
    let (files, first) = http_server("files", Fixture::new(Era::Dual)).await;
    let (pages, second) = http_server("pages", Fixture::new(Era::Dual)).await;
    let (mail, third) = http_server("mail", Fixture::new(Era::Dual)).await;
    let dead = stdio_entry("dead", "no such program");
    let harness = Harness::start(vec![files, pages, mail, dead]).await;
    let own = |label: Label| ServerLabels { own: Labels::NONE.with(label), ..ServerLabels::default() };
    let name = |name| ServerName::parse(name).unwrap();
    let servers = [
        (name("files"), own(Label::Private)),
        (name("pages"), own(Label::Untrusted)),
        (name("mail"), own(Label::Outbound)),
        (name("dead"), own(Label::Private)),
    ];
    let mut flows = Flows { verdict, servers: servers.into(), ..Flows::default() };
    change(&mut flows);
    let snapshot = Snapshot::clone(&harness.gate.snapshot());
    harness.gate.swap(Snapshot { flows, version: snapshot.version + 1, ..snapshot });
    (harness, (first, second, third))
}

fn said(text: &str) -> Value {
    json!({"message": text})
}

#[tokio::test]
async fn one_of_the_two_alone_lets_everything_out() {
    for seen in [&[][..], &["files__echo"], &["pages__echo"]] {
        let (harness, _guards) = harness(Verdict::Deny, |_| {}).await;
        let client = harness.modern("/mcp");
        for tool in seen {
            client.call(tool, said("m")).await.unwrap();
        }
        client.request("tools/list", json!({})).await.unwrap();
        client.call("mail__echo", said("out")).await.unwrap();
    }
}

#[tokio::test]
async fn after_both_nothing_goes_out_in_whatever_order_they_came() {
    for seen in [["files__echo", "pages__echo"], ["pages__echo", "files__echo"]] {
        let (harness, _guards) = harness(Verdict::Deny, |_| {}).await;
        let client = harness.modern("/mcp");
        for tool in seen {
            client.call(tool, said("m")).await.unwrap();
        }
        let refused = client.call("mail__echo", said("out")).await.unwrap_err().to_string();
        assert!(refused.contains("nothing goes out through the server mail"), "{refused}");
        harness.records.wait_for("refused CM1607").await;
        for (method, params) in [
            ("resources/read", json!({"uri": "casemate://mail/test://static-text"})),
            ("prompts/get", json!({"name": "mail__test_simple_prompt"})),
        ] {
            let refused = client.request(method, params).await.unwrap_err().to_string();
            assert!(refused.contains("nothing goes out"), "{method}: {refused}");
        }
        // What stays in the house goes on.
        client.call("files__echo", said("m")).await.unwrap();
        client.request("tools/list", json!({})).await.unwrap();
        let other = harness.client("/mcp", "other").modern(json!({}));
        other.call("mail__echo", said("out")).await.unwrap();
    }
}

#[tokio::test]
async fn where_a_person_is_asked_exactly_one_call_goes_out() {
    let (harness, _guards) = harness(Verdict::Ask(Answerer::Operator), |_| {}).await;
    let client = harness.modern("/mcp");
    client.call("files__echo", said("m")).await.unwrap();
    client.call("pages__echo", said("m")).await.unwrap();
    let refused = client.call("mail__echo", said("to ann")).await.unwrap_err().to_string();
    assert!(refused.contains("needs the approval of an operator"), "{refused}");
    let [open] = harness.gate.approvals().list().try_into().unwrap();
    assert_eq!((&*open.server, &*open.name), ("mail", "echo"));
    assert_eq!(open.rules.last().unwrap(), "flows: private and untrusted, then outbound");
    harness.gate.approvals().answer(&open.id, Answer::Once, 3600).await.unwrap();
    let other = client.call("mail__echo", said("to eve")).await.unwrap_err().to_string();
    assert!(other.contains("needs the approval"), "{other}");
    client.call("mail__echo", said("to ann")).await.unwrap();
    client.call("mail__echo", said("to ann")).await.unwrap_err();
}

#[tokio::test]
async fn a_session_is_a_conversation_unless_the_subject_is_followed() {
    for follow in [Follow::Session, Follow::Subject] {
        let (harness, _guards) = harness(Verdict::Deny, |flows| flows.follow = follow).await;
        let (first, second) = (harness.legacy("/mcp").await, harness.legacy("/mcp").await);
        first.call("files__echo", said("m")).await.unwrap();
        first.call("pages__echo", said("m")).await.unwrap();
        first.call("mail__echo", said("out")).await.unwrap_err();
        let outcome = second.call("mail__echo", said("out")).await;
        assert_eq!(outcome.is_ok(), follow == Follow::Session, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_stateless_client_does_not_get_around_it_by_another_name() {
    let (harness, _guards) = harness(Verdict::Deny, |_| {}).await;
    let client = harness.modern("/mcp");
    client.call("files__echo", said("m")).await.unwrap();
    client.call("pages__echo", said("m")).await.unwrap();
    let meta = json!({"io.modelcontextprotocol/clientInfo": {"name": "another", "version": "9"}});
    let params = json!({"name": "mail__echo", "arguments": said("out"), "_meta": meta});
    client.request("tools/call", params).await.unwrap_err();
    // Nor by the endpoint of the server alone, where tools have their own names.
    harness.modern("/servers/mail/mcp").call("echo", said("out")).await.unwrap_err();
}

#[tokio::test]
async fn a_tools_own_labels_stand_in_place_of_its_servers() {
    let (harness, _guards) = harness(Verdict::Deny, |flows| {
        let mail = flows.servers.get_mut("mail").unwrap();
        mail.tools.insert("test_simple_text".into(), Labels::NONE);
        let files = flows.servers.get_mut("files").unwrap();
        files.tools.insert("echo".into(), [Label::Private, Label::Untrusted].into_iter().collect());
    })
    .await;
    let client = harness.modern("/mcp");
    client.call("mail__echo", said("out")).await.unwrap();
    client.call("files__echo", said("m")).await.unwrap();
    client.call("mail__echo", said("out")).await.unwrap_err();
    client.call("mail__test_simple_text", json!({})).await.unwrap();
}

#[tokio::test]
async fn what_was_never_answered_was_not_seen_and_what_is_over_does_not_count() {
    let (harness, _guards) = harness(Verdict::Deny, |_| {}).await;
    let client = harness.modern("/mcp");
    client.call("pages__echo", said("m")).await.unwrap();
    client.call("dead__echo", said("m")).await.unwrap_err();
    client.call("files__nothing", said("m")).await.unwrap_err();
    let refused = client.call("files__echo", json!({"no": "message"})).await;
    let refused = refused.map_or_else(|error| error.to_string(), |answer| answer.to_string());
    assert!(refused.contains("do not fit"), "{refused}");
    client.call("mail__echo", said("out")).await.unwrap();
    let (harness, _guards) =
        self::harness(Verdict::Deny, |flows| flows.window = std::time::Duration::ZERO).await;
    let client = harness.modern("/mcp");
    client.call("pages__echo", said("m")).await.unwrap();
    client.call("files__echo", said("m")).await.unwrap();
    client.call("mail__echo", said("out")).await.unwrap();
}

#[tokio::test]
async fn flows_do_not_open_what_the_policy_closes() {
    let (harness, _guards) = harness(Verdict::Ask(Answerer::Operator), |_| {}).await;
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let refused = reader.call("mail__echo", said("out")).await.unwrap_err().to_string();
    assert!(refused.contains("Unknown tool"), "{refused}");
    assert!(harness.gate.approvals().list().is_empty());
}

#[tokio::test]
async fn what_a_tool_answered_is_seen_when_its_kept_result_is_read_in_another_conversation() {
    let (harness, _guards) = harness(Verdict::Deny, |flows| flows.follow = Follow::Session).await;
    let mut snapshot = Snapshot::clone(&harness.gate.snapshot());
    snapshot.version += 1;
    snapshot.limits.results.text_max = 16 << 10;
    harness.gate.swap(snapshot);
    let first = harness.legacy("/mcp").await;
    let result = first.call("files__echo", said(&"x".repeat(20_000))).await.unwrap();
    let link = result["content"][2]["uri"].clone();
    for reads in [false, true] {
        let other = harness.legacy("/mcp").await;
        other.call("pages__echo", said("m")).await.unwrap();
        if reads {
            other.request("resources/read", json!({ "uri": link })).await.unwrap();
        }
        let out = other.call("mail__echo", said("out")).await;
        assert_eq!(out.is_err(), reads, "{out:?}");
    }
}
