//! Servers that are slow, wrong or worse: each attack has a clear end, and costs nobody else anything.

use std::time::Duration;

use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{HOSTILE, Harness, http_entry, http_server, stdio_entry};
use crate::snapshot::{Limits, ServerEntry, Timeouts};

/// What a call of `strike` may end with, by kind: any of these in the answer.
fn expected(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::HangsOnCall | Kind::WrongId | Kind::Slow | Kind::Hangs => {
            &["did not answer", "could not be started", "keep to the protocol"]
        }
        Kind::Exits => &["went away"],
        // A flood is dropped until the call's time is over, or the instance is given up.
        Kind::Floods => &["did not answer", "keep to the protocol", "went away"],
        // The frame cannot even be attributed to a call over stdio, so the call runs into its time limit.
        Kind::DuplicateMembers | Kind::LoneSurrogate | Kind::Deep | Kind::BadUtf8 => {
            &["keep to the protocol", "did not answer"]
        }
        Kind::Huge => &["more than", "did not answer", "keep to the protocol", "went away"],
        Kind::ServerAsks => &["declare the capability", "isError", "error"],
        Kind::BadSchema => &["cannot be called", "\"content\""],
        _ => &["\"content\"", "\"isError\"", "error"],
    }
}

fn hurried(entry: ServerEntry) -> ServerEntry {
    let timeouts =
        Timeouts { start: Duration::from_secs(2), call: Duration::from_millis(700), ..Timeouts::default() };
    ServerEntry { timeouts, ..entry }
}

#[tokio::test]
async fn every_attack_has_an_end_and_costs_nobody_else() {
    for (name, kind) in HOSTILE {
        for over in ["stdio", "http"] {
            let (address, _villain) = Hostile::new(kind, Era::Dual).listen("127.0.0.1:0").await.unwrap();
            let villain = match over {
                "stdio" => stdio_entry("bad", name),
                _ => http_entry("bad", &format!("http://{address}/mcp")),
            };
            let (good, _good) = http_server("good", Fixture::new(Era::Dual)).await;
            let limits = Limits {
                result_bytes_max: 8 << 20,
                list_time_max: Duration::from_secs(1),
                ..Limits::default()
            };
            let harness = Harness::with_limits(vec![hurried(villain), good], limits).await;
            let client = harness.modern("/mcp");
            let strike = tokio::time::timeout(Duration::from_secs(20), client.call("bad__strike", json!({})));
            let outcome = strike.await.unwrap_or_else(|_| panic!("{name} over {over} never ended"));
            let text = outcome.map_or_else(|error| error.to_string(), |answer| answer.to_string());
            assert!(
                expected(kind).iter().any(|part| text.contains(part)),
                "{name} over {over}: {}",
                &text[..text.len().min(300)]
            );
            let echo = client.call("good__echo", json!({"message": "still here"})).await.unwrap();
            assert_eq!(echo["content"][0]["text"], "still here", "{name} over {over}");
            let list = client.request("tools/list", json!({})).await.unwrap();
            assert!(names(&list).iter().any(|tool| tool == "good__echo"), "{name} over {over}");
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_delays_no_list_twice() {
    let (address, _villain) = Hostile::new(Kind::Hangs, Era::Dual).listen("127.0.0.1:0").await.unwrap();
    let (good, _good) = http_server("good", Fixture::new(Era::Dual)).await;
    let bad = hurried(http_entry("bad", &format!("http://{address}/mcp")));
    let limits = Limits { list_time_max: Duration::from_secs(5), ..Limits::default() };
    let harness = Harness::with_limits(vec![bad, good], limits).await;
    let client = harness.modern("/mcp");
    client.request("tools/list", json!({})).await.unwrap();
    let before = tokio::time::Instant::now();
    client.request("tools/list", json!({})).await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(1), "nobody waits for a server that failed before");
}

#[tokio::test]
async fn a_server_that_claims_anothers_resources_gets_nowhere() {
    let (good, _good) = http_server("good", Fixture::new(Era::Dual)).await;
    let claims = vec!["casemate://good/test://static-text".to_owned()];
    let villain = Hostile::new(Kind::ClaimsUri, Era::Dual).claim(claims);
    let (address, _villain) = villain.listen("127.0.0.1:0").await.unwrap();
    let harness = Harness::start(vec![http_entry("bad", &format!("http://{address}/mcp")), good]).await;
    let client = harness.modern("/mcp");
    let list = client.request("resources/list", json!({})).await.unwrap();
    let uris: Vec<&str> =
        list["resources"].as_array().unwrap().iter().filter_map(|r| r["uri"].as_str()).collect();
    assert_eq!(
        uris.iter().filter(|uri| **uri == "casemate://good/test://static-text").count(),
        1,
        "{uris:?}"
    );
    assert!(uris.contains(&"casemate://bad/casemate://good/test://static-text"), "{uris:?}");
    let read =
        client.request("resources/read", json!({"uri": "casemate://good/test://static-text"})).await.unwrap();
    assert!(read["contents"][0]["text"].as_str().unwrap().contains("static text"), "{read}");
}

#[tokio::test]
async fn of_two_tools_with_one_name_the_first_is_the_tool() {
    let (address, _villain) =
        Hostile::new(Kind::DuplicateTools, Era::Dual).listen("127.0.0.1:0").await.unwrap();
    let harness = Harness::start(vec![http_entry("bad", &format!("http://{address}/mcp"))]).await;
    let list = harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let all = names(&list);
    let unique: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(unique.len(), all.len(), "{all:?}");
}

fn names(list: &Value) -> Vec<String> {
    list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}
