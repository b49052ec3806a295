//! HTTP with SSE, the transport of 2024-11-05: what belongs to whom.

use casemate_testkit::client::{ClientError, McpHttp};
use casemate_testkit::posts;
use serde_json::{Value, json};

use super::harness::{Harness, stdio_entry};

/// The address that a fresh stream of this key names, and the stream.
async fn stream(harness: &Harness, key: &str) -> (String, casemate_testkit::client::Exchange) {
    let mut exchange = McpHttp::new(&harness.url("/sse")).bearer(key).listen(None).await.unwrap();
    assert_eq!(exchange.status, 200);
    // The address is no JSON.
    let Err(ClientError::Malformed { text, .. }) = exchange.next().await else { panic!("no address") };
    (text, exchange)
}

async fn post(harness: &Harness, address: &str, key: &str) -> u16 {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let client = McpHttp::new(&harness.url(address)).bearer(key);
    client.post(message.to_string(), &[]).await.unwrap().status
}

#[tokio::test]
async fn a_client_of_2024_is_served_and_one_of_today_as_well() {
    let harness = Harness::start(vec![stdio_entry("one", "dual")]).await;
    let mut old = posts::connect(&harness.url("/sse"), "owner").await.unwrap();
    let hello = old.initialize("2024-11-05", json!({})).await.unwrap();
    assert_eq!(hello["protocolVersion"], "2024-11-05");
    let said = old.call("one__echo", json!({"message": "hi"})).await.unwrap();
    assert_eq!(said["content"][0]["text"], "hi");
    let mut new = posts::connect(&harness.url("/servers/one/sse"), "owner").await.unwrap().modern(json!({}));
    assert_eq!(new.call("echo", json!({"message": "hi"})).await.unwrap()["resultType"], "complete");
}

#[tokio::test]
async fn whoever_knows_the_address_of_a_stream_can_do_nothing_with_it() {
    let harness = Harness::start(vec![]).await;
    let (address, mut exchange) = stream(&harness, "owner").await;
    assert!(address.starts_with("/sse?session="), "{address}");
    assert_eq!(post(&harness, &address, "wrong").await, 401);
    assert_eq!(post(&harness, &address, "reader").await, 404, "it is another's");
    assert_eq!(post(&harness, "/sse?session=00", "owner").await, 404);
    assert_eq!(post(&harness, "/sse", "owner").await, 404, "a newer client learns that it takes no posts");
    let elsewhere = address.replace("/sse?", "/servers/one/sse?");
    assert_eq!(post(&harness, &elsewhere, "owner").await, 404, "it was opened at another endpoint");
    assert_eq!(post(&harness, &address, "owner").await, 202);
    let answer: Value = exchange.next().await.unwrap().unwrap();
    // It was heard, and a session of the old dialect begins otherwise.
    assert_eq!((&answer["id"], &answer["error"]["data"]["code"]), (&json!(1), &json!("CM1304")), "{answer}");
}

#[tokio::test]
async fn a_withdrawn_key_ends_its_stream() {
    let harness = Harness::start(vec![]).await;
    let mut client = posts::connect(&harness.url("/sse"), "other").await.unwrap().modern(json!({}));
    client.request("tools/list", json!({})).await.unwrap();
    harness.keys.gone.lock().unwrap().push("other".to_owned());
    // The post is refused, and the client gives up.
    client.request("tools/list", json!({})).await.unwrap_err();
    harness.keys.gone.lock().unwrap().clear();
    let (address, exchange) = stream(&harness, "other").await;
    drop(exchange);
    // Until the gateway has noticed that nobody reads, the address takes posts.
    while post(&harness, &address, "other").await != 404 {
        tokio::task::yield_now().await;
    }
}
