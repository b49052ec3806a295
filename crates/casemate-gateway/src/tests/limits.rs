use std::num::NonZeroU32;
use std::time::Duration;

use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, background, http_server};
use crate::snapshot::{Allowance, Limits, Pace, Rate};

fn rate(count: u32, seconds: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(seconds) }
}

fn paced(pace: Pace) -> Limits {
    Limits { pace, ..Limits::default() }
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

const HEADERS: &[(&str, &str)] = &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again_in_both_forms() {
    let subject = Allowance { rate: rate(3, 3600), budget: 1000 };
    let harness = Harness::with_limits(vec![], paced(Pace { subject, ..Pace::default() })).await;
    let client = harness.client("/mcp", "owner");
    for _ in 0..3 {
        assert_eq!(client.post(LIST, HEADERS).await.unwrap().status, 200);
    }
    let mut refused = client.post(LIST, HEADERS).await.unwrap();
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    let body: Value = serde_json::from_str(&refused.rest().await.unwrap()).unwrap();
    assert_eq!(body["error"]["data"]["code"], "CM1202", "{body}");
    let millis = body["error"]["data"]["retryAfterMs"].as_u64().unwrap();
    assert!(millis > 1_000_000 && millis <= 1_200_000 && seconds * 1000 >= millis, "{millis} {seconds}");
    assert_eq!(harness.client("/mcp", "other").post(LIST, HEADERS).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_batch_is_no_way_around_a_rate() {
    let subject = Allowance { rate: rate(10, 3600), budget: 1000 };
    let harness = Harness::with_limits(vec![], paced(Pace { subject, ..Pace::default() })).await;
    let mut client = harness.client("/mcp", "owner");
    client.initialize("2025-03-26", json!({})).await.unwrap();
    let ping = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    let batch = |count: usize| format!("[{}]", (0..count).map(ping).collect::<Vec<_>>().join(","));
    let session = client.session().unwrap().to_owned();
    let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-03-26")];
    assert_eq!(client.post(batch(5), &headers).await.unwrap().status, 200);
    assert_eq!(client.post(batch(5), &headers).await.unwrap().status, 429);
}

#[tokio::test]
async fn tools_and_budgets_are_counted_when_calls_are_made_and_not_when_they_are_denied() {
    let (one, _one) = http_server("one", Fixture::new(Era::Dual)).await;
    let tool = Allowance { rate: rate(1000, 1), budget: 2 };
    let harness = Harness::with_limits(vec![one], paced(Pace { tool, ..Pace::default() })).await;
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    for _ in 0..5 {
        reader.call("one__blob", json!({"bytes": 1})).await.unwrap_err();
    }
    let owner = harness.modern("/mcp");
    for _ in 0..2 {
        owner.call("one__blob", json!({"bytes": 1})).await.unwrap();
    }
    let refused = owner.call("one__blob", json!({"bytes": 1})).await.unwrap_err().to_string();
    assert!(refused.contains("0:00 UTC"), "{refused}");
    owner.call("one__echo", json!({"message": "a"})).await.unwrap();
    harness.records.wait_for("refused CM1203").await;
    let spent = harness.records.spent.lock().unwrap().clone();
    assert!(spent.iter().any(|spent| &*spent.name == "tool one/blob" && spent.count == 2), "{spent:?}");
}

#[tokio::test]
async fn an_address_is_slowed_before_anything_of_its_requests_is_looked_at() {
    let harness =
        Harness::with_limits(vec![], paced(Pace { address: rate(2, 3600), ..Pace::default() })).await;
    let stranger = harness.client("/mcp", "nobody");
    for _ in 0..2 {
        assert_eq!(stranger.post("{", &[]).await.unwrap().status, 401);
    }
    assert_eq!(stranger.post("{", &[]).await.unwrap().status, 429);
    assert_eq!(harness.client("/mcp", "owner").post(LIST, HEADERS).await.unwrap().status, 429);
}

#[tokio::test]
async fn guessing_keys_is_slowed_and_those_who_were_let_in_go_on() {
    let harness =
        Harness::with_limits(vec![], paced(Pace { attempts: rate(3, 3600), ..Pace::default() })).await;
    let owner = harness.client("/mcp", "owner");
    assert_eq!(owner.post(LIST, HEADERS).await.unwrap().status, 200);
    let mut statuses = Vec::new();
    for at in 0..8 {
        let guess = harness.client("/mcp", &format!("guess-{at}"));
        statuses.push(guess.post(LIST, HEADERS).await.unwrap().status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429, 429]);
    // A good key that was not seen from here waits like a guess, or the waiting would tell which are good.
    let mut late = harness.client("/mcp", "other").post(LIST, HEADERS).await.unwrap();
    assert_eq!(late.status, 429);
    assert!(late.header("retry-after").is_some());
    assert!(late.rest().await.unwrap().contains("CM1104"));
    assert_eq!(owner.post(LIST, HEADERS).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_burst_waits_for_a_place_and_is_not_refused_at_once() {
    let (one, guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let limits = Limits {
        calls_in_flight_max: 1,
        queue_max: 1,
        queue_time_max: Duration::from_secs(60),
        ..Limits::default()
    };
    let harness = Harness::with_limits(vec![one], limits).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let call = |ms: u64| {
        let client = harness.modern("/mcp");
        background(async move { client.call("one__sleep_ms", json!({"ms": ms})).await })
    };
    let first = call(300);
    guard.calls().wait_for(|calls| *calls == 1).await.unwrap();
    let (second, third) = (call(1), call(1));
    first.await.unwrap().unwrap();
    let outcomes = [second.await.unwrap(), third.await.unwrap()];
    let refused: Vec<String> =
        outcomes.iter().filter_map(|o| o.as_ref().err().map(ToString::to_string)).collect();
    assert_eq!(refused.len(), 1, "one waits, and the queue is short: {refused:?}");
    assert!(refused[0].contains("in flight"), "{refused:?}");
}
