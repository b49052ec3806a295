//! `up`, `down`, `list`, `call` and what happens in between.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::expect;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Gateway, home_with_fixture, processes, wait_until_gone};
use crate::home::Home;

#[tokio::test]
async fn a_fresh_machine_serves_something_useful_at_once() {
    let home = Home::new();
    let mut gateway = Gateway::start(&home);
    let key_file = Path::new(gateway.ready["key_file"].as_str().unwrap());
    assert_eq!(key_file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let mut client = gateway.client(gateway.endpoint());
    client.initialize("2025-11-25", json!({})).await.unwrap();
    let tools = client.request("tools/list", json!({})).await.unwrap();
    let names: Vec<&str> =
        tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"system__get_memory_stats"), "{names:?}");
    let called = home.run(&["call", "system", "get_memory_stats", "{}", "--json"]).ok();
    assert_ne!(serde_json::from_str::<Value>(&called).unwrap()["isError"], true);

    let stranger = casemate_testkit::client::McpHttp::new(gateway.endpoint());
    let refused = stranger.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, &[]).await;
    assert_eq!(refused.unwrap().status, 401);

    assert!(home.run(&["down"]).ok().contains("has stopped"));
    assert!(gateway.wait().success());
    assert!(!home.root().join("run/mcp.sock").exists());
    // The key was made once.
    let again = Gateway::start(&home);
    assert_eq!(again.ready["key_file"], Value::Null);
}

#[test]
fn a_second_gateway_of_a_home_is_refused_and_one_of_another_home_is_not() {
    let home = Home::new();
    let _gateway = Gateway::start(&home);
    expect![[r#"
        exit 1
        --- stderr
        error: a gateway of this installation runs already ([HOME]/cm/run)
        hint: stop it with `casemate down`, or give this one a home of its own with --home DIR
    "#]]
    .assert_eq(&home.run(&["up", "--listen", "127.0.0.1:0"]).shown());
    Gateway::start(&Home::new());
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Home::new().run(&["up", "--listen", &address]);
    expect![[r#"
        exit 1
        --- stderr
        error: cannot listen on [ADDRESS]
          because: another program listens there
        hint: stop it, or choose another address: `gateway.listen` in the configuration, or `casemate up --listen ADDR`
    "#]]
    .assert_eq(&ended.shown().replace(&address, "[ADDRESS]"));
}

#[test]
fn a_server_that_is_added_can_be_called_at_once_and_one_that_is_removed_cannot() {
    let home = Home::new();
    let gateway = Gateway::start(&home);
    let fixture = crate::gateway::fixture();
    home.run(&["add", "good", "--", fixture.to_str().unwrap(), "--stdio"]).ok();
    assert_eq!(home.run(&["call", "good", "echo", r#"{"message":"hi"}"#]).ok(), "hi\n");

    let list: Value = serde_json::from_str(&home.run(&["list", "--json"]).ok()).unwrap();
    assert_eq!(list["gateway"], true);
    assert_eq!(list["servers"][0]["state"]["state"], "running");
    assert!(home.run(&["show", "good"]).ok().contains("Returns its message"));
    home.run(&["restart", "good"]).ok();
    home.run(&["stop", "good"]).ok();
    home.run(&["start", "good"]).ok();

    home.run(&["remove", "good"]).ok();
    let refused = home.run(&["call", "good", "echo", r#"{"message":"hi"}"#]);
    assert_ne!(refused.code, Some(0), "{}", refused.shown());
    drop(gateway);
}

#[test]
fn what_a_call_comes_to_is_its_exit_code() {
    let home = home_with_fixture("");
    let _gateway = Gateway::start(&home);
    assert_eq!(home.run(&["call", "fixture", "test_error_handling"]).code, Some(5));
    expect![[r#"
        exit 1
        --- stderr
        error: Unknown tool: no_such_tool (CM1401)
        hint: `casemate show fixture` lists its tools
        hint: `casemate explain CM1401` says more
    "#]]
    .assert_eq(&home.run(&["call", "fixture", "no_such_tool"]).shown());
    expect![[r#"
        exit 1
        --- stderr
        error: no server called no-such-server is configured (CM1003)
        hint: `casemate list` shows those that are
        hint: `casemate explain CM1003` says more
    "#]]
    .assert_eq(&home.run(&["call", "no-such-server", "echo"]).shown());
    expect![[r#"
        exit 1
        --- stderr
        error: The arguments do not fit the tool's schema.
            - arguments: "message" is a required property (CM1501)
        hint: `casemate show fixture` lists its tools
        hint: `casemate explain CM1501` says more
    "#]]
    .assert_eq(&home.run(&["call", "fixture", "echo", r#"{"massage": 1}"#]).shown());
    assert_eq!(
        home.run_with(&["call", "fixture", "echo", "-"], "{\n  \"message\": \"in\"\n}\n").ok(),
        "in\n"
    );
}

#[test]
fn a_bad_configuration_keeps_the_old_one_until_it_is_mended() {
    let home = home_with_fixture("");
    let _gateway = Gateway::start(&home);
    let good = home.read("cm/casemate.toml");
    home.write("cm/casemate.toml", "[servers.fixture]\ncommand = 7\n");
    assert_eq!(home.run(&["call", "fixture", "echo", r#"{"message":"still"}"#]).ok(), "still\n");
    assert_eq!(home.run(&["config", "check"]).code, Some(3));
    home.write("cm/casemate.toml", &good);
    home.run(&["disable", "fixture"]).ok();
    let refused = home.run(&["call", "fixture", "echo", r#"{"message":"no"}"#]);
    assert_ne!(refused.code, Some(0), "{}", refused.shown());
    home.run(&["enable", "fixture"]).ok();
    assert_eq!(home.run(&["call", "fixture", "echo", r#"{"message":"again"}"#]).ok(), "again\n");
}

#[test]
fn a_file_that_was_emptied_to_be_written_is_not_taken_for_a_configuration_without_servers() {
    let home = home_with_fixture("");
    let _gateway = Gateway::start(&home);
    home.run(&["call", "fixture", "echo", r#"{"message":"before"}"#]).ok();
    let instance = || -> Value {
        let list: Value = serde_json::from_str(&home.run(&["list", "--json"]).ok()).unwrap();
        list["servers"][0]["state"]["instances"][0]["pid"].clone()
    };
    let before = instance();
    assert!(before.is_u64(), "{before}");
    let good = home.read("cm/casemate.toml");
    std::fs::File::create(home.root().join("casemate.toml")).unwrap();
    // What is written to a log tells nobody that it was written.
    while !home.read("up.log").contains("is being written") {}
    home.write("cm/casemate.toml", &format!("{good}# written\n"));
    while !home.read("up.log").contains("the new configuration is in force") {}
    assert_eq!(instance(), before, "the server was never gone");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let home = home_with_fixture("");
    let gateway = Gateway::start(&home);
    let client = gateway.client(&gateway.endpoint_of("fixture")).modern(json!({}));
    client.call("echo", json!({"message": "hi"})).await.unwrap();
    let keys: Value = serde_json::from_str(&home.run(&["key", "list", "--json"]).ok()).unwrap();
    home.run(&["key", "revoke", keys[0]["id"].as_str().unwrap()]).ok();
    assert!(client.call("echo", json!({"message": "hi"})).await.is_err());
}

#[tokio::test]
async fn sigterm_lets_a_call_finish_and_refuses_new_ones() {
    let home = home_with_fixture("");
    let mut gateway = Gateway::start(&home);
    let client = gateway.client(&gateway.endpoint_of("fixture")).modern(json!({}));
    client.call("echo", json!({"message": "warm"})).await.unwrap();
    let mut running = client.open("tools/call", slow(1500)).await.unwrap();
    // The server's first report of progress shows that the call is in flight.
    assert_eq!(running.next().await.unwrap().unwrap()["method"], "notifications/progress");
    gateway.signal(Signal::TERM);
    running.result().await.unwrap();
    assert!(gateway.wait().success(), "{}", home.read("up.log"));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let home = home_with_fixture("");
    let mut gateway = Gateway::start(&home);
    let client = gateway.client(&gateway.endpoint_of("fixture")).modern(json!({}));
    let mut running = client.open("tools/call", slow(600_000)).await.unwrap();
    running.next().await.unwrap();
    gateway.signal(Signal::TERM);
    gateway.signal(Signal::INT);
    gateway.signal(Signal::TERM);
    let started = std::time::Instant::now();
    assert!(gateway.wait().success(), "{}", home.read("up.log"));
    assert!(started.elapsed() < std::time::Duration::from_secs(8), "the grace time is 10 s");
}

fn slow(ms: u64) -> Value {
    json!({"name": "sleep_ms", "arguments": {"ms": ms}, "_meta": {"progressToken": 1}})
}

#[tokio::test]
async fn sigkill_leaves_no_server_and_no_helper_behind() {
    let home = home_with_fixture("");
    let mut gateway = Gateway::start(&home);
    let client = gateway.client(&gateway.endpoint_of("fixture")).modern(json!({}));
    // A length of sleep that nobody else uses tells the helper from others.
    let seconds = format!("{}.25", 100_000 + gateway.pid());
    client.call("spawn_helper", json!({ "seconds": seconds })).await.unwrap();
    assert_eq!(processes(&format!("sleep {seconds}")).len(), 1);
    gateway.signal(Signal::KILL);
    gateway.wait();
    wait_until_gone(&format!("sleep {seconds}"));
}
