//! API keys without a gateway.

use std::os::unix::fs::PermissionsExt;

use expect_test::expect;

use crate::gateway::Gateway;
use crate::home::Home;

#[test]
fn a_key_is_created_before_the_first_start_and_stands_alone_on_stdout() {
    let home = Home::new();
    let created = home.run(&["key", "create", "--name", "laptop", "--expires", "90d"]);
    assert_eq!(created.code, Some(0), "{}", created.shown());
    let key = created.stdout.strip_suffix('\n').unwrap();
    assert!(key.starts_with("cm_") && key.len() == 52 && !key.contains(char::is_whitespace), "{key}");
    assert!(created.stderr.contains("only time"), "{}", created.stderr);

    let list = home.run(&["key", "list", "--json"]).ok();
    assert!(!list.contains(key));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["name"], "laptop");
    assert_eq!(list[0]["role"], "user");
    assert_eq!(list[0]["state"], "valid");

    let id = list[0]["id"].as_str().unwrap();
    home.run(&["key", "revoke", id]).ok();
    let list: serde_json::Value = serde_json::from_str(&home.run(&["key", "list", "--json"]).ok()).unwrap();
    assert_eq!(list[0]["state"], "revoked");
}

#[test]
fn who_made_and_who_revoked_a_key_is_on_record_with_or_without_a_gateway_and_the_key_is_not() {
    let home = Home::new();
    let scope = ["--scope", "git/get_*", "--scope", "wiki"];
    let arguments = ["key", "create", "--name", "ci; role: owner", "--expires", "2037-01-31"];
    let key = home.run(&[&arguments[..], &scope[..]].concat()).ok();
    let gateway = Gateway::start(&home);
    let other = home.run(&["key", "create", "--role", "auditor", "--json"]).ok();
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    let id = other["id"].as_str().unwrap();
    home.run(&["key", "revoke", id]).ok();
    assert_eq!(home.run(&["key", "revoke", "3fd1a2"]).code, Some(1), "what was not done is not on record");
    drop(gateway);
    // Both were made within a moment, so their order is that of their ids.
    let keys = key_list(&home);
    let first = keys.as_array().unwrap().iter().map(|key| &key["id"]).find(|own| *own != id).unwrap();
    let detail = "role: user; scope: git/get_* wiki; expires: 2037-01-31T00:00:00Z; name: ci; role: owner";
    let expected = [
        (format!("key create key:{}", first.as_str().unwrap()), detail.to_owned()),
        (
            format!("key create key:{id}"),
            "role: auditor; scope: all of it; expires: never; name: unnamed".to_owned(),
        ),
        (format!("key revoke key:{id}"), String::new()),
    ];
    assert_eq!(home.acts(), expected);
    let records = format!("{:?}", home.records());
    assert!(!records.contains(&key[3..20]) && !records.contains(other["key"].as_str().unwrap()), "{records}");
}

#[test]
fn the_first_key_is_on_record_too() {
    let home = Home::new();
    drop(Gateway::start(&home));
    let id = key_list(&home)[0]["id"].as_str().unwrap().to_owned();
    let detail = "role: user; scope: all of it; expires: never; name: first";
    assert_eq!(home.acts(), [(format!("key create key:{id}"), detail.to_owned())]);
}

#[test]
fn no_key_is_made_that_cannot_be_recorded_and_every_key_can_be_revoked() {
    let home = Home::new();
    home.run(&["key", "create"]).ok();
    let id = key_list(&home)[0]["id"].as_str().unwrap().to_owned();
    let records = home.root().join("data/records");
    std::fs::set_permissions(&records, std::fs::Permissions::from_mode(0o755)).unwrap();
    let refused = home.run(&["key", "create", "--role", "owner"]);
    assert_ne!(refused.code, Some(0), "{}", refused.shown());
    assert!(
        refused.shown().contains("data/records has mode 0755") && refused.stdout.is_empty(),
        "{}",
        refused.shown()
    );
    let revoked = home.run(&["key", "revoke", &id]);
    assert_eq!(revoked.code, Some(1), "{}", revoked.shown());
    assert!(revoked.shown().contains("done, but that is on no record"), "{}", revoked.shown());
    let keys = key_list(&home);
    assert_eq!(keys.as_array().unwrap().len(), 1);
    assert_eq!(keys[0]["state"], "revoked");
}

fn key_list(home: &Home) -> serde_json::Value {
    serde_json::from_str(&home.run(&["key", "list", "--json"]).ok()).unwrap()
}

#[test]
fn no_file_of_an_installation_can_be_read_by_others_or_holds_a_key() {
    let home = Home::new();
    let key = home.run(&["key", "create"]).ok();
    let data = home.root().join("data");
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let files = |folder: &std::path::Path| -> Vec<_> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let (kept, recorded) = (files(&data), files(&data.join("records")));
    assert!(!kept.is_empty() && !recorded.is_empty());
    for file in kept.into_iter().chain(recorded) {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
        if file.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(20).any(|window| window == &key.as_bytes()[..20]), "{}", file.display());
    }
}

#[test]
fn a_role_that_does_not_exist_is_refused_and_a_configured_one_is_not() {
    let home = Home::new();
    expect![[r#"
        exit 2
        --- stderr
        error: there is no role `reader`
        hint: the roles are auditor, operator, owner, user
    "#]]
    .assert_eq(&home.run(&["key", "create", "--role", "reader"]).shown());
    home.write("cm/casemate.toml", "[roles.reader]\nallow = [\"system\"]\n");
    home.run(&["key", "create", "--role", "reader"]).ok();
}

#[test]
fn an_unknown_key_cannot_be_revoked() {
    expect![[r#"
        exit 1
        --- stderr
        error: there is no key with the id `3fd1a2`
        hint: `casemate key list` shows the ids
    "#]]
    .assert_eq(&Home::new().run(&["key", "revoke", "3fd1a2"]).shown());
}

#[test]
fn data_that_others_may_enter_is_refused() {
    let home = Home::new();
    home.run(&["key", "create"]).ok();
    let data = home.root().join("data");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    expect![[r#"
        exit 3
        --- stderr
        error: the folder [HOME]/cm/data may be entered by other users
        hint: run `chmod 700 [HOME]/cm/data`
    "#]]
    .assert_eq(&home.run(&["key", "list"]).shown());
}
