//! Servers that take the names of others, and their innocent twins.

use casemate_inspect::{Measure, Policy};
use casemate_mcp::names::ServerName;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;

use super::harness::{Harness, http_entry, http_server};
use crate::catalog::Doubted;

/// An honest server called `good` and a hostile one called `bad`.
async fn beside_a_good_one(kind: Kind, claims: &[&str]) -> (Harness, impl Sized) {
    let claims = claims.iter().map(ToString::to_string).collect();
    let (address, bad): (_, DropGuard) =
        Hostile::new(kind, Era::Dual).claim(claims).listen("127.0.0.1:0").await.unwrap();
    let (good, guard) = http_server("good", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![good, http_entry("bad", &format!("http://{address}/mcp"))]).await;
    (harness, (bad, guard))
}

fn set(harness: &Harness, names: Measure) {
    let mut snapshot = (*harness.gate.snapshot()).clone();
    snapshot.version += 1;
    let policy = Policy { names, ..Policy::default() };
    snapshot.inspecting.policies = [(ServerName::parse("bad").unwrap(), policy)].into();
    harness.gate.swap(snapshot);
}

async fn tools(harness: &Harness, path: &str) -> Vec<Value> {
    let list = harness.modern(path).request("tools/list", json!({})).await.unwrap();
    list["tools"].as_array().unwrap().clone()
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

fn doubted(harness: &Harness) -> Vec<Doubted> {
    let snapshot = harness.gate.snapshot();
    let shelf = harness.gate.catalog().shelf("bad").unwrap();
    harness.gate.catalog().names(&snapshot).doubted(&snapshot, &shelf)
}

const TAKEN: [&str; 5] =
    ["good__echo", "g\u{43e}od__echo", "casemate_find", "mcp__good__echo", "str\u{456}ke"];

#[tokio::test]
async fn names_of_others_are_refused_one_by_one_and_the_reason_is_told() {
    let (harness, _guards) = beside_a_good_one(Kind::ClaimsTools, &TAKEN).await;
    // At the server's own endpoint, where names are as the server wrote them, the harm would be greatest.
    let listed = tools(&harness, "/servers/bad/mcp").await;
    assert_eq!(names(&listed), ["echo", "strike"]);
    let client = harness.legacy("/servers/bad/mcp").await;
    for name in TAKEN {
        let refused = client.call(name, json!({})).await.unwrap_err().to_string();
        assert!(refused.contains("is refused, for its name"), "{name}: {refused}");
        assert!(!refused.contains("the server good"), "who is imitated is for the operator: {refused}");
    }
    let joined = tools(&harness, "/mcp").await;
    let from_bad: Vec<&str> = names(&joined).into_iter().filter(|name| name.starts_with("bad")).collect();
    assert_eq!(from_bad, ["bad__echo", "bad__strike"]);
    harness.modern("/mcp").call("bad__echo", json!({"message": "honest"})).await.unwrap();
    harness.modern("/mcp").call("good__echo", json!({"message": "honest"})).await.unwrap();
    let told: Vec<String> =
        doubted(&harness).into_iter().filter(|one| one.is_refused).map(|one| one.why).collect();
    assert!(told[0].contains("\"good__echo\" begins like the tools of the server good"), "{told:?}");
}

#[tokio::test]
async fn a_text_about_anothers_tools_is_flagged_and_stays_as_it_is() {
    let (harness, _guards) = beside_a_good_one(Kind::ClaimsTools, &["good__echo"]).await;
    tools(&harness, "/mcp").await;
    let listed = tools(&harness, "/mcp").await;
    let note = |name: &str| {
        let tool = listed.iter().find(|tool| tool["name"] == name).unwrap();
        tool["_meta"]["io.casemate/inspection"].clone()
    };
    assert_eq!(note("bad__echo"), json!({"flagged": {"names-anothers-tool": 1}}));
    assert_eq!(note("bad__strike"), Value::Null);
    assert_eq!(note("good__echo"), Value::Null, "what others say of a tool is not its fault");
}

#[tokio::test]
async fn a_server_that_says_it_is_another_is_not_used_unless_a_setting_says_so() {
    let (harness, _guards) = beside_a_good_one(Kind::ClaimsServer, &["Good"]).await;
    assert!(names(&tools(&harness, "/mcp").await).iter().all(|name| !name.starts_with("bad")));
    for path in ["/mcp", "/servers/bad/mcp"] {
        let client = harness.modern(path);
        let name = if path == "/mcp" { "bad__echo" } else { "echo" };
        let refused = client.call(name, json!({"message": "m"})).await.unwrap_err().to_string();
        assert!(refused.contains("is refused, for its name or that of its server"), "{refused}");
    }
    let uri = "casemate://bad/test://static-text";
    let read = harness.modern("/mcp").request("resources/read", json!({"uri": uri})).await;
    assert!(read.unwrap_err().to_string().contains("is refused"), "its resources are no better");
    let mut client = harness.client("/servers/bad/mcp", "owner");
    let hello = client.initialize("2025-11-25", json!({})).await.unwrap_err().to_string();
    assert!(hello.contains("is refused"), "{hello}");
    harness.modern("/mcp").call("good__echo", json!({"message": "m"})).await.unwrap();
    let told = doubted(&harness).remove(0);
    assert!(told.is_refused && told.item.is_none());
    assert_eq!(told.why, "it says that it is \"Good\", the name of the server good");

    set(&harness, Measure::Flag);
    harness.modern("/mcp").call("bad__echo", json!({"message": "m"})).await.unwrap();
    set(&harness, Measure::Off);
    assert!(doubted(&harness).iter().all(|one| !one.is_refused));
}

#[tokio::test]
async fn of_two_definitions_of_one_name_the_first_counts_and_look_alikes_are_refused() {
    let (harness, _guards) = beside_a_good_one(Kind::DuplicateTools, &[]).await;
    for (path, prefix) in [("/mcp", "bad__"), ("/servers/bad/mcp", "")] {
        let listed = tools(&harness, path).await;
        let own: Vec<&Value> =
            listed.iter().filter(|tool| tool["name"].as_str().unwrap().starts_with(prefix)).collect();
        let named: Vec<&str> =
            own.iter().map(|tool| &tool["name"].as_str().unwrap()[prefix.len()..]).collect();
        assert_eq!(named, ["echo", "strike", "Strike"], "{path}");
        assert_eq!(own[1]["description"], "Does what this server is made for");
    }
    let look_alike = |one: &Doubted| !one.why.contains("mixes letters");
    let whys: Vec<String> = doubted(&harness).into_iter().filter(look_alike).map(|one| one.why).collect();
    assert_eq!(
        whys,
        [
            "\"strike\" is declared twice, and differently: the first counts",
            "\"Strike\" looks like \"strike\", which the same server has",
            "\"str\\u{456}ke\" looks like \"strike\", which the same server has",
        ]
    );
}

#[tokio::test]
async fn tools_of_one_name_on_two_servers_are_two_tools() {
    let (one, _first) = http_server("one", Fixture::new(Era::Dual)).await;
    let (two, _second) = http_server("two", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![one, two]).await;
    let listed = tools(&harness, "/mcp").await;
    let named = names(&listed);
    let of = |prefix: &str| named.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!(of("one__"), of("two__"));
    assert!(of("one__") > 5, "{named:?}");
    assert!(listed.iter().all(|tool| tool["_meta"]["io.casemate/inspection"].is_null()), "{listed:?}");
    for name in ["one__echo", "two__echo"] {
        harness.modern("/mcp").call(name, json!({"message": "m"})).await.unwrap();
    }
}
