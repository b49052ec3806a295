//! `run --raw` and `sandbox probe`: cells by hand.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use casemate_sandbox::{Host, Kind, Layer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::home::{CASEMATE, Ended, Home, skipped};
use crate::people::Person;

fn raw(person: Person, home: &Home, arguments: &[&str]) -> Ended {
    home.ended(&person.command(home, &[&["run", "--raw"], arguments].concat()).output().unwrap())
}

#[test]
fn the_host_is_probed_by_making_cells() {
    for person in Person::all() {
        let home = person.home();
        let output = person.command(&home, &["sandbox", "probe", "--json"]).output().unwrap();
        let probe: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.success(), probe["full"]["possible"], "{probe}");
        assert_eq!(probe["layers"].as_array().unwrap().len(), Layer::ALL.len());
        if person == Person::Us {
            assert_eq!(probe["landlock"], serde_json::to_value(Host::probe().landlock).unwrap());
        }
        for kind in [Kind::Full, Kind::Light] {
            let kind = kind.as_str();
            if probe[kind]["possible"] == true {
                let refused =
                    probe["layers"].as_array().unwrap().iter().filter(|row| row[kind] == "no").count();
                // Landlock alone may be missing.
                assert!(refused <= 1, "{probe}");
            } else {
                assert_ne!(probe["obstacles"], serde_json::json!([]), "{probe}");
            }
        }
    }
}

#[test]
fn a_host_without_user_namespaces_says_what_to_change() {
    let home = Home::new();
    let script = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {} sandbox probe", CASEMATE);
    let output = std::process::Command::new("unshare").args(["-Ur", "sh", "-c", &script]).output().unwrap();
    let ended = home.ended(&output);
    if ended.stdout.is_empty() {
        skipped(&format!("this machine forbids them already: {}", ended.stderr));
        return;
    }
    assert_eq!(ended.code, Some(1), "{}", ended.shown());
    assert!(ended.stdout.starts_with("full cells   no "), "{}", ended.shown());
    assert!(ended.stdout.contains("hint: allow user namespaces"), "{}", ended.shown());
}

/// In a container whose root is the only user there is, a server of root's cannot be given an account. What was told was
/// a broken pipe.
#[test]
fn root_of_a_world_without_other_users_is_told_the_true_reason() {
    let home = Home::new();
    for (options, reason, remedy) in [
        (
            &["--raw"][..],
            "gets no cell: identity: user and group 1000 inside",
            "run casemate as an ordinary user",
        ),
        (&["--raw", "--light"], "a folder of its own cannot be made", "run casemate as an ordinary user"),
    ] {
        let mut command = std::process::Command::new("unshare");
        command.args(["-Ur", CASEMATE, "run"]).args(options).args(["--", "true"]);
        let ended = home.ended(&command.env("CASEMATE_HOME", home.root()).output().unwrap());
        if ended.stderr.starts_with("unshare:") {
            return skipped(&format!("this machine has no user namespaces: {}", ended.stderr));
        }
        assert_eq!(ended.code, Some(125), "{}", ended.shown());
        assert!(ended.stderr.contains(reason) && ended.stderr.contains(remedy), "{}", ended.shown());
        assert!(!ended.stderr.contains("Broken pipe"), "{}", ended.shown());
    }
}

#[test]
fn streams_and_the_exit_code_pass_through() {
    for person in Person::with_cells() {
        let home = person.home();
        let mut command =
            person.command(&home, &["run", "--raw", "--", "sh", "-c", "cat; echo complaint >&2; exit 7"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // More than pipes hold, so that it has to flow.
        let text = "0123456789abcdef".repeat(1 << 16);
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(text.as_bytes()).unwrap());
            child.wait_with_output().unwrap()
        });
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(output.stdout.len(), 16 << 16);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "complaint\n");
    }
}

#[test]
fn signals_are_passed_on_and_one_that_ends_the_command_is_told() {
    for person in Person::with_cells() {
        let home = person.home();
        let script = "trap 'echo reloaded' HUP; echo ready; while true; do sleep 0.01; done";
        let mut command = person.command(&home, &["run", "--raw", "--", "sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(pid, Signal::HUP).unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "reloaded");
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    }
}

#[test]
fn nothing_is_seen_but_what_is_granted() {
    for person in Person::with_cells() {
        let home = person.home();
        home.write("granted/file", "seen");
        home.write("secret", "hidden");
        let [granted, secret] =
            ["granted", "secret"].map(|name| home.path().join(name).display().to_string());
        // For whatever user the server is.
        std::fs::set_permissions(&granted, Permissions::from_mode(0o777)).unwrap();
        let script =
            format!("cat {granted}/file; cat {secret}; touch {granted}/new; echo ${{TOKEN-none}} $GIVEN");
        let shell = ["sh", "-c", &script];

        let with = |options: &[&str]| {
            let mut command = person.command(&home, &[&["run", "--raw"], options, &["--"], &shell].concat());
            home.ended(&command.env("TOKEN", "ours").output().unwrap())
        };
        let read = with(&["--read", &granted, "--env", "GIVEN=this"]);
        assert_eq!(read.stdout, "seennone this\n", "{}", read.shown());
        assert!(read.stderr.contains("Read-only file system"), "{}", read.shown());
        assert!(!home.path().join("granted/new").exists());

        let written = with(&["--write", &granted, "--env", "TOKEN"]);
        assert_eq!(written.stdout, "seenours\n", "{}", written.shown());
        assert!(home.path().join("granted/new").exists());

        let open = with(&["--allow-unsandboxed"]);
        assert_eq!(open.stdout, "seenhiddennone\n", "{}", open.shown());
    }
}

#[test]
fn a_command_that_is_given_a_file_which_it_does_not_see_has_a_hint() {
    let home = Home::new();
    let script = home.write("tool/run.sh", "echo it ran; cat neighbor").display().to_string();
    home.write("tool/neighbor", "and saw\n");
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let blind = raw(person, &home, &["--", "sh", &script]);
    assert_ne!(blind.code, Some(0));
    assert!(
        blind.stderr.contains("warning: [HOME]/tool/run.sh is not seen in the cell"),
        "{}",
        blind.shown()
    );
    assert!(blind.stderr.contains("hint: `--read [HOME]/tool/run.sh`"), "{}", blind.shown());
}

#[test]
fn relative_paths_mean_what_they_mean_outside_where_that_is_seen() {
    for person in Person::with_cells() {
        let home = person.home();
        home.write("tool/run.sh", "#!/bin/sh\ncat neighbor\n");
        home.write("tool/neighbor", "here\n");
        let folder = home.path().join("tool");
        let run = |options: &[&str]| {
            let mut command = person.command(&home, &[&["run", "--raw"], options].concat());
            home.ended(&command.current_dir(&folder).output().unwrap())
        };
        assert_eq!(run(&["--read", ".", "--", "sh", "./run.sh"]).ok(), "here\n");
        assert_eq!(run(&["--", "sh", "-c", "pwd"]).ok(), "/tmp\n");
    }
}

#[test]
fn what_cannot_be_started_has_an_exit_code_of_its_own() {
    let home = Home::new();
    let person = Person::Us;
    assert_eq!(raw(person, &home, &["--", "no-such-program"]).code, Some(125));
    assert_eq!(raw(person, &home, &["--", "/etc/passwd"]).code, Some(125));
    assert_eq!(raw(person, &home, &["--env", "UNSET", "--", "true"]).code, Some(2));
}

#[test]
fn the_report_is_told_when_it_is_asked_for() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let home = person.home();
    let told = raw(person, &home, &["-v", "--", "true"]);
    assert!(told.stderr.contains("casemate: full cell ("), "{}", told.shown());
    assert_eq!(raw(person, &home, &["--", "true"]).shown(), "exit 0\n");
    let open = raw(person, &home, &["-v", "--allow-unsandboxed", "--", "true"]);
    assert!(open.stderr.contains("casemate: no cell; held together by "), "{}", open.shown());
}
