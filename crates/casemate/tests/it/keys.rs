//! API keys without a gateway.

use std::os::unix::fs::PermissionsExt;

use expect_test::expect;

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
fn no_file_of_an_installation_can_be_read_by_others_or_holds_a_key() {
    let home = Home::new();
    let key = home.run(&["key", "create"]).ok();
    let data = home.root().join("data");
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
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
        hint: there is auditor, operator, owner, user
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
