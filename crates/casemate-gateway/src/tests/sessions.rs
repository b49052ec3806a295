use std::time::Duration;

use casemate_testkit::{Era, Fixture};
use serde_json::json;

use super::harness::{Harness, http_server, stdio_entry};
use crate::snapshot::Limits;

#[tokio::test]
async fn a_session_is_nobody_elses() {
    let harness = Harness::start(vec![stdio_entry("one", "legacy")]).await;
    let mut owner = harness.client("/mcp", "owner");
    owner.initialize("2025-06-18", json!({})).await.unwrap();
    let id = owner.session().unwrap().to_owned();
    for (path, key) in [("/mcp", "other"), ("/servers/one/mcp", "owner")] {
        let thief = harness.client(path, key).header("mcp-session-id", &id);
        let status =
            thief.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, &[]).await.unwrap().status;
        assert_eq!(status, 404, "{path} {key}");
        assert_eq!(thief.listen(None).await.unwrap().status, 404);
        assert_eq!(thief.delete().await.unwrap(), 404);
    }
    assert_eq!(owner.delete().await.unwrap(), 204);
    assert_eq!(owner.delete().await.unwrap(), 404);
}

#[tokio::test]
async fn a_foreign_session_id_on_a_modern_call_gets_nothing_of_that_session() {
    let (server, _guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![server]).await;
    let victim = harness.legacy("/mcp").await;
    let id = victim.session().unwrap().to_owned();
    let mut general = victim.listen(None).await.unwrap();
    let thief = harness.client("/mcp", "other").header("mcp-session-id", &id).modern(json!({}));
    let params =
        json!({"name": "one__test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": 1}});
    let mut exchange = thief.open("tools/call", params).await.unwrap();
    assert!(exchange.header("mcp-session-id").is_none());
    while exchange.next().await.unwrap().is_some() {}
    drop(exchange);
    let nothing = tokio::time::timeout(Duration::from_millis(100), general.next()).await;
    assert!(nothing.is_err(), "the victim's stream stays silent: {nothing:?}");
}

#[tokio::test]
async fn sessions_are_bounded() {
    let limits = Limits { sessions_max: 2, ..Limits::default() };
    let harness = Harness::with_limits(vec![], limits).await;
    for _ in 0..2 {
        harness.client("/mcp", "owner").initialize("2025-11-25", json!({})).await.unwrap();
    }
    let refused = harness.client("/mcp", "owner").initialize("2025-11-25", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("sessions"), "{refused}");
    harness.client("/mcp", "other").initialize("2025-11-25", json!({})).await.unwrap();
}

#[tokio::test]
async fn stopping_lets_calls_finish_and_refuses_new_ones() {
    let (server, guard) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::start(vec![server]).await;
    let (client, late) = (harness.modern("/mcp"), harness.modern("/mcp"));
    let call =
        super::harness::background(async move { client.call("one__sleep_ms", json!({"ms": 300})).await });
    guard.calls().wait_for(|calls| *calls == 1).await.unwrap();
    let gate = std::sync::Arc::clone(&harness.gate);
    let stop = super::harness::background(async move { gate.stop(Duration::from_secs(10)).await });
    harness.gate.stopping().await;
    let refused = late.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, &[]).await.unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert!(call.await.unwrap().is_ok(), "the call in flight finishes");
    stop.await.unwrap();
}

#[tokio::test]
async fn a_session_ends_when_it_is_revoked_idle_or_over() {
    let start = |idle: u64, life: u64| Limits {
        session_idle_max: Duration::from_secs(idle),
        session_life_max: Duration::from_secs(life),
        ..Limits::default()
    };
    let gone = |outcome: Result<serde_json::Value, casemate_testkit::client::ClientError>| {
        outcome.unwrap_err().to_string().contains("no such session")
    };
    let harness = Harness::with_limits(vec![], start(3600, 3600)).await;
    let client = harness.legacy("/mcp").await;
    client.request("ping", json!({})).await.unwrap();
    let number = harness.gate.sessions().list()[0].number;
    assert_eq!(harness.gate.sessions().revoke(|session| session.number == number).len(), 1);
    assert!(gone(client.request("ping", json!({})).await));

    for (idle, life) in [(1, 3600), (3600, 1)] {
        let harness = Harness::with_limits(vec![], start(idle, life)).await;
        let client = harness.legacy("/mcp").await;
        let session = std::sync::Arc::clone(&harness.gate.sessions().list()[0]);
        // Its lease is judged by the wall clock, which no test can set.
        while session.lease.state(crate::clock::unix_now().as_secs())
            == casemate_auth::session::LeaseState::Live
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(gone(client.request("ping", json!({})).await), "idle {idle}, life {life}");
        assert_eq!(harness.gate.sessions().count(), 0, "it is gone at once, not with the next sweep");
    }
}

#[tokio::test]
async fn an_id_that_was_changed_or_made_elsewhere_opens_nothing() {
    let harness = Harness::start(vec![]).await;
    let client = harness.legacy("/mcp").await;
    let id = client.session().unwrap().to_owned();
    let elsewhere = Harness::start(vec![]).await;
    let foreign = elsewhere.legacy("/mcp").await.session().unwrap().to_owned();
    let mut changed = id.clone().into_bytes();
    changed[50] = if changed[50] == b'A' { b'B' } else { b'A' };
    let ping = r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#;
    for wrong in [String::from_utf8(changed).unwrap(), foreign, id.to_lowercase(), "0".repeat(32)] {
        let thief = harness.client("/mcp", "owner").header("mcp-session-id", &wrong);
        assert_eq!(thief.post(ping, &[]).await.unwrap().status, 404, "{wrong}");
    }
    // What the log is told of them, and nobody else.
    let subject = casemate_policy::SubjectId::key("owner");
    let joined = crate::endpoint::Endpoint::Joined;
    let find = |id: &str, key| {
        let subject = casemate_policy::SubjectId::key(key);
        harness.gate.sessions().find(id, &subject, &joined).unwrap_err()
    };
    assert!(find(&id, "other").contains("another subject"));
    assert!(find("x", "owner").contains("no sealed token"));
    assert!(harness.gate.sessions().find(&id, &subject, &joined).is_ok());
    harness.gate.sessions().revoke(|_| true);
    assert!(find(&id, "owner").contains("ended"));
}

/// A session is kept for hours; the buffer that its first message came in has 8 KiB.
#[test]
fn a_session_did_not_keep_the_whole_message_that_opened_it() {
    use casemate_mcp::call::Meta;
    use casemate_mcp::dialect::legacy::Hello;
    use casemate_mcp::json::{Limits, Members};

    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"t","version":"1"}}"#;
    let message = bytes::Bytes::from(params.as_bytes().to_vec());
    let streams = casemate_transport::http::streams::Streams::new(Default::default());
    let session = crate::client::Session::new(
        crate::client::Title::connection(crate::client::Way::Lines, None),
        casemate_policy::SubjectId::local(0),
        crate::endpoint::Endpoint::Joined,
        crate::client::Outlet::General(streams),
    );
    let hello = Hello::read(Some(&Members::check(message.clone(), &Limits::default()).unwrap())).unwrap();
    let meta = Meta {
        revision: hello.agreed(),
        progress: None,
        capabilities: hello.capabilities,
        client_info: hello.client_info,
        log_level: None,
    };
    assert!(session.open(&meta));
    drop(meta);
    assert!(message.is_unique(), "nothing else holds the message");
    let kept = session.hello().unwrap();
    assert!(kept.capabilities.has("roots"));
    assert_eq!(kept.client_info.unwrap().as_str(), r#"{"name":"t","version":"1"}"#);
}
