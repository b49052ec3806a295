//! Roles and policies, checked and tried from the command line, without a gateway.

use expect_test::expect;
use serde_json::Value;

use crate::home::Home;

const CONFIGURATION: &str = "[roles.dev]\nallow = [\"git\"]\n\n[servers.git]\ncommand = \"git-server\"\n";

const POLICY: &str = r#"@id("main is closed")
forbid (principal, action == Action::"call", resource == Tool::"git/push")
when { context.arguments has branch && context.arguments.branch == "main" };

// must deny: dev call git/push {"branch": "main"}
// must allow: dev call git/push {"branch": "dev"}
"#;

fn home() -> Home {
    let home = Home::new();
    home.write("cm/casemate.toml", CONFIGURATION);
    home.write("cm/policy/work.cedar", POLICY);
    home
}

#[test]
fn a_policy_is_checked_tested_and_explained() {
    let home = home();
    assert!(home.run(&["policy", "check"]).ok().contains("2 examples"));
    assert!(home.run(&["policy", "test"]).ok().contains("2 examples come out as they must"));
    let explain = |branch: &str| {
        let arguments = format!("{{\"branch\": \"{branch}\"}}");
        home.run(&["policy", "explain", "--json", "--role", "dev", "call", "git/push", &arguments])
    };
    let denied = explain("main");
    assert_eq!(denied.code, Some(6), "{}", denied.shown());
    let denied: Value = serde_json::from_str(&denied.stdout).unwrap();
    assert_eq!(denied["effect"], "deny");
    assert_eq!(denied["rules"][0]["id"], "policy/work.cedar: main is closed");
    let allowed: Value = serde_json::from_str(&explain("dev").ok()).unwrap();
    assert_eq!(allowed["rules"][0]["id"], "role dev: allow git");
    assert!(allowed["rules"][0]["policy"].as_str().unwrap().contains("permit"), "{allowed}");
}

#[test]
fn a_wrong_policy_is_told_with_file_line_and_hint() {
    let home = home();
    let wrong = POLICY.replace("must allow", "must deny").replace("Tool::\"git/push\"", "Tool::\"gti/push\"");
    home.write("cm/policy/work.cedar", &wrong);
    let told = home.run(&["policy", "check"]).shown();
    assert!(told.contains("policy/work.cedar:1:1") && told.contains("there is no server \"gti\""), "{told}");
    assert!(told.starts_with("exit 3"), "{told}");
    home.write("cm/policy/work.cedar", &POLICY.replace("must allow", "must deny"));
    let told = home.run(&["policy", "test"]).shown();
    assert!(told.contains("policy/work.cedar:6:1") && told.contains("the example must deny"), "{told}");
}

#[test]
fn recorded_calls_are_judged_anew_with_a_candidate() {
    let home = home();
    let id = {
        home.run(&["key", "create", "--role", "dev"]).ok();
        let keys: Value = serde_json::from_str(&home.run(&["key", "list", "--json"]).ok()).unwrap();
        keys[0]["id"].as_str().unwrap().to_owned()
    };
    let record = |seq: usize, subject: &str, method: &str, name: &str| {
        format!(
            "{{\"call\":\"c{seq}\",\"effect\":\"allow\",\"kind\":\"intent\",\"method\":\"{method}\",\"name\":\"{name}\",\
             \"seq\":{seq},\"server\":\"git\",\"subject\":\"{subject}\",\"time\":\"2026-11-28T19:00:00.000Z\"}}\n"
        )
    };
    let key = format!("key:{id}");
    let log = [
        record(1, &key, "tools/call", "status"),
        record(2, &key, "tools/call", "status"),
        record(3, &key, "tools/call", "push"),
        record(4, &key, "prompts/get", "review"),
        record(5, "key:gone", "tools/call", "status"),
        record(6, "local:1000", "tools/call", "status"),
        record(7, &key, "tools/list", ""),
    ];
    home.write("cm/data/records/records-000000000001-2026-11-28.jsonl", &log.concat());
    home.write("new/casemate.toml", &CONFIGURATION.replace("\"git\"]", "\"git\"]\ndeny = [\"git/status\"]"));
    home.write("new/policy/work.cedar", POLICY);
    let candidate = home.root().parent().unwrap().join("new/casemate.toml");
    let told = home.run(&["policy", "simulate", "--json", "--candidate", candidate.to_str().unwrap()]);
    let told: Value = serde_json::from_str(&told.ok()).unwrap();
    assert_eq!(told["judged"], 6, "{told}");
    assert_eq!(told["unchanged"], 2, "{told}");
    assert_eq!(told["changed"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told["changed"][0]["calls"], 2);
    assert_eq!(told["changed"][0]["after"], "deny");
    let unknown = told["unknown"].as_object().unwrap();
    assert_eq!(unknown.values().filter_map(Value::as_u64).sum::<u64>(), 2, "{told}");
    let unchanged = home.run(&["policy", "simulate"]).ok();
    expect![[r#"
        judged: 6 recorded calls, 4 unchanged, 0 changed
        unknown: 1 calls that hang on arguments or circumstances
        unknown: 1 subjects that are gone
    "#]]
    .assert_eq(&unchanged);
}
