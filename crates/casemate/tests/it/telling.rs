//! What is said where something does not work: each of these was a riddle once.

use expect_test::expect;
use serde_json::{Value, json};

use crate::gateway::{Gateway, fixture, home_with_fixture};
use crate::home::{Ended, Home};

/// A server that describes its tool otherwise once it was called, one that takes another's name, and one that never starts.
fn home() -> Home {
    let home = Home::new();
    let program = fixture().display().to_string();
    let server =
        |name: &str, rest: &str| format!("[servers.{name}]\ncommand = [{program:?}, \"--stdio\"{rest}]\n");
    home.write(
        "cm/casemate.toml",
        &[
            server("bank", ", \"--era\", \"dual\""),
            server("turncoat", ", \"--hostile\", \"mutates\", \"--after\", \"1\""),
            server("pretender", ", \"--hostile\", \"claims-tools\", \"--claim\", \"bank__pay\""),
            "[servers.gone]\ncommand = [\"nosuchprogram\"]\n".to_owned(),
            server("off", "") + "enabled = false\n",
        ]
        .concat(),
    );
    home
}

#[track_caller]
fn json(ended: Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.shown()))
}

fn call(home: &Home, server: &str, tool: &str) -> Ended {
    home.run(&["call", server, tool, "{}"])
}

/// The state of a server, as `list --json` has it.
fn state(home: &Home, server: &str) -> Value {
    let list = json(home.run(&["list", "--json"]));
    let all = list["servers"].as_array().unwrap();
    all.iter().find(|one| one["name"] == server).unwrap()["state"].clone()
}

#[test]
fn a_tool_that_changed_vanished_without_a_word() {
    let home = home();
    let _gateway = Gateway::start(&home);
    call(&home, "turncoat", "strike").ok();
    while call(&home, "turncoat", "strike").code != Some(6) {}

    let why = "tool:strike is blocked: it has changed since it was approved; `casemate pin review turncoat`";
    let list = home.run(&["list"]).ok();
    assert!(list.contains(&format!("turncoat: {why}")), "{list}");
    let show = home.run(&["show", "turncoat"]).ok();
    assert!(show.contains(why), "{show}");
    let blocked =
        json!([{"item": "tool:strike", "why": "it has changed since it was approved", "code": "CM1505"}]);
    assert_eq!(state(&home, "turncoat")["blocked"], blocked);
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("note  server: turncoat: tool:strike is blocked"), "{doctor}");

    call(&home, "bank", "echo");
    home.run(&["quarantine", "add", "tool:bank/echo", "--reason", "it is loud"]).ok();
    let list = home.run(&["list"]).ok();
    let why = "bank: tool:echo is blocked: it is in quarantine: it is loud; `casemate quarantine lift tool:bank/echo`";
    assert!(list.contains(why), "{list}");
    home.run(&["quarantine", "add", "server:bank", "--reason", "all of it"]).ok();
    let show = home.run(&["show", "bank"]).ok();
    assert!(show.contains("all of it. `casemate quarantine lift server:bank` lets it go."), "{show}");
    assert!(!show.contains("tool:echo is blocked"), "the server says it for all of its tools: {show}");
    assert_eq!(state(&home, "bank")["quarantine"]["reason"], "all of it");
}

#[test]
fn who_asked_for_a_server_that_did_not_start_was_sent_to_an_empty_log() {
    let home = home();
    let _gateway = Gateway::start(&home);
    assert_eq!(state(&home, "gone")["state"], "idle");
    expect![[r#"
        exit 1
        --- stderr
        error: The server gone could not be started. (CM1701)
          because: the server did not start: no program is called "nosuchprogram"
        hint: install it, or give its absolute path; a server does not see the PATH of your shell
        hint: `casemate explain CM1701` says more
    "#]]
    .assert_eq(&call(&home, "gone", "x").shown());
    let show = home.run(&["show", "gone"]);
    assert!(show.stderr.is_empty(), "{}", show.shown());
    assert!(show.stdout.contains("it did not start (see its last error)"), "{}", show.shown());
    assert!(show.stdout.contains("\n  hint: install it, or give its absolute path"), "{}", show.shown());
    let logs = home.run(&["logs", "gone"]);
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        ("", "gone: nothing was written to stderr yet\n")
    );

    home.run(&["stop", "bank"]).ok();
    assert_eq!(state(&home, "bank")["state"], "stopped");
    assert!(home.run(&["list"]).ok().contains("stopped by you"));
    let refused = call(&home, "bank", "echo");
    assert!(refused.stderr.contains("hint: `casemate start bank` starts it again"), "{}", refused.shown());
    assert!(!refused.stderr.contains("casemate logs"), "{}", refused.shown());
}

#[test]
fn a_server_that_waits_for_a_secret_was_idle_without_a_word() {
    let home = Home::new();
    let program = fixture().display().to_string();
    home.write(
        "cm/casemate.toml",
        &format!("[servers.bank]\ncommand = [{program:?}, \"--stdio\"]\nenv.TOKEN = \"secret:BANK_TOKEN\"\n"),
    );
    let _gateway = Gateway::start(&home);
    let hint = "hint: `casemate secret set BANK_TOKEN` sets it";
    let list = home.run(&["list"]).ok();
    assert!(list.contains("bank: the server bank is not started without the secret BANK_TOKEN"), "{list}");
    assert!(list.contains(hint), "{list}");
    let refused = call(&home, "bank", "echo");
    assert!(refused.stderr.contains("(CM1710)") && refused.stderr.contains(hint), "{}", refused.shown());
}

#[test]
fn a_wrong_letter_and_a_disabled_server_were_no_such_endpoint() {
    let home = home();
    let _gateway = Gateway::start(&home);
    expect![[r#"
        exit 1
        --- stderr
        error: no server called turncaot is configured (CM1003)
        hint: did you mean turncoat? `casemate list` shows all of them
        hint: `casemate explain CM1003` says more
    "#]]
    .assert_eq(&call(&home, "turncaot", "x").shown());
    for command in ["show", "start", "stop", "logs", "remove", "enable", "disable"] {
        let refused = home.run(&[command, "turncaot"]);
        assert!(refused.stderr.contains("did you mean turncoat?"), "{command}: {}", refused.shown());
    }
    for refused in [call(&home, "off", "x"), home.run(&["start", "off"])] {
        assert!(refused.stderr.contains("the server off is disabled"), "{}", refused.shown());
        assert!(refused.stderr.contains("`casemate enable off`"), "{}", refused.shown());
    }
    let unknown = call(&home, "bank", "ecoh");
    assert!(unknown.stderr.contains("`casemate show bank` lists its tools"), "{}", unknown.shown());
}

#[test]
fn what_a_rule_refused_had_exit_codes_of_three_kinds() {
    let home = home();
    let _gateway = Gateway::start(&home);
    let claimed = call(&home, "pretender", "bank__pay");
    assert_eq!(claimed.code, Some(6), "{}", claimed.shown());
    assert!(claimed.stderr.contains("  because: \"bank__pay\" begins like"), "{}", claimed.shown());
    let pins = home.run(&["pin", "list", "pretender"]).ok();
    assert!(pins.contains("approved, refused"), "{pins}");
    // The server was never asked, so this is no error of its tool.
    let wrong = home.run(&["call", "bank", "echo", r#"{"message":5}"#]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(1), ""), "{}", wrong.shown());
    assert!(
        wrong.stderr.contains("(CM1501)") && wrong.stderr.contains("`casemate show bank`"),
        "{}",
        wrong.shown()
    );
}

#[test]
fn a_judge_was_said_to_need_what_it_had() {
    let program = fixture().display().to_string();
    let home = home_with_fixture(&format!(
        "[servers.guard]\ncommand = [{program:?}, \"--stdio\", \"--judge\", \"reads\"]\n\
         [interceptors.pii]\nkind = \"validator\"\nserver = \"guard\"\n"
    ));
    let _gateway = Gateway::start(&home);
    let says = "No client sees it: it is the judge of [interceptors.pii].";
    for arguments in [&["show", "guard"][..], &["list"]] {
        let shown = home.run(arguments);
        assert!(shown.stdout.contains(says) && shown.stderr.is_empty(), "{}", shown.shown());
    }
    let refused = call(&home, "guard", "x");
    assert!(refused.stderr.contains("it is the judge of [interceptors.pii]"), "{}", refused.shown());
}

#[test]
fn show_hid_what_matters_behind_forty_defaults() {
    let home = home();
    let _gateway = Gateway::start(&home);
    let set = home.run(&["show", "bank"]).ok();
    let at = |text: &str| set.find(text).unwrap_or_else(|| panic!("{text}: {set}"));
    assert!(at("state:") < at("echo") && at("echo") < at("settings"), "{set}");
    assert!(!set.contains("circuit.failures") && set.contains("`casemate show bank --all`"), "{set}");
    assert!(home.run(&["show", "bank", "--all"]).ok().contains("circuit.failures"));
    assert!(json(home.run(&["show", "bank", "--json"]))["settings"].as_object().unwrap().len() > 30);
}

#[test]
fn packagers_have_no_home() {
    let home = Home::new();
    for arguments in [
        &["explain", "CM1401"][..],
        &["explain"],
        &["man"],
        &["completions", "bash"],
        &["config", "schema"],
        &["help"],
        &["help", "pin"],
    ] {
        let mut command = home.command(arguments);
        command.env_remove("HOME").env_remove("CASEMATE_HOME");
        home.ended(&command.output().unwrap()).ok();
    }
}

#[test]
fn a_command_line_that_lacked_a_word_got_no_word_of_it() {
    let home = Home::new();
    let said = |arguments: &[&str]| {
        let ended = home.run(arguments);
        assert_eq!(ended.code, Some(2), "{}", ended.shown());
        ended.stderr
    };
    assert!(said(&["add", "x"]).contains("hint: a command after `--`"));
    for arguments in [&["add", "x", "python3", "s.py"][..], &["run", "python3", "s.py"]] {
        assert!(said(arguments).contains("put `--` before the command: `-- python3 …`"), "{arguments:?}");
    }
    assert!(said(&["pin", "approve", "x"]).contains("`--all` for everything"));
    assert!(!said(&["tools"]).contains("toolkit"), "what is hidden is not suggested");
    for listen in [":7400", "7400", "localhost:7400"] {
        assert!(said(&["up", "--listen", listen]).contains("like 127.0.0.1:7400"), "{listen}");
    }
    for arguments in [&["--json", "bogus"][..], &["add", "x", "--json"], &["pin", "approve", "--json"]] {
        let line: Value = serde_json::from_str(&said(arguments)).unwrap();
        assert_eq!(line["error"]["exit"], 2, "{line}");
    }
}

#[test]
fn warnings_were_kept_from_scripts() {
    let home = Home::new();
    let ended = home.run(&["add", "x", "--json", "--", "npx", "-y", "unpinned"]);
    let first: Value = serde_json::from_str(ended.stderr.lines().next().unwrap_or_default()).unwrap();
    assert!(first["warning"]["message"].is_string(), "{}", ended.shown());
}

#[test]
fn doctor_called_good_what_could_not_be_looked_at_and_joined_mistakes_without_their_hints() {
    let home = Home::new();
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("note  folder: [HOME]/cm/data does not exist yet"), "{doctor}");
    let file = home.write("file", "");
    let doctor = home.run(&["doctor", "--home", file.join("home").to_str().unwrap()]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.shown());
    assert!(
        doctor.stdout.contains("wrong folder: [HOME]/file/home/data cannot be looked at"),
        "{}",
        doctor.shown()
    );
    assert!(doctor.stdout.contains("wrong keys:"), "{}", doctor.shown());

    home.write("cm/casemate.toml", "[servers.x]\ncomand = [\"a\"]\n[gatway]\n");
    let doctor = home.run(&["doctor"]).stdout;
    assert!(doctor.contains("      hint: did you mean `command`?"), "{doctor}");
}

#[test]
fn an_interceptor_that_nothing_answers_was_all_right_to_doctor() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = home_with_fixture(&format!(
        "[interceptors.pii]\nkind = \"validator\"\nurl = \"http://{free}/judge\"\n"
    ));
    let doctor = home.run(&["doctor"]).stdout;
    assert!(
        doctor.contains(&format!("wrong interceptor: interceptors.pii: {free} takes no connection")),
        "{doctor}"
    );
}
