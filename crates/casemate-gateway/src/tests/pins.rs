//! Definitions that change after somebody approved of them, and the book that this is kept in here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use casemate_mcp::names::ServerName;
use casemate_policy::Approved;
use casemate_testkit::client::McpHttp;
use casemate_testkit::fixture::Guard;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, http_entry, http_server, stdio_entry};
use crate::ports::{Declared, Pinned, Pins, Standing};
use crate::snapshot::{Approval, ServerEntry};

type Place = (String, Pinned, String);

/// Approves of what comes first, and of nothing that changes.
#[derive(Debug, Default)]
pub(super) struct Book {
    approved: Mutex<HashMap<Place, String>>,
    seen: Mutex<HashMap<Place, String>>,
    listed: Mutex<HashMap<String, Bytes>>,
    /// What a person approved of as read-only.
    confirmed: Mutex<Approved>,
}

impl Book {
    /// A person approves of everything as it is now.
    pub(super) fn approve_all(&self) {
        self.approved.lock().unwrap().extend(self.seen.lock().unwrap().clone());
    }

    /// A person takes all approvals of one name back.
    pub(super) fn revoke(&self, name: &str) {
        self.approved.lock().unwrap().retain(|(_, _, known), _| known != name);
    }
}

impl Pins for Book {
    fn confirmed(&self) -> Approved {
        self.confirmed.lock().unwrap().clone()
    }

    fn judge(&self, server: &ServerName, approval: Approval, declared: &[Declared<'_>]) -> Vec<Standing> {
        let judge = |one: &Declared<'_>| {
            let place = (server.to_string(), one.kind, one.name.to_owned());
            let text = one.definition.as_str().to_owned();
            let first = self.seen.lock().unwrap().insert(place.clone(), text.clone()).is_none();
            let mut approved = self.approved.lock().unwrap();
            if first && approval == Approval::FirstUse {
                approved.insert(place.clone(), text.clone());
            }
            match approved.get(&place) {
                None => Standing::New,
                Some(approved) if *approved == text => Standing::Approved,
                Some(_) => Standing::Changed,
            }
        };
        declared.iter().map(judge).collect()
    }

    fn remembered(&self, server: &ServerName) -> Option<Bytes> {
        self.listed.lock().unwrap().get(server.as_str()).cloned()
    }

    fn remember(&self, server: &ServerName, listed: Bytes) {
        self.listed.lock().unwrap().insert(server.to_string(), listed);
    }
}

/// A gateway that begins anew, with what the one before remembered.
async fn again(before: Harness, servers: Vec<ServerEntry>) -> Harness {
    let pins = Arc::clone(&before.pins);
    drop(before);
    Harness::with_pins(servers, pins).await
}

/// How many instances of a server run.
fn running(harness: &Harness, server: &str) -> usize {
    harness.gate.catalog().shelf(server).unwrap().server().status().instances.len()
}

#[tokio::test]
async fn what_is_known_is_listed_before_a_server_starts_and_the_first_call_starts_it() {
    let servers = || vec![stdio_entry("one", "dual")];
    let harness = Harness::start(servers()).await;
    let first = harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let prompts = harness.modern("/mcp").request("prompts/list", json!({})).await.unwrap();
    assert_eq!(running(&harness, "one"), 1);

    let harness = again(harness, servers()).await;
    let listed = harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    assert_eq!(listed["tools"], first["tools"], "the same, in the same order");
    let listed = harness.modern("/mcp").request("prompts/list", json!({})).await.unwrap();
    assert_eq!(listed["prompts"], prompts["prompts"]);
    assert_eq!(running(&harness, "one"), 0, "nobody called it");
    harness.modern("/mcp").call("one__echo", json!({"message": "m"})).await.unwrap();
    assert_eq!(running(&harness, "one"), 1);
    let listed = harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    assert_eq!(listed["tools"], first["tools"]);

    // Resources are not kept, so a server that has some is asked.
    let harness = again(harness, servers()).await;
    let listed = harness.modern("/mcp").request("resources/list", json!({})).await.unwrap();
    assert!(!listed["resources"].as_array().unwrap().is_empty());
    assert_eq!(running(&harness, "one"), 1);
}

#[tokio::test]
async fn what_is_remembered_is_judged_by_the_pins_and_calls_by_what_the_server_says_now() {
    // It changes after its first call; its next gateway remembers what it said before.
    let (entry, _guard) = mutating(1).await;
    let harness = Harness::start(vec![entry.clone()]).await;
    let client = harness.legacy("/mcp").await;
    assert_eq!(names(&client.request("tools/list", json!({})).await.unwrap()), ["one__echo", "one__strike"]);
    let strike = json!({"name": "one__strike", "arguments": {}});
    client.request("tools/call", strike.clone()).await.unwrap();

    let harness = again(harness, vec![entry.clone()]).await;
    let client = harness.legacy("/mcp").await;
    assert!(names(&client.request("tools/list", json!({})).await.unwrap()).contains(&"one__strike"));
    let refused = client.request("tools/call", strike).await.unwrap_err().to_string();
    assert!(refused.contains("has changed since it was approved"), "{refused}");

    // Remembered as it is now, and as little approved as before.
    let harness = again(harness, vec![entry]).await;
    let client = harness.legacy("/mcp").await;
    assert_eq!(names(&client.request("tools/list", json!({})).await.unwrap()), ["one__echo"]);
}

#[tokio::test]
async fn what_another_server_listed_under_a_name_is_not_believed_of_this_one() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let (entry, _guard) = mutating(9).await;
    let harness = again(harness, vec![entry]).await;
    let listed = harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    assert_eq!(names(&listed), ["one__strike"], "asked anew; `echo` is another than was approved");
}

#[tokio::test]
async fn after_a_restart_a_list_held_for_longer_than_its_server_says() {
    // A server of the modern era says that its lists hold for no time at all, which counts as a second.
    let (address, _guard) =
        Hostile::new(Kind::Mutates, Era::Modern).after(2).listen("127.0.0.1:0").await.unwrap();
    let url = format!("http://{address}/mcp");
    let entry = http_entry("one", &url);
    let harness = Harness::start(vec![entry.clone()]).await;
    harness.modern("/mcp").request("tools/list", json!({})).await.unwrap();
    let harness = again(harness, vec![entry]).await;
    let client = harness.modern("/mcp");
    client.call("one__strike", json!({})).await.unwrap();
    // The call with which it changes is another client's, who alone is told of that.
    McpHttp::new(&url).modern(json!({})).call("strike", json!({})).await.unwrap();
    let refused = async {
        loop {
            if let Err(refused) = client.call("one__strike", json!({})).await {
                break refused.to_string();
            }
        }
    };
    let refused = tokio::time::timeout(std::time::Duration::from_secs(20), refused).await.unwrap();
    assert!(refused.contains("has changed since it was approved"), "{refused}");
}

/// A server whose `strike` is described otherwise after so many calls.
async fn mutating(after: u64) -> (ServerEntry, impl Sized) {
    let (address, guard) =
        Hostile::new(Kind::Mutates, Era::Legacy).after(after).listen("127.0.0.1:0").await.unwrap();
    (http_entry("one", &format!("http://{address}/mcp")), guard)
}

fn names(listed: &Value) -> Vec<&str> {
    listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_tool_that_changes_is_blocked_alone_until_a_person_approves_of_it() {
    let (entry, _guard) = mutating(2).await;
    let (other, _other) = http_server("two", Fixture::new(Era::Legacy)).await;
    let harness = Harness::start(vec![entry, other]).await;
    let client = harness.legacy("/mcp").await;
    assert!(names(&client.request("tools/list", json!({})).await.unwrap()).contains(&"one__strike"));
    let strike = || client.request("tools/call", json!({"name": "one__strike", "arguments": {}}));
    for _ in 0..2 {
        strike().await.unwrap();
    }

    // The server announces nothing. What is known is old by now.
    harness.gate.catalog().shelf("one").unwrap().invalidate();
    let refused = strike().await.unwrap_err().to_string();
    assert!(refused.contains("has changed since it was approved"), "{refused}");
    assert!(!refused.contains("id_rsa"), "what was not approved reaches no model: {refused}");
    let listed = client.request("tools/list", json!({})).await.unwrap();
    assert!(!names(&listed).contains(&"one__strike"), "{listed}");
    assert!(names(&listed).contains(&"one__echo") && names(&listed).contains(&"two__echo"), "{listed}");
    let echo = json!({"name": "one__echo", "arguments": {"message": "m"}});
    client.request("tools/call", echo).await.unwrap();

    harness.pins.approve_all();
    harness.gate.judge_anew();
    strike().await.unwrap();
    let listed = client.request("tools/list", json!({})).await.unwrap();
    assert!(listed.to_string().contains("id_rsa"), "the person has seen that: {listed}");
}

#[tokio::test]
async fn what_one_server_lists_for_itself_is_held_to_its_pins_too() {
    let (entry, _guard) = mutating(1).await;
    let harness = Harness::start(vec![entry]).await;
    let client = harness.legacy("/servers/one/mcp").await;
    assert_eq!(names(&client.request("tools/list", json!({})).await.unwrap()), ["echo", "strike"]);
    client.request("tools/call", json!({"name": "strike", "arguments": {}})).await.unwrap();
    let listed = client.request("tools/list", json!({})).await.unwrap();
    assert_eq!(names(&listed), ["echo"], "the list is the server's own, and newer than what is known");
    let refused = client.request("tools/call", json!({"name": "strike", "arguments": {}})).await.unwrap_err();
    assert!(refused.to_string().contains("has changed since it was approved"), "{refused}");
}

#[tokio::test]
async fn where_a_person_has_to_look_first_nothing_is_used_before() {
    let (mut entry, _guard): (ServerEntry, Guard) = http_server("one", Fixture::new(Era::Dual)).await;
    entry.approval = Approval::Review;
    let harness = Harness::start(vec![entry]).await;
    let client = harness.modern("/mcp");
    assert!(names(&client.request("tools/list", json!({})).await.unwrap()).is_empty());
    let echo = || client.request("tools/call", json!({"name": "one__echo", "arguments": {"message": "m"}}));
    let refused = echo().await.unwrap_err().to_string();
    assert!(refused.contains("waits for a person's approval"), "{refused}");
    let prompts = client.request("prompts/list", json!({})).await.unwrap();
    assert_eq!(prompts["prompts"], json!([]));
    harness.pins.approve_all();
    harness.gate.judge_anew();
    echo().await.unwrap();
}

#[tokio::test]
async fn what_a_person_confirms_is_in_force_at_once_and_after_every_new_configuration() {
    let (entry, _guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![entry]).await;
    let confirms = || {
        let approved = Approved::from([(ServerName::parse("one").unwrap(), ["echo".into()].into())]);
        harness.gate.snapshot().policy.is_approving(&approved)
    };
    let before = harness.gate.snapshot();
    harness.pins.confirmed.lock().unwrap().insert(ServerName::parse("one").unwrap(), ["echo".into()].into());
    assert!(!confirms());
    harness.gate.judge_anew();
    let after = harness.gate.snapshot();
    assert!(confirms() && after.version > before.version);
    harness.gate.judge_anew();
    assert_eq!(harness.gate.snapshot().version, after.version, "what is no news makes nobody look again");
    // A configuration that was read before the approval, and numbered by what was then in force.
    let read = crate::snapshot::Snapshot { version: before.version + 1, ..(*before).clone() };
    harness.gate.swap(read);
    assert!(confirms() && harness.gate.snapshot().version > after.version, "no number stands for two");
}
