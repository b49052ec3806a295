//! Taking something out, with and without a gateway that runs.

use std::process::Stdio;

use expect_test::expect;
use serde_json::Value;

use crate::gateway::{Gateway, fixture, wait_until_gone};
use crate::home::{Ended, Home};

/// A home with two servers: one that never answers `strike`, and one that is good.
fn home(mark: &str) -> Home {
    let home = Home::new();
    let program = fixture().display().to_string();
    let text = format!(
        "[servers.hangs]\ncommand = [{program:?}, \"--stdio\", \"--hostile\", \"hangs-on-call\", \"--say\", {mark:?}]\n\
         [servers.good]\ncommand = [{program:?}, \"--stdio\"]\n"
    );
    home.write("cm/casemate.toml", &text);
    home
}

fn echo(home: &Home, server: &str) -> Ended {
    home.run(&["call", server, "echo", r#"{"message":"m"}"#])
}

fn state(home: &Home, server: &str) -> Value {
    let listed: Value = serde_json::from_str(&home.run(&["list", "--json"]).ok()).unwrap();
    let servers = listed["servers"].as_array().unwrap();
    servers.iter().find(|one| one["name"] == server).unwrap()["state"].clone()
}

#[test]
fn what_is_put_in_without_a_gateway_binds_the_next_one_and_is_let_go_while_it_runs() {
    let home = home("quarantined-before");
    let added = home.run(&["quarantine", "add", "server:good", "--reason", "it looked odd"]);
    assert_eq!(added.ok(), "server:good: in quarantine\n");
    let gateway = Gateway::start(&home);
    let refused = echo(&home, "good");
    assert_eq!(refused.code, Some(6), "{}", refused.shown());
    assert!(refused.shown().contains("CM1506"), "{}", refused.shown());
    assert!(!refused.shown().contains("it looked odd"), "{}", refused.shown());
    assert_eq!(state(&home, "good")["state"], "quarantined");
    assert_eq!(state(&home, "good")["instances"], serde_json::json!([]), "it was never started");
    let started = home.run(&["start", "good"]).shown();
    assert!(started.contains("quarantine lift server:good"), "{started}");
    echo(&home, "hangs").ok();

    home.run(&["quarantine", "lift", "server:good"]).ok();
    echo(&home, "good").ok();
    assert!(home.run(&["quarantine", "lift", "server:good"]).shown().contains("is not in quarantine"));
    assert_eq!(home.run(&["quarantine", "list"]).ok(), "Nothing is in quarantine.\n");
    drop(gateway);
    let expected = [
        ("quarantine add server:good".to_owned(), "until it is lifted: it looked odd".to_owned()),
        ("quarantine lift server:good".to_owned(), String::new()),
    ];
    let acts = home.acts().into_iter().filter(|(act, _)| act.starts_with("quarantine "));
    assert_eq!(acts.collect::<Vec<_>>(), expected);
}

#[test]
fn a_call_in_flight_is_given_up_and_its_server_ends() {
    let home = home("quarantined-in-flight");
    let _gateway = Gateway::start(&home);
    let call =
        home.command(&["call", "hangs", "strike"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let call = call.unwrap();
    // Nothing else tells that the server has the call.
    while state(&home, "hangs")["instances"][0]["in_flight"] != 1 {}
    home.run(&["quarantine", "add", "server:hangs", "--reason", "it hangs"]).ok();
    let ended = home.ended(&call.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(6), "{}", ended.shown());
    assert!(ended.stderr.contains("in flight already"), "{}", ended.shown());
    wait_until_gone("quarantined-in-flight");
    echo(&home, "good").ok();
}

#[test]
fn the_owner_of_a_gateway_in_quarantine_still_has_the_command_line() {
    let home = home("quarantined-all");
    let gateway = Gateway::start(&home);
    echo(&home, "good").ok();
    home.run(&["quarantine", "add", "gateway", "--reason", "everything is odd", "--until", "1h"]).ok();
    let refused = echo(&home, "good");
    assert!(refused.shown().contains("CM1606"), "{}", refused.shown());
    let url = gateway.endpoint();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = runtime.block_on(gateway.client(url).post(text, &[])).unwrap();
    assert_eq!(answer.status, 403);
    let listed = home.run(&["quarantine", "--json"]).ok();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["ward"], "gateway");
    assert!(listed[0]["until"].is_string(), "{listed}");
    home.run(&["quarantine", "lift", "gateway"]).ok();
    echo(&home, "good").ok();
}

#[test]
fn what_cannot_be_meant_is_said() {
    let home = home("quarantined-nothing");
    let shown = home.run(&["quarantine", "add", "server:godo", "--reason", "r"]).shown();
    assert!(
        shown.contains("exit 0") && shown.contains("nothing is known by that name: server:godo"),
        "{shown}"
    );
    let past = home.run(&["quarantine", "add", "key:abc", "--reason", "r", "--until", "1970-01-02"]).shown();
    assert!(past.contains("it would be over already"), "{past}");
    let shown = home.run(&["quarantine", "add", "good", "--reason", "r"]).shown();
    expect![[r#"
        exit 2
        --- stderr
        error: invalid value 'good' for '<WARD>': expected `gateway`, `server:NAME`, `tool:SERVER/TOOL`, `subject:ID` or `key:ID`

        For more information, try '--help'.
    "#]]
    .assert_eq(&shown);
}

/// Two servers with honeytokens: one whose tool `env` shows its environment, called or not.
fn home_with_honeytokens(settings: &str) -> Home {
    let home = Home::new();
    let program = fixture().display().to_string();
    let server =
        |name| format!("[servers.{name}]\ncommand = [{program:?}, \"--stdio\"]\nhoneytokens = true\n");
    home.write("cm/casemate.toml", &[settings, &server("shows"), &server("honest")].concat());
    home
}

#[test]
fn a_server_that_shows_what_was_planted_in_its_cell_is_put_in() {
    let home = home_with_honeytokens("");
    let gateway = Gateway::start(&home);
    let shown = home.run(&["call", "shows", "env", "{}"]).shown();
    assert!(!shown.contains("AKIA"), "{shown}");
    // The rule acts when the alarm is heard, which is not part of the call.
    while state(&home, "shows")["state"] != "quarantined" {}
    assert!(echo(&home, "shows").shown().contains("CM1506"));
    echo(&home, "honest").ok();
    let listed: Value = serde_json::from_str(&home.run(&["quarantine", "list", "--json"]).ok()).unwrap();
    assert_eq!(listed[0]["by"], "rule:honeytokens", "{listed}");
    drop(gateway);
    let gateway = Gateway::start(&home);
    assert!(echo(&home, "shows").shown().contains("CM1506"), "it is kept over a restart");
    echo(&home, "honest").ok();
    drop(gateway);
    let records = std::fs::read_dir(home.root().join("data/records")).unwrap();
    let records: String =
        records.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
    assert!(
        records.contains("\"act\":\"alarm\"") && records.contains("\"by\":\"rule:honeytokens\""),
        "{records}"
    );
    assert!(!records.contains("AKIA"), "{records}");
}

#[test]
fn what_is_planted_is_the_same_after_a_restart_and_another_in_each_cell() {
    let home = home_with_honeytokens("[quarantine]\nautomatic = []\n");
    let seen = |server: &str| home.run(&["call", server, "env", "{}"]).shown();
    for _ in 0..2 {
        let gateway = Gateway::start(&home);
        for server in ["shows", "honest"] {
            let shown = seen(server);
            assert!(shown.contains("[secret masked]") && !shown.contains("ghp_"), "{shown}");
        }
        drop(gateway);
    }
}
