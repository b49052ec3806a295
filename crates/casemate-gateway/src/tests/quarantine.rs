//! What is in quarantine is neither asked nor asks, and nobody else notices.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use casemate_inspect::{Inspection, Secret};
use casemate_mcp::json::Members;
use casemate_policy::SubjectId;
use casemate_testkit::client::McpStdio;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use casemate_transport::listener::Peer;
use serde_json::{Value, json};

use super::harness::{Harness, background, http_server, stdio_entry};
use crate::edge::lines;
use crate::endpoint::Endpoint;
use crate::quarantine::rules::{Rules, Trigger};
use crate::quarantine::{Entry, Ward};
use crate::snapshot::{Limits, Rate, ServerEntry, Snapshot};
use crate::upstream::{Alarm, Caller, Fault, State};

fn entry(ward: &str) -> Entry {
    let ward = Ward::parse(ward).unwrap();
    Entry { ward, reason: "the reason".into(), by: "local:0".into(), since: 1, until: None }
}

fn names(listed: &Value) -> Vec<&str> {
    listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

fn echo() -> Value {
    json!({"message": "m"})
}

async fn two() -> (Harness, impl Sized) {
    let (one, first) = http_server("one", Fixture::new(Era::Dual)).await;
    let (two, second) = http_server("two", Fixture::new(Era::Dual)).await;
    (Harness::start(vec![one, two]).await, (first, second))
}

/// Changes the rules that need no person.
fn follow(harness: &Harness, rules: Rules) {
    let snapshot = Snapshot::clone(&harness.gate.snapshot());
    harness.gate.swap(Snapshot { quarantine: rules, version: snapshot.version + 1, ..snapshot });
}

/// So many refusals are free in a day: what comes back while a slow machine tests does not count.
fn allow_refusals(harness: &Harness, count: u32) {
    let mut snapshot = Snapshot::clone(&harness.gate.snapshot());
    let count = NonZeroU32::new(count).unwrap();
    snapshot.limits.pace.refusals = Rate { count, per: Duration::from_secs(86_400) };
    harness.gate.swap(Snapshot { version: snapshot.version + 1, ..snapshot });
}

#[tokio::test]
async fn a_server_in_quarantine_is_not_listed_and_not_called_and_the_others_are() {
    let (harness, _guards) = two().await;
    let client = harness.modern("/mcp");
    client.call("one__echo", echo()).await.unwrap();
    assert!(names(&client.request("tools/list", json!({})).await.unwrap()).contains(&"one__echo"));

    harness.confine(&["server:one"]);
    let listed = client.request("tools/list", json!({})).await.unwrap();
    assert!(!listed.to_string().contains("one__"), "{listed}");
    assert!(names(&listed).contains(&"two__echo"));
    let refused = client.call("one__echo", echo()).await.unwrap_err().to_string();
    assert!(refused.contains("The server one is in quarantine"), "{refused}");
    assert!(!refused.contains("the reason"), "why is for the operator: {refused}");
    client.call("two__echo", echo()).await.unwrap();
    let read = json!({"uri": "casemate://one/test://static-text"});
    for (method, params) in
        [("resources/read", read), ("prompts/get", json!({"name": "one__test_simple_prompt"}))]
    {
        let refused = client.request(method, params).await.unwrap_err().to_string();
        assert!(refused.contains("in quarantine"), "{method}: {refused}");
    }
    for method in ["tools/list", "tools/call", "server/discover", "some/extension"] {
        let own = harness.modern("/servers/one/mcp");
        let params = json!({"name": "echo", "arguments": {"message": "m"}});
        let refused = own.request(method, params).await.unwrap_err().to_string();
        assert!(refused.contains("in quarantine"), "{method}: {refused}");
    }
    harness.records.wait_for("refused CM1506").await;

    harness.confine(&[]);
    client.call("one__echo", echo()).await.unwrap();
    assert!(names(&client.request("tools/list", json!({})).await.unwrap()).contains(&"one__echo"));
}

#[tokio::test]
async fn a_server_in_quarantine_is_not_started_by_anybody() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    harness.confine(&["server:one"]);
    let client = harness.modern("/mcp");
    for _ in 0..2 {
        assert!(names(&client.request("tools/list", json!({})).await.unwrap()).is_empty());
        assert!(client.call("one__echo", echo()).await.unwrap_err().to_string().contains("in quarantine"));
    }
    let listen = json!({"notifications": {"resourceSubscriptions": ["casemate://one/test://static-text"]}});
    let mut stream = client.open("subscriptions/listen", listen).await.unwrap();
    let acknowledged = stream.next().await.unwrap().unwrap();
    assert!(!acknowledged.to_string().contains("static-text"), "{acknowledged}");
    let shelf = harness.gate.catalog().shelf("one").unwrap();
    assert_eq!(shelf.server().status().state, State::Idle);
    harness.confine(&[]);
    client.call("one__echo", echo()).await.unwrap();
}

#[tokio::test]
async fn a_call_that_had_passed_every_check_starts_no_server_that_was_put_in_meanwhile() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    harness.confine(&["server:one"]);
    let shelf = harness.gate.catalog().shelf("one").unwrap();
    let caller = Caller {
        subject: SubjectId::key("owner"),
        capabilities: Members::empty(),
        timeout: None,
        replay_safe: false,
        param_headers: Vec::new(),
    };
    assert_eq!(shelf.server().start(&caller).await.unwrap_err(), Fault::Stopping);
    // Another entry makes another server.
    let mut snapshot = Snapshot::clone(&harness.gate.snapshot());
    let mut changed = ServerEntry::clone(&snapshot.servers["one"]);
    changed.digest = [9; 32];
    snapshot.servers.insert(changed.name.clone(), Arc::new(changed));
    harness.gate.swap(Snapshot { version: snapshot.version + 1, ..snapshot });
    let shelf = harness.gate.catalog().shelf("one").unwrap();
    assert_eq!(shelf.server().start(&caller).await.unwrap_err(), Fault::Stopping);
    harness.confine(&[]);
    shelf.server().start(&caller).await.unwrap();
}

#[tokio::test]
async fn what_is_over_is_listed_and_called_and_started_again_without_anybody() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    let until = Some(crate::clock::unix_now().as_secs() + 1);
    harness.gate.quarantine().replace(vec![Entry { until, ..entry("server:one") }]);
    harness.gate.enforce();
    let mut turns = harness.gate.quarantine().turns();
    while harness.gate.quarantine().of_server("one").is_some() {
        turns.changed().await.unwrap();
    }
    harness.gate.enforce();
    let client = harness.modern("/mcp");
    client.call("one__echo", echo()).await.unwrap();
    assert!(names(&client.request("tools/list", json!({})).await.unwrap()).contains(&"one__echo"));
}

#[tokio::test]
async fn one_tool_in_quarantine_leaves_its_server_the_others() {
    let (harness, _guards) = two().await;
    harness.confine(&["tool:one/echo"]);
    let client = harness.modern("/mcp");
    let listed = client.request("tools/list", json!({})).await.unwrap();
    assert!(
        !names(&listed).contains(&"one__echo") && names(&listed).contains(&"one__test_simple_text"),
        "{listed}"
    );
    assert!(names(&listed).contains(&"two__echo"), "another server's tool of that name is another tool");
    let refused = client.call("one__echo", echo()).await.unwrap_err().to_string();
    assert!(refused.contains("The tool \"echo\" of the server one is in quarantine"), "{refused}");
    client.call("one__test_simple_text", json!({})).await.unwrap();
    let own = harness.modern("/servers/one/mcp");
    let listed = own.request("tools/list", json!({})).await.unwrap();
    assert!(!names(&listed).contains(&"echo") && names(&listed).contains(&"test_simple_text"), "{listed}");
    assert!(own.call("echo", echo()).await.unwrap_err().to_string().contains("in quarantine"));
}

#[tokio::test]
async fn whoever_may_not_see_a_server_does_not_learn_that_it_is_in_quarantine() {
    let (harness, _guards) = two().await;
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let hidden = |text: String| text.replace("two__echo", "NAME").replace("two__nothing", "NAME");
    let before = reader.call("two__echo", echo()).await.unwrap_err().to_string();
    harness.confine(&["server:two", "tool:two/echo"]);
    let after = reader.call("two__echo", echo()).await.unwrap_err().to_string();
    let nothing = reader.call("two__nothing", echo()).await.unwrap_err().to_string();
    let code = |text: String| hidden(text).split(" (").next().unwrap_or_default().to_owned();
    assert_eq!(code(before), code(after.clone()));
    assert_eq!(code(after), code(nothing));
}

#[tokio::test]
async fn a_call_in_flight_is_struck_by_its_server_its_tool_its_subject_and_the_gateway() {
    for ward in ["server:one", "tool:one/strike", "key:owner", "gateway"] {
        let harness = Harness::start(vec![stdio_entry("one", "hangs-on-call")]).await;
        let client = harness.modern("/mcp");
        let call = background(async move { client.call("one__strike", json!({})).await });
        harness.records.wait_for("allow key:owner tools/call one/strike").await;
        harness.confine(&[ward]);
        let struck = call.await.unwrap().unwrap_err().to_string();
        assert!(struck.contains("in quarantine") && struck.contains("in flight"), "{ward}: {struck}");
        let code = if ward.starts_with("server") || ward.starts_with("tool") { "CM1506" } else { "CM1606" };
        harness.records.wait_for(&format!("refused {code}")).await;
    }
}

#[tokio::test]
async fn a_call_in_flight_outlives_the_quarantine_of_others() {
    let (slow, guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let (other, _other) = http_server("two", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![slow, other]).await;
    let client = harness.modern("/mcp");
    let call = background(async move { client.call("one__sleep_ms", json!({"ms": 200})).await });
    guard.calls().wait_for(|calls| *calls == 1).await.unwrap();
    harness.confine(&["server:two", "tool:one/echo", "key:other"]);
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_subject_in_quarantine_is_sent_away_with_its_sessions_and_streams() {
    let (harness, _guards) = two().await;
    let mut session = harness.client("/mcp", "other");
    session.initialize("2025-11-25", json!({})).await.unwrap();
    let mut general = session.listen(None).await.unwrap();
    harness.confine(&["key:other"]);
    while general.next().await.unwrap().is_some() {}
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    for refused in [session.post(text, &[]).await.unwrap(), session.listen(None).await.unwrap()] {
        assert_eq!(refused.status, 403);
    }
    let again = harness.client("/mcp", "other").initialize("2025-11-25", json!({})).await.unwrap_err();
    assert!(again.to_string().contains("You are in quarantine"), "{again}");
    harness.modern("/mcp").call("one__echo", echo()).await.unwrap();
    harness.confine(&[]);
    harness.client("/mcp", "other").initialize("2025-11-25", json!({})).await.unwrap();
}

#[tokio::test]
async fn quarantine_needs_no_place_among_the_calls() {
    let limits = Limits { calls_in_flight_max: 1, queue_max: 1, ..Limits::default() };
    let harness = Harness::with_limits(vec![stdio_entry("one", "hangs-on-call")], limits).await;
    let client = harness.modern("/mcp");
    let call = background(async move { client.call("one__strike", json!({})).await });
    harness.records.wait_for("allow key:owner tools/call one/strike").await;
    harness.confine(&["server:one"]);
    assert!(call.await.unwrap().unwrap_err().to_string().contains("in quarantine"));
}

#[tokio::test]
async fn a_subject_that_reaches_for_what_is_not_its_own_again_and_again_is_put_in() {
    let (harness, _guards) = two().await;
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    allow_refusals(&harness, 20);
    for number in 0..20 {
        let refused = reader.call("two__echo", json!({"number": number})).await.unwrap_err().to_string();
        assert!(!refused.contains("quarantine"), "{number}: {refused}");
    }
    // Not counted: an honest client asks what there is.
    for _ in 0..10 {
        reader.request("logging/setLevel", json!({"level": "info"})).await.unwrap_err();
    }
    assert!(harness.gate.quarantine().list().is_empty());
    reader.call("two__echo", echo()).await.unwrap_err();
    let [held] = harness.gate.quarantine().list().try_into().unwrap();
    assert_eq!((held.ward.to_string().as_str(), &*held.by), ("key:reader", "rule:refusals"));
    assert!(held.until.is_some(), "it comes back by itself");
    let refused = reader.call("one__echo", echo()).await.unwrap_err().to_string();
    assert!(refused.contains("You are in quarantine"), "{refused}");
    let line = "quarantine key:reader by rule:refusals: refused too often, last with CM1401";
    harness.records.wait_for(line).await;
    harness.modern("/mcp").call("one__echo", echo()).await.unwrap();
}

#[tokio::test]
async fn whoever_asks_rightly_as_often_is_not_put_in() {
    let (harness, _guards) = two().await;
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    allow_refusals(&harness, 1);
    for _ in 0..50 {
        reader.call("one__echo", echo()).await.unwrap();
    }
    assert!(harness.gate.quarantine().list().is_empty());
}

#[tokio::test]
async fn a_local_user_is_refused_and_never_put_in() {
    let (harness, _guards) = two().await;
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (gate, halves) = (Arc::clone(&harness.gate), tokio::io::split(theirs));
    let at = (Endpoint::Joined, Peer::Unix { uid: 0, pid: None });
    background(async move { lines::serve_endpoint(gate, halves, at).await });
    let mut client = McpStdio::over(ours).modern(json!({}));
    allow_refusals(&harness, 1);
    for _ in 0..20 {
        client.call("one__nothing", json!({})).await.unwrap_err();
    }
    assert!(harness.gate.quarantine().list().is_empty());
    client.call("one__echo", echo()).await.unwrap();
}

#[tokio::test]
async fn a_local_client_in_quarantine_gets_an_answer_to_every_request() {
    let (harness, _guards) = two().await;
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (gate, halves) = (Arc::clone(&harness.gate), tokio::io::split(theirs));
    let at = (Endpoint::Joined, Peer::Unix { uid: 0, pid: None });
    background(async move { lines::serve_endpoint(gate, halves, at).await });
    let mut client = McpStdio::over(ours).modern(json!({}));
    harness.confine(&["gateway"]);
    for method in ["tools/list", "server/discover", "no/such"] {
        let refused = client.request(method, json!({})).await.unwrap_err().to_string();
        assert!(refused.contains("This gateway is in quarantine"), "{method}: {refused}");
    }
    harness.confine(&[]);
    client.call("one__echo", echo()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_knocks_at_too_many_forbidden_doors_is_put_in() {
    let (harness, _guards) = two().await;
    let server = casemate_mcp::names::ServerName::parse("one").unwrap();
    let escape = |number: u16| Alarm::Escape { server: server.clone(), place: format!("127.0.0.1:{number}") };
    for number in 0..16 {
        harness.gate.hear(&escape(number));
        harness.gate.hear(&escape(0));
    }
    assert!(harness.gate.quarantine().list().is_empty(), "an honest library tries a few");
    harness.gate.hear(&escape(16));
    let [held] = harness.gate.quarantine().list().try_into().unwrap();
    assert_eq!((held.ward.to_string().as_str(), held.until), ("server:one", None));
    assert_eq!(&*held.reason, "more than 16 forbidden places tried, last 127.0.0.1:16");
}

#[tokio::test]
async fn drift_puts_a_server_in_where_that_is_wanted_and_only_there() {
    for on in [false, true] {
        let mutates = Hostile::new(Kind::Mutates, Era::Legacy).after(1);
        let (address, _guard) = mutates.listen("127.0.0.1:0").await.unwrap();
        let villain = super::harness::http_entry("one", &format!("http://{address}/mcp"));
        let harness = Harness::start(vec![villain]).await;
        let trigger = Trigger::Drift;
        let on_now = if on { [trigger].into() } else { Rules::default().on };
        follow(&harness, Rules { on: on_now, ..Rules::default() });
        let client = harness.legacy("/mcp").await;
        client.request("tools/call", json!({"name": "one__strike", "arguments": {}})).await.unwrap();
        harness.gate.catalog().shelf("one").unwrap().invalidate();
        let again = client.request("tools/call", json!({"name": "one__strike", "arguments": {}})).await;
        again.unwrap_err();
        if on {
            harness
                .records
                .wait_for("quarantine server:one by rule:drift: strike is another than was approved")
                .await;
        }
        let other = client.request("tools/call", json!({"name": "one__echo", "arguments": echo()})).await;
        assert_eq!(other.is_err(), on, "{other:?}");
    }
}

/// A server that says what was planted in the cell of `two`, and one that is good.
async fn planted() -> (Harness, String, impl Sized) {
    let decoy = casemate_inspect::decoys(&[5; casemate_inspect::SEED_BYTES], "two").swap_remove(0);
    let says = Hostile::new(Kind::Says, Era::Dual).say(&decoy.value);
    let (address, first) = says.listen("127.0.0.1:0").await.unwrap();
    let villain = super::harness::http_entry("one", &format!("http://{address}/mcp"));
    let (good, second) = http_server("two", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![villain, good]).await;
    let secrets = [Secret::planted(&decoy.value, "two").unwrap()];
    let mut snapshot = Snapshot::clone(&harness.gate.snapshot());
    snapshot.inspecting.inspection = Arc::new(Inspection::new(&secrets, &[]));
    harness.gate.swap(Snapshot { version: snapshot.version + 1, ..snapshot });
    (harness, decoy.value, (first, second))
}

#[tokio::test]
async fn what_was_planted_and_comes_back_in_an_answer_is_masked_recorded_and_puts_its_server_in() {
    let (harness, decoy, _guards) = planted().await;
    let client = harness.modern("/servers/one/mcp");
    let answer = client.call("strike", json!({})).await;
    let text = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
    assert!(!text.contains(&decoy), "{text}");
    harness.records.wait_for("alarm server:two: honeytoken in what one answered key:owner").await;
    let lines = harness.records.lines.subscribe();
    let put_in = |lines: &Vec<String>| {
        lines.iter().any(|line| line.starts_with("quarantine server:two by rule:honeytokens"))
    };
    lines.clone().wait_for(put_in).await.unwrap();
    let refused = harness.modern("/mcp").call("two__echo", echo()).await.unwrap_err().to_string();
    assert!(refused.contains("The server two is in quarantine"), "{refused}");
    assert!(harness.records.lines.borrow().iter().all(|line| !line.contains(&decoy)));
}

#[tokio::test]
async fn what_was_planted_and_turns_up_in_arguments_does_not_arrive_and_raises_the_alarm() {
    let (harness, decoy, _guards) = planted().await;
    let client = harness.modern("/mcp");
    let before = client.call("two__echo", echo()).await.unwrap().to_string();
    assert!(harness.gate.quarantine().list().is_empty(), "{before}");
    let answer = client.call("two__echo", json!({"message": format!("token={decoy}")})).await;
    // The alarm may strike the call that raised it.
    let text = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
    assert!(!text.contains(&decoy), "{text}");
    harness.records.wait_for("alarm server:two: honeytoken in what key:owner sent to two").await;
}

#[tokio::test]
async fn a_honeytoken_is_on_record_also_where_no_rule_acts_on_it() {
    let (harness, decoy, _guards) = planted().await;
    follow(&harness, Rules { on: [].into(), ..Rules::default() });
    let client = harness.modern("/mcp");
    client.call("two__echo", json!({"message": decoy})).await.unwrap();
    harness.records.wait_for("alarm server:two: honeytoken in what key:owner sent to two").await;
    client.call("two__echo", echo()).await.unwrap();
    assert!(harness.gate.quarantine().list().is_empty());
}
