//! Secrets: kept, given to the servers that name them, replaced and taken away; and never shown.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use expect_test::expect;
use serde_json::Value;

use crate::gateway::{Gateway, home_with_fixture};
use crate::home::Home;

/// Short enough to pass the inspection, which masks longer ones, so that it shows what the server was given.
const VALUE: &str = "xK9-q2z";

/// What the fixture sees of its environment.
fn seen(home: &Home) -> String {
    home.run(&["call", "fixture", "env"]).ok()
}

#[test]
fn a_secret_is_set_before_the_first_start_listed_and_removed_and_its_value_is_never_shown() {
    let home = home_with_fixture("env.TOKEN = \"secret:token\"\n");
    expect![[r#"
        exit 0
        --- stdout
        ok: [HOME]/cm/casemate.toml (1 server)
        --- stderr
        warning: servers.fixture.env.TOKEN: the server fixture is not started without the secret token: it is not set
        hint: `casemate secret set token` sets it
    "#]]
    .assert_eq(&home.run(&["config", "check"]).shown());
    let set = home.run_with(&["secret", "set", "token"], &format!("{VALUE}\n"));
    expect![[r#"
        exit 0
        --- stdout
        token: set
    "#]]
    .assert_eq(&set.shown());
    home.run_with(&["secret", "set", "spare"], "x").ok();
    home.run(&["config", "check"]).ok();

    let listed = home.run(&["secret", "list", "--json"]).ok();
    let list: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&list[0]["name"], &list[1]["name"]), (&"spare".into(), &"token".into()));
    assert_eq!(list[1]["used_by"][0], "servers.fixture.env.TOKEN");
    assert_eq!((&list[1]["version"], &list[1]["age_days"]), (&1.into(), &0.into()));
    assert_eq!(list[0]["used_by"].as_array().unwrap().len(), 0);
    let others =
        [home.run(&["secret", "list"]), home.run(&["config", "explain", "servers"]), home.run(&["list"])];
    assert!(others.iter().all(|ended| !ended.shown().contains(VALUE)) && !listed.contains(VALUE));

    expect![[r#"
        exit 0
        --- stdout
        token: removed
        --- stderr
        warning: it is used by servers.fixture.env.TOKEN, whose servers are not started without it
        hint: `casemate secret set token` sets it again
    "#]]
    .assert_eq(&home.run(&["secret", "remove", "token"]).shown());
    expect![[r#"
        exit 1
        --- stderr
        error: there is no secret `token`
        hint: `casemate secret list` shows those that there are
    "#]]
    .assert_eq(&home.run(&["secret", "remove", "token"]).shown());
    let list: Value = serde_json::from_str(&home.run(&["secret", "list", "--json"]).ok()).unwrap();
    assert_eq!((&list[1]["name"], &list[1]["set"]), (&"token".into(), &Value::Null), "named, and not there");
}

#[test]
fn a_running_gateway_has_a_secret_as_soon_as_it_is_set_and_not_longer_than_it_is_kept() {
    let home = home_with_fixture("env.TOKEN = \"secret:token\"\n");
    let _gateway = Gateway::start(&home);
    let refused = home.run(&["call", "fixture", "env"]);
    expect![[r#"
        exit 1
        --- stderr
        error: The server fixture is not started, since its entry names the secret token: it is not set. (CM1710)
        hint: `casemate secret set token` sets it
        hint: `casemate explain CM1710` says more
    "#]]
    .assert_eq(&refused.shown());

    home.run_with(&["secret", "set", "token"], VALUE).ok();
    assert!(seen(&home).contains(VALUE));
    home.run_with(&["secret", "set", "token"], "other-1").ok();
    assert!(seen(&home).contains("other-1") && !seen(&home).contains(VALUE));
    home.run(&["secret", "rotate"]).ok();
    home.run_with(&["secret", "set", "token"], "third-1").ok();
    assert!(seen(&home).contains("third-1"), "after the key was replaced under the gateway");
    home.run_with(&["secret", "set", "token"], "correct-horse-battery-staple").ok();
    assert!(!seen(&home).contains("battery"), "what a server is given it cannot show to anybody");
    home.run(&["secret", "remove", "token"]).ok();
    assert!(home.run(&["call", "fixture", "env"]).shown().contains("CM1710"));
    let acts = home.acts().into_iter().filter(|(act, _)| act.starts_with("secret "));
    let acts: Vec<String> = acts.map(|(act, _)| act).collect();
    let (set, rotate) = ("secret set token", "secret rotate key of the secrets");
    assert_eq!(acts, [set, set, rotate, set, set, "secret remove token"]);
    for file in ["up.log", "cm/casemate.toml"] {
        assert!(!home.read(file).contains(VALUE), "{file}");
    }
    for folder in ["data", "data/records"] {
        for file in fs::read_dir(home.root().join(folder)).unwrap().map(|file| file.unwrap().path()) {
            let holds = |text: &[u8]| text.windows(VALUE.len()).any(|window| window == VALUE.as_bytes());
            assert!(file.is_dir() || !holds(&fs::read(&file).unwrap()), "{}", file.display());
        }
    }
}

#[test]
fn one_unset_variable_or_unreadable_file_took_all_servers_down() {
    let home = home_with_fixture(
        "[servers.github]\ncommand = \"x\"\nenv.GITHUB_TOKEN = \"env:NOPE_TOKEN\"\n\
         [servers.wiki]\nurl = \"http://127.0.0.1:9/mcp\"\nheaders.Authorization = \"file:keys/wiki\"\n\
         [interceptors.pii]\nkind = \"validator\"\nurl = \"http://127.0.0.1:9/ask\"\nfail = \"open\"\n\
         servers = [\"github\"]\nheaders.X-Api-Key = \"env:NOPE_TOKEN\"\n",
    );
    expect![[r#"
        exit 0
        --- stdout
        ok: [HOME]/cm/casemate.toml (3 servers)
        --- stderr
        warning: servers.github.env.GITHUB_TOKEN: the server github is not started without the secret env:NOPE_TOKEN: this environment variable is not set
        hint: set NOPE_TOKEN where casemate is started, or keep the value in Casemate: `casemate secret set NOPE_TOKEN`, and "secret:NOPE_TOKEN" refers to it
        warning: servers.wiki.headers.Authorization: the server wiki is not started without the secret file:wiki: this file cannot be read: No such file or directory (os error 2)
        hint: put the value into that file, whose relative path starts at the folder of the configuration; a running gateway reads it when it gets SIGHUP
        warning: interceptors.pii.headers.X-Api-Key names the secret env:NOPE_TOKEN: this environment variable is not set; until it is there nobody is asked, and `fail` says what that means
    "#]].assert_eq(&home.run(&["config", "check"]).shown());
    let _gateway = Gateway::start(&home);
    assert!(seen(&home).contains("PATH"), "the others run");
    expect![[r#"
        exit 1
        --- stderr
        error: The server github is not started, since its entry names the secret env:NOPE_TOKEN: this environment variable is not set. (CM1710)
        hint: set NOPE_TOKEN where casemate is started, or keep the value in Casemate: `casemate secret set NOPE_TOKEN`, and "secret:NOPE_TOKEN" refers to it
        hint: `casemate explain CM1710` says more
    "#]].assert_eq(&home.run(&["call", "github", "x"]).shown());
    expect![[r#"
        exit 1
        --- stderr
        error: The server wiki is not started, since its entry names the secret file:wiki: this file cannot be read: No such file or directory (os error 2). (CM1710)
        hint: put the value into that file, whose relative path starts at the folder of the configuration; a running gateway reads it when it gets SIGHUP
        hint: `casemate explain CM1710` says more
    "#]].assert_eq(&home.run(&["call", "wiki", "x"]).shown());
    let log = home.read("up.log");
    for told in [
        "servers.github.env.GITHUB_TOKEN",
        "servers.wiki.headers.Authorization",
        "interceptors.pii.headers.X-Api-Key",
        "casemate secret set NOPE_TOKEN",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
    let added = home.run(&["add", "gitlab", "--env", "A=env:ALSO_NOPE", "--", "true"]).shown();
    assert!(added.contains("servers.gitlab.env.A: the server gitlab is not started without"), "{added}");
    home.run(&["remove", "gitlab"]).ok();
    home.write("cm/keys/wiki", "Bearer x\n");
    let check = home.run(&["config", "check"]).shown();
    assert!(!check.contains("wiki") && check.contains("github"), "{check}");
}

#[test]
fn a_value_is_no_argument_and_a_name_is_plain() {
    let home = Home::new();
    assert_eq!(home.run(&["secret", "set", "token", VALUE]).code, Some(2));
    let refused = home.run(&["secret", "set", "no name"]);
    assert_eq!(refused.code, Some(2), "{}", refused.shown());
    let empty = home.run_with(&["secret", "set", "token"], "\n");
    expect![[r#"
        exit 1
        --- stderr
        error: a secret has 1 to 65536 bytes, and no NUL character
    "#]]
    .assert_eq(&empty.shown());
    assert_eq!(home.run_with(&["secret", "set", "token"], &"x".repeat((64 << 10) + 5)).code, Some(1));
    assert!(home.run(&["secret", "list"]).ok().starts_with("There are no secrets."));
}

#[test]
fn a_key_file_that_others_can_read_or_that_is_a_link_is_refused() {
    let home = Home::new();
    home.run_with(&["secret", "set", "token"], VALUE).ok();
    let key = home.root().join("data/secrets.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    expect![[r#"
        exit 1
        --- stderr
        error: [HOME]/cm/data/secrets.key has mode 0644, so other users may get at it
        hint: chmod 0600 [HOME]/cm/data/secrets.key
    "#]]
    .assert_eq(&home.run_with(&["secret", "set", "other"], "x").shown());
    assert_ne!(home.run(&["up", "--listen", "127.0.0.1:0"]).code, Some(0), "nor does a gateway use it");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let moved = home.path().join("moved.key");
    fs::rename(&key, &moved).unwrap();
    symlink(&moved, &key).unwrap();
    assert!(home.run_with(&["secret", "set", "other"], "x").shown().contains("is not a plain file"));
}

#[test]
fn with_a_passphrase_the_gateway_gets_it_from_a_file_and_without_it_only_the_users_wait() {
    let home = home_with_fixture("env.TOKEN = \"secret:token\"\n[servers.system]\nbuiltin = \"system\"\n");
    home.run_with(&["secret", "set", "token"], VALUE).ok();
    let passphrase = home.write("passphrase", "open sesame\n");
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("CASEMATE_PASSPHRASE_FILE", &passphrase);
        command
    };
    let rotated = home.ended(&with(&["secret", "rotate", "--keep", "passphrase"]).output().unwrap());
    assert_eq!(rotated.ok(), "The key was replaced; values sealed anew: 1.\n");

    let gateway = Gateway::start_by(&home, with(&["up", "--listen", "127.0.0.1:0", "--json"]));
    assert!(seen(&home).contains(VALUE));
    drop(gateway);

    // Without it, and without a terminal to ask on.
    let mut command = home.command(&["up", "--listen", "127.0.0.1:0", "--json"]);
    command.env("CASEMATE_PASSPHRASE_FILE", "");
    let gateway = Gateway::start_by(&home, in_new_session(command));
    let refused = home.run(&["call", "fixture", "env"]).shown();
    assert!(refused.contains("CM1710") && refused.contains("locked"), "{refused}");
    home.run(&["call", "system", "get_memory_stats"]).ok();
    drop(gateway);

    fs::write(&passphrase, "open barley\n").unwrap();
    let wrong = home.ended(&with(&["up", "--listen", "127.0.0.1:0"]).output().unwrap());
    assert!(wrong.shown().contains("the passphrase does not open"), "{}", wrong.shown());
}

/// The command in a session of its own, which has no terminal.
fn in_new_session(command: std::process::Command) -> std::process::Command {
    let mut setsid = std::process::Command::new("setsid");
    setsid.arg(command.get_program()).args(command.get_args()).env_clear();
    setsid.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    setsid
}
