//! `run`: the whole journey over stdio for one server that was typed.

use std::io::Read;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::connecting::Connection;
use crate::gateway::{Gateway, fixture, home_with_fixture, processes, wait_until_gone};
use crate::home::Home;
use crate::people::Person;

/// A client of `run`, with the fixture in a cell if this machine has any for that person.
fn run(person: Person, home: &Home, options: &[&str]) -> Connection {
    let program = fixture().display().to_string();
    Connection::start(person.command(home, &[&["run"], options, &["--", &program, "--stdio"]].concat()))
}

fn echo(connection: &mut Connection, message: &str) -> Value {
    connection.ask("tools/call", json!({"name": "echo", "arguments": {"message": message}}))
}

/// All records of an installation, which must be numbered without a gap.
#[track_caller]
fn records(root: &Path) -> Vec<Value> {
    let mut segments: Vec<_> = std::fs::read_dir(root.join("data/records"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    segments.sort();
    let lines = segments.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    records
}

#[test]
fn one_server_makes_the_whole_journey_without_a_gateway() {
    for person in Person::with_cells() {
        let home = person.home();
        let mut connection = run(person, &home, &["-v"]);
        assert_eq!(connection.initialize()["result"]["protocolVersion"], "2025-11-25");
        assert_eq!(echo(&mut connection, "hi")["result"]["content"][0]["text"], "hi");
        // What the schema forbids never reaches the server.
        let wrong = connection.ask("tools/call", json!({"name": "echo", "arguments": {"message": 7}}));
        assert!(wrong.to_string().contains("CM1"), "{wrong}");
        let hidden = connection.ask("tools/call", json!({"name": "env", "arguments": {}}));
        assert!(!hidden.to_string().contains("CASEMATE_HOME"), "{hidden}");
        let (code, stderr) = connection.close();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("casemate: full cell ("), "{stderr}");

        let records = records(&home.root());
        let call = records.iter().find(|record| record["name"] == "echo").unwrap();
        assert_eq!(call["server"], "casemate-fixture");
        assert_eq!(call["endpoint"], "/servers/casemate-fixture/mcp");
        assert!(records.iter().any(|record| record["result"] == "refused"), "{records:?}");
    }
}

#[test]
fn many_at_once_and_a_gateway_write_one_log() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let home = home_with_fixture("");
    let mut gateway = Gateway::start(&home);
    let called = || home.run(&["call", "fixture", "echo", r#"{"message":"gateway"}"#]);
    let mut connections: Vec<Connection> = (0..4).map(|_| run(person, &home, &[])).collect();
    for connection in &mut connections {
        connection.initialize();
    }
    std::thread::scope(|scope| {
        for connection in &mut connections {
            scope.spawn(|| (0..20).for_each(|_| drop(echo(connection, "run"))));
        }
        scope.spawn(|| (0..3).for_each(|_| drop(called().ok())));
    });
    for connection in connections {
        assert_eq!(connection.close().0, Some(0));
    }
    // A gateway that starts anew goes on where the others were.
    home.run(&["down"]).ok();
    gateway.wait();
    let _again = Gateway::start(&home);
    called().ok();
    let echoed = records(&home.root()).iter().filter(|record| record["name"] == "echo").count();
    assert_eq!(echoed, 4 * 20 + 4);
}

#[test]
fn a_server_that_dies_is_started_again_and_the_client_sees_one_session() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let home = person.home();
    let mut connection = run(person, &home, &[]);
    connection.initialize();
    echo(&mut connection, "before");
    connection.ask("tools/call", json!({"name": "crash", "arguments": {}}));
    assert_eq!(echo(&mut connection, "after")["result"]["content"][0]["text"], "after");
    assert_eq!(connection.close().0, Some(0));
}

#[test]
fn nothing_stays_behind_however_it_ends() {
    for person in Person::with_cells() {
        for (signal, code) in
            [(Signal::TERM, Some(128 + 15)), (Signal::INT, Some(128 + 2)), (Signal::KILL, None)]
        {
            let home = person.home();
            // The home is part of the command line, so that it can be told from others.
            let mark = home.path().join("mark").display().to_string();
            let program = fixture().display().to_string();
            let script = format!("{program} --stdio; # {mark}");
            let arguments = ["run", "--read", &program, "--", "sh", "-c", &script];
            let mut connection = Connection::start(person.command(&home, &arguments));
            connection.initialize();
            echo(&mut connection, "hi");
            assert!(processes(&format!("sh -c {script}")).len() > 1, "the program and its cell");
            kill_process(Pid::from_raw(connection.child.id().cast_signed()).unwrap(), signal).unwrap();
            assert_eq!(connection.child.wait().unwrap().code(), code);
            wait_until_gone(&mark);
        }
    }
}

#[test]
fn what_the_server_complains_about_is_shown_to_the_client() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let home = person.home();
    let program = fixture().display().to_string();
    let script = format!("echo a complaint >&2; exec {program} --stdio");
    let arguments = ["run", "--read", &program, "--name", "shell", "--", "sh", "-c", &script];
    let mut connection = Connection::start(person.command(&home, &arguments));
    connection.initialize();
    echo(&mut connection, "hi");
    assert_eq!(connection.close(), (Some(0), "a complaint\n".to_owned()));
}

#[test]
fn a_server_that_cannot_be_run_is_told_at_once() {
    let home = home_with_fixture("");
    let refused = |arguments: &[&str]| {
        let mut connection = Connection::start(home.command(&[&["run"], arguments].concat()));
        let mut said = String::new();
        connection.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (connection.child.wait().unwrap().code(), said)
    };
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--", "no-such-program"], 125, "no program is called"),
        (&["--read", "/etc", "--", "true"], 2, "command line: --read: \"/etc\" is a top folder"),
        (&["--read", "/no/such/folder", "--", "true"], 2, "/no/such/folder cannot be granted"),
        (&["--memory", "5", "--", "true"], 2, "--memory: \"5\" is not a size"),
        (&["--network", "example.org", "--", "true"], 2, "example.org"),
        (&["--network", "example.org:443", "--light", "--", "true"], 2, "cannot be used with"),
        (&["--env", "UNSET", "--", "true"], 2, "the variable UNSET is not set"),
        (&["--name", "fixture", "--", "true"], 2, "`casemate connect --server fixture`"),
    ];
    for (arguments, code, said) in cases {
        let (ended, stderr) = refused(arguments);
        assert_eq!(ended, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    home.write("cm/casemate.toml", "[servers.a]\ncommand = 7\n");
    let (ended, stderr) = refused(&["--", "true"]);
    assert_eq!(ended, Some(3), "{stderr}");
    assert!(stderr.contains("casemate.toml:2:"), "{stderr}");
}
