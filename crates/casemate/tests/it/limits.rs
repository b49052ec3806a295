//! Budgets, sessions and approvals, over restarts and from the command line.

use casemate_store::records::tail;
use casemate_testkit::client::McpHttp;
use expect_test::expect;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Gateway, home_with_fixture};
use crate::home::Home;

fn key(home: &Home, role: &str) -> String {
    home.run(&["key", "create", "--role", role]).ok().trim().to_owned()
}

fn modern(gateway: &Gateway, key: &str) -> McpHttp {
    McpHttp::new(gateway.endpoint()).bearer(key).modern(json!({}))
}

fn shown(home: &Home, arguments: &[&str]) -> Value {
    serde_json::from_str(&home.run(arguments).ok()).unwrap()
}

#[tokio::test]
async fn a_budget_outlives_the_gateway() {
    let home = home_with_fixture("[limits]\nsubject_budget = \"3/day\"\n");
    let key = key(&home, "user");
    let echo = json!({"message": "a"});
    let mut gateway = Gateway::start(&home);
    modern(&gateway, &key).call("fixture__echo", echo.clone()).await.unwrap();
    modern(&gateway, &key).call("fixture__echo", echo.clone()).await.unwrap();
    home.run(&["down"]).ok();
    gateway.wait();

    let mut gateway = Gateway::start(&home);
    modern(&gateway, &key).call("fixture__echo", echo.clone()).await.unwrap();
    let refused = modern(&gateway, &key).call("fixture__echo", echo.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("for this day"), "{refused}");
    gateway.signal(Signal::KILL);
    gateway.wait();

    let gateway = Gateway::start(&home);
    // What is written down is written behind the calls: killed in that very moment, it forgets the last one.
    let client = modern(&gateway, &key);
    drop(client.call("fixture__echo", echo.clone()).await);
    assert!(client.call("fixture__echo", echo).await.is_err(), "killed or not");
}

#[test]
fn a_limit_for_a_key_that_there_is_not_is_told_of_wherever_a_configuration_is_read() {
    let home = home_with_fixture("");
    key(&home, "user");
    let id = shown(&home, &["key", "list", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let limits = |id: &str| format!("[limits.keys.{id}]\nrate = \"2/s\"\n");
    home.write("cm/casemate.toml", &limits(&id));
    let good = home.run(&["config", "check"]);
    assert!(good.stderr.is_empty(), "{}", good.shown());
    home.write("cm/casemate.toml", &limits("ci"));
    expect![[r#"
        exit 0
        --- stdout
        ok: [HOME]/cm/casemate.toml (0 servers)
        --- stderr
        warning: [HOME]/cm/casemate.toml:1:14: limits.keys.ci limits nobody: there is no API key with this id
        hint: `casemate key list` shows the ids; a key's name is none
    "#]]
    .assert_eq(&home.run(&["config", "check"]).shown());
    let doctor = home.run(&["doctor"]).shown();
    assert!(doctor.contains("limits.keys.ci limits nobody"), "{doctor}");

    let gateway = Gateway::start(&home);
    assert!(home.read("up.log").contains("limits.keys.ci limits nobody"), "{}", home.read("up.log"));
    home.write("cm/casemate.toml", &limits("other"));
    gateway.signal(Signal::HUP);
    // What is written to a log tells nobody that it was written.
    while !home.read("up.log").contains("limits.keys.other limits nobody") {}
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let home = home_with_fixture("");
    let key = key(&home, "user");
    let gateway = Gateway::start(&home);
    let open = || async {
        let mut client = McpHttp::new(gateway.endpoint()).bearer(&key);
        client.initialize("2025-11-25", json!({})).await.unwrap();
        client
    };
    let (one, two) = (open().await, open().await);
    let listed = shown(&home, &["sessions", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert!(!listed.to_string().contains(one.session().unwrap()), "what opens a session is not shown");
    assert!(home.run(&["sessions", "list"]).ok().contains("last used"));

    let first = listed[0]["id"].as_str().unwrap();
    assert!(home.run(&["sessions", "revoke", first]).ok().contains("1 session ended"));
    assert!(one.request("ping", json!({})).await.unwrap_err().to_string().contains("initialize"));
    two.request("ping", json!({})).await.unwrap();
    let subject = listed[0]["subject"].as_str().unwrap();
    home.run(&["sessions", "revoke", "--subject", subject]).ok();
    assert!(two.request("ping", json!({})).await.is_err());
    assert_eq!(home.run(&["sessions", "revoke", first]).code, Some(1));
    assert_eq!(home.run(&["sessions", "revoke"]).code, Some(2));
    drop(gateway);
    let records = tail(&home.root().join("data/records"), 1000).unwrap();
    let records = records.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ended: Vec<Value> = records.filter(|record| record["act"] == "session revoke").collect();
    assert_eq!(ended.len(), 2, "each is on record: {ended:?}");
    assert_eq!((ended[0]["object"].as_str(), ended[0]["detail"].as_str()), (Some(subject), Some(first)));
    assert!(ended[0]["by"].as_str().unwrap().starts_with("local:"), "{ended:?}");
}

const ASKS: &str = "[roles.agent]\nallow = [\"fixture\"]\nask = [\"fixture/echo\"]\n";

#[tokio::test]
async fn an_operator_answers_on_the_command_line_and_the_answer_outlives_the_gateway() {
    let home = home_with_fixture(ASKS);
    let key = key(&home, "agent");
    let mut gateway = Gateway::start(&home);
    let message = "\u{1b}[2J\u{202e}hidden";
    let token = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
    let call = json!({"message": format!("{message} {token}")});
    let refused = modern(&gateway, &key).call("fixture__echo", call.clone()).await.unwrap_err().to_string();
    let listed = shown(&home, &["approvals", "--json"]);
    let id = listed[0]["id"].as_str().unwrap();
    assert!(refused.contains(id) && listed[0]["standing"] == "open", "{refused} {listed}");

    let page = home.run(&["approvals", "show", id]).ok();
    assert!(page.contains("role agent") && page.contains("--once"), "{page}");
    assert!(!page.contains(&token) && !page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page:?}");
    assert_eq!(home.run(&["approvals", "allow", id]).code, Some(2), "for how long is said");
    assert_eq!(home.run(&["approvals", "allow", "nothing", "--once"]).code, Some(1));
    home.run(&["approvals", "allow", id, "--once"]).ok();
    assert_eq!(home.run(&["approvals", "allow", id, "--always"]).code, Some(1), "it was answered");

    gateway.signal(Signal::KILL);
    gateway.wait();
    let gateway = Gateway::start(&home);
    let client = modern(&gateway, &key);
    client.call("fixture__echo", json!({"message": "another"})).await.unwrap_err();
    client.call("fixture__echo", call.clone()).await.unwrap();
    client.call("fixture__echo", call.clone()).await.unwrap_err();

    let listed = shown(&home, &["approvals", "list", "--json"]);
    let open = listed.as_array().unwrap().iter().filter(|one| one["standing"] == "open");
    let ids: Vec<&str> = open.map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2, "{listed}");
    for id in &ids {
        home.run(&["approvals", "allow", id, "--always"]).ok();
    }
    client.call("fixture__echo", call.clone()).await.unwrap();
    client.call("fixture__echo", call.clone()).await.unwrap();
    for id in &ids {
        home.run(&["approvals", "deny", id]).ok();
    }
    let said = client.call("fixture__echo", call).await.unwrap_err().to_string();
    assert!(said.contains("said no"), "{said}");
}
