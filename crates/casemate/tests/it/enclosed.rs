//! Servers of the gateway in their cells: what holds without a word, what is told, and the written ways out.

use casemate_store::records::tail;
use serde_json::{Value, json};

use crate::gateway::{Gateway, fixture, home_with_fixture};
use crate::home::{Ended, Home};

const MESSAGE: &str = r#"{"message":"hi"}"#;

fn json_of(ended: Ended) -> Value {
    serde_json::from_str(&ended.ok()).unwrap()
}

/// The records of a kind about a server, in order.
fn records(home: &Home, kind: &str, server: &str) -> Vec<Value> {
    let lines = tail(&home.root().join("data/records"), 10_000).unwrap();
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind && record["server"] == server).collect()
}

/// Waits for a record that is written when something has ended.
#[track_caller]
fn wait_for_record(home: &Home, kind: &str, server: &str) -> Value {
    for _ in 0..6000 {
        if let Some(record) = records(home, kind, server).pop() {
            return record;
        }
        // The one who writes it knows nobody to tell.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no record of the kind {kind} about {server}");
}

#[test]
fn a_server_of_which_nothing_is_said_runs_in_a_full_cell_and_everybody_can_see_so() {
    let home = home_with_fixture("");
    let _gateway = Gateway::start(&home);
    home.run(&["call", "fixture", "echo", MESSAGE]).ok();

    let list = json_of(home.run(&["list", "--json"]));
    assert_eq!(list["servers"][0]["cell"], "full");
    let shown = json_of(home.run(&["show", "fixture", "--json"]));
    let cell = &shown["state"]["instances"][0]["cell"];
    assert_eq!(cell["cell"], "full");
    let layers = cell["layers"].as_array().unwrap();
    for layer in ["identity", "files", "network", "seccomp", "memory"] {
        assert!(layers.contains(&layer.into()), "{layer}: {layers:?}");
    }
    let text = home.run(&["show", "fixture"]).ok();
    for line in ["in force", "reaches", "limits.memory = 1GiB"] {
        assert!(text.contains(line), "{text}");
    }

    let start = records(&home, "cell-start", "fixture").remove(0);
    assert_eq!((&start["cell"], &start["network"]), (&"full".into(), &json!([])));
    assert_eq!(start["program"], fixture().canonicalize().unwrap().to_str().unwrap());
    home.run(&["stop", "fixture"]).ok();
    let end = wait_for_record(&home, "cell-end", "fixture");
    assert_eq!(end["instance"], start["instance"]);
    assert_eq!(end["limit"], Value::Null);
}

#[test]
fn a_light_cell_is_there_for_the_asking() {
    let home = home_with_fixture("cell = \"light\"\n");
    let _gateway = Gateway::start(&home);
    home.run(&["call", "fixture", "echo", MESSAGE]).ok();
    let start = records(&home, "cell-start", "fixture").remove(0);
    assert_eq!(start["cell"], "light");
    let scratch = start["grants"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|grant| grant.as_str().unwrap().strip_prefix("writable ").map(str::to_owned));
    let scratch = scratch.unwrap();
    assert!(std::path::Path::new(&scratch).is_dir(), "{scratch}");
    home.run(&["stop", "fixture"]).ok();
    wait_for_record(&home, "cell-end", "fixture");
    assert!(!std::path::Path::new(&scratch).exists(), "{scratch}");
}

#[test]
fn a_server_without_a_cell_is_written_out_warned_of_and_recorded() {
    let home = home_with_fixture("allow_unsandboxed = true\n");
    let _gateway = Gateway::start(&home);
    home.run(&["call", "fixture", "echo", MESSAGE]).ok();
    assert_eq!(records(&home, "cell-start", "fixture")[0]["cell"], "none");
    assert!(home.read("up.log").contains("without a cell"), "{}", home.read("up.log"));
    assert_eq!(json_of(home.run(&["list", "--json"]))["servers"][0]["cell"], "none");
    assert!(home.run(&["show", "fixture"]).ok().contains("it may do whatever casemate may"));
    let doctor = home.run(&["doctor"]);
    assert!(doctor.stdout.contains("fixture: runs without a cell"), "{}", doctor.shown());
    assert!(doctor.stdout.contains("remove allow_unsandboxed"), "{}", doctor.shown());
}

#[test]
fn a_server_that_misses_something_is_told_how_to_be_given_it() {
    let home = Home::new();
    // A launcher that lies where nothing is granted.
    let launcher = home.write("tools/launch.sh", &format!("exec {} --stdio\n", fixture().display()));
    let launcher = launcher.canonicalize().unwrap();
    let folder = launcher.parent().unwrap().display().to_string();
    let program = fixture().canonicalize().unwrap().display().to_string();
    let entry = |grants: &str| format!("[servers.one]\ncommand = [\"/bin/sh\", {:?}]\n{grants}", launcher);
    home.write("cm/casemate.toml", &entry(""));
    let _gateway = Gateway::start(&home);
    let refused = home.run(&["start", "one"]);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    for word in ["[servers.one]", "read = [", "casemate sandbox learn one"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.shown());
    }
    home.write("cm/casemate.toml", &entry(&format!("read = [{folder:?}, {program:?}]\n")));
    // Both wait until the gateway has taken over what the file says.
    home.run(&["disable", "one"]).ok();
    home.run(&["enable", "one"]).ok();
    assert_eq!(home.run(&["call", "one", "echo", MESSAGE]).ok(), "hi\n");
}

#[test]
fn a_grant_that_would_show_our_keys_refuses_the_start() {
    let home = Home::new();
    let program = fixture().display().to_string();
    let own = home.path().canonicalize().unwrap().display().to_string();
    home.write(
        "cm/casemate.toml",
        &format!("[servers.one]\ncommand = [{program:?}, \"--stdio\"]\nread = [{own:?}]\n"),
    );
    let _gateway = Gateway::start(&home);
    let refused = home.run(&["start", "one"]);
    assert!(refused.stderr.contains("casemate's own keys and sockets"), "{}", refused.shown());
    assert!(records(&home, "cell-start", "one").is_empty());
}

#[test]
fn a_server_that_floods_its_output_is_ended_by_the_limit_that_is_named() {
    let home = Home::new();
    let program = fixture().display().to_string();
    home.write(
        "cm/casemate.toml",
        &format!(
            "[servers.one]\ncommand = [{program:?}, \"--stdio\", \"--hostile\", \"floods\"]\nlimits.output_rate = \"64KiB\"\n"
        ),
    );
    let _gateway = Gateway::start(&home);
    let refused = home.run(&["call", "one", "strike", "{}"]);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    assert!(refused.stderr.contains("limits.output_rate = 64KiB"), "{}", refused.shown());
    assert!(refused.stderr.contains("CM1709"), "{}", refused.shown());
    let end = wait_for_record(&home, "cell-end", "one");
    assert_eq!(end["limit"], "limits.output_rate = 64KiB");
    // It is not the gateway's end, nor the server's.
    assert_eq!(home.run(&["call", "one", "echo", MESSAGE]).ok(), "hi\n");
}

/// A server that tries to reach something before it serves.
fn launcher(home: &Home, attempts: &str) -> String {
    let path = home.write("tools/launch.sh", &format!("{attempts}\nexec {} --stdio\n", fixture().display()));
    let [folder, program] = [path.parent().unwrap(), &fixture()].map(|path| path.canonicalize().unwrap());
    let command = folder.join("launch.sh");
    format!("[servers.one]\ncommand = [\"/bin/bash\", {command:?}]\nread = [{folder:?}, {program:?}]\n")
}

#[test]
fn what_is_granted_by_name_is_reached_and_all_else_is_refused_and_both_are_recorded() {
    let granted = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = granted.local_addr().unwrap().port();
    let home = Home::new();
    let attempts = format!(
        "exec 3<>/dev/tcp/localhost/{port} && echo hello >&3 && exec 3>&-\n\
         getent hosts denied.example\n\
         (exec 4<>/dev/tcp/192.0.2.1/{port})\n"
    );
    let entry = launcher(&home, &attempts);
    home.write("cm/casemate.toml", &format!("{entry}network = [\"loopback localhost:{port}\"]\n"));
    let _gateway = Gateway::start(&home);
    assert_eq!(home.run(&["call", "one", "echo", MESSAGE]).ok(), "hi\n");
    // Who has served by now has tried before.
    granted.set_nonblocking(true).unwrap();
    let mut heard = String::new();
    let mut reached = granted.accept().unwrap().0;
    reached.set_nonblocking(false).unwrap();
    std::io::Read::read_to_string(&mut reached, &mut heard).unwrap();
    assert_eq!(heard, "hello\n");

    home.run(&["stop", "one"]).ok();
    wait_for_record(&home, "cell-end", "one");
    let told = records(&home, "network", "one");
    let find = |place: &str, verdict: &str| {
        let is_it = |record: &&Value| {
            (record["name"] == place || record["address"] == place) && record["verdict"] == verdict
        };
        told.iter().find(is_it).unwrap_or_else(|| panic!("{place} {verdict}: {told:#?}"))
    };
    // Nobody asks for the address of `localhost`.
    assert_eq!(find("127.0.0.1", "allowed")["port"], port);
    assert_eq!(find("127.0.0.1", "ended")["bytes_out"], 6);
    assert_eq!(find("denied.example", "refused")["protocol"], "lookup");
    assert_eq!(find("192.0.2.1", "refused")["port"], port);
    let logs = home.run(&["logs", "one"]).ok();
    assert!(logs.contains("cell: network refused: denied.example:53 (lookup)"), "{logs}");
}

#[test]
fn without_a_grant_there_is_no_network() {
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let port = outside.local_addr().unwrap().port();
    let home = Home::new();
    let entry = launcher(&home, &format!("(exec 3<>/dev/tcp/127.0.0.1/{port}) && echo reached >&2\n"));
    home.write("cm/casemate.toml", &entry);
    let _gateway = Gateway::start(&home);
    assert_eq!(home.run(&["call", "one", "echo", MESSAGE]).ok(), "hi\n");
    assert_eq!(outside.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(!home.run(&["logs", "one"]).ok().contains("reached"));

    // The same attempt without the cell.
    home.write(
        "cm/casemate.toml",
        &format!(
            "{}allow_unsandboxed = true\n",
            entry.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()
        ),
    );
    home.run(&["disable", "one"]).ok();
    home.run(&["enable", "one"]).ok();
    assert_eq!(home.run(&["call", "one", "echo", MESSAGE]).ok(), "hi\n");
    outside.accept().unwrap();
}
