//! `sandbox learn`: a server is watched, and what it should be granted is told.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::home::{Ended, Home};
use crate::people::Person;

fn learn(person: Person, home: &Home, arguments: &[&str]) -> Ended {
    home.ended(&person.command(home, &[&["sandbox", "learn"], arguments].concat()).output().unwrap())
}

/// A folder that everybody may use, outside of /tmp: of that, cells have their own.
fn ground() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("casemate-learn-").tempdir_in("/var/tmp").unwrap();
    open(folder.path());
    folder
}

fn open(path: &Path) {
    std::fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
}

/// The last line of what was told.
#[track_caller]
fn lesson(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
    serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap_or_else(|_| panic!("{}", ended.shown()))
}

#[test]
fn what_is_learned_is_enough_and_no_more() {
    for person in Person::with_cells() {
        let (home, ground) = (person.home(), ground());
        let [read, write] = ["read", "write"].map(|name| ground.path().join(name));
        for folder in [&read, &write] {
            std::fs::create_dir(folder).unwrap();
            open(folder);
        }
        std::fs::write(read.join("file"), "seen\n").unwrap();
        let script = format!(
            "cat {0}/file; getent ahosts api.example.org; bash -c ': >/dev/tcp/db.example.org/5432' 2>/dev/null; echo kept > {1}/new && echo written",
            read.display(),
            write.display()
        );
        let command = ["--", "sh", "-c", &script];
        let first = learn(person, &home, &[&["--json"], &command[..]].concat());
        assert!(first.stdout.starts_with("seen\n") && !first.stdout.contains("written"), "{}", first.shown());
        assert!(!write.join("new").exists());
        let first = lesson(&first);
        assert_eq!(first["read"], json!([read.join("file")]), "{first}");
        assert_eq!(first["write"], json!([write]), "{first}");
        assert_eq!(first["network"], json!(["api.example.org:443", "db.example.org:5432"]), "{first}");
        assert_eq!(first["refused_writes"], json!([write.join("new")]), "{first}");

        let options: Vec<&str> =
            first["options"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let again = lesson(&learn(person, &home, &[&["--json"], &options[..], &command].concat()));
        for list in ["read", "write"] {
            assert_eq!(again[list], first[list], "{again}");
        }
        assert_eq!(again["refused_writes"], json!([]), "{again}");
        std::fs::remove_file(write.join("new")).unwrap();

        let run =
            person.command(&home, &[&["run", "--raw"], &options[..], &command].concat()).output().unwrap();
        // The name has an address now.
        let said = home.ended(&run).ok();
        assert!(said.starts_with("seen\n") && said.ends_with("\nwritten\n"), "{said}");
        assert!(said.contains(" STREAM api.example.org\n"), "{said}");
    }
}

#[test]
fn people_are_told_lines_for_a_file_and_options_for_a_command() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let (home, ground) = (person.home(), ground());
    let file = ground.path().join("it's a file");
    std::fs::write(&file, "").unwrap();
    let kept = ground.path().join("learned.toml");
    let script = format!("cat \"{}\"", file.display());
    let told = learn(
        person,
        &home,
        &["--name", "one", "--output", kept.to_str().unwrap(), "--", "sh", "-c", &script],
    );
    assert_eq!(told.code, Some(0), "{}", told.shown());
    let line = format!("read = [\"{}\"]\n", file.display());
    assert!(told.stderr.contains(&format!("as lines of [servers.one]\n{line}")), "{}", told.shown());
    let options = format!("--read '{}'\n", file.display().to_string().replace('\'', r"'\''"));
    assert!(told.stderr.contains(&options), "{}", told.shown());
    assert!(std::fs::read_to_string(kept).unwrap().starts_with(&line));
}

#[test]
fn an_interrupt_ends_the_server_and_not_the_lesson() {
    for person in Person::with_cells() {
        let home = person.home();
        let script = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.01; done";
        let mut command = person.command(&home, &["sandbox", "learn", "--json", "--", "sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
        let mut told = String::new();
        child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
        assert!(told.contains(r#""server":"sh""#), "{told}");
    }
}

#[test]
fn a_configured_server_is_watched_with_its_own_variables() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let home = person.home();
    home.write(
        "cm/casemate.toml",
        "[servers.one]\ncommand = [\"sh\", \"-c\", \"echo $GIVEN\"]\nenv.GIVEN = \"env:OURS\"\n\
         [servers.light]\ncommand = [\"sh\"]\ncell = \"light\"\n",
    );
    let mut command = person.command(&home, &["sandbox", "learn", "one"]);
    let ended = home.ended(&command.env("OURS", "this").output().unwrap());
    assert_eq!(ended.stdout, "this\n", "{}", ended.shown());
    assert!(ended.stderr.contains("# nothing beyond what every cell has"), "{}", ended.shown());
    let light =
        home.ended(&person.command(&home, &["sandbox", "learn", "light"]).env("OURS", "").output().unwrap());
    assert_ne!(light.code, Some(0), "{}", light.shown());
    let typed = learn(person, &home, &["--light", "--", "sh"]);
    assert_eq!(typed.code, Some(125), "{}", typed.shown());
    assert!(typed.stderr.contains("hint: leave out --light"), "{}", typed.shown());
}

#[test]
fn a_script_in_the_current_folder_was_looked_for_elsewhere_and_its_failure_taught_nothing() {
    for person in Person::with_cells() {
        let (home, ground) = (person.home(), ground());
        std::fs::write(ground.path().join("server.sh"), "cat notes\n").unwrap();
        std::fs::write(ground.path().join("notes"), "seen\n").unwrap();
        let inside = |arguments: &[&str]| {
            let mut command = person.command(&home, arguments);
            home.ended(&command.current_dir(ground.path()).output().unwrap())
        };
        let learned = inside(&["sandbox", "learn", "--json", "--", "sh", "server.sh"]);
        assert!(learned.stdout.contains("seen"), "{}", learned.shown());
        let folder = ground.path().canonicalize().unwrap();
        assert_eq!(lesson(&learned)["starts_in"], json!(folder), "{}", learned.shown());

        let failed = inside(&["sandbox", "learn", "--", "sh", "-c", "exit 7"]);
        assert_eq!(failed.code, Some(1), "{}", failed.shown());
        assert!(failed.stderr.contains("so nothing was learned"), "{}", failed.shown());

        let riddle = inside(&["run", "--raw", "--", "sh", "server.sh"]);
        assert!(riddle.stderr.contains("warning: server.sh is not found in the cell"), "{}", riddle.shown());
        assert!(riddle.stderr.contains("hint: `--read .` lets it start here"), "{}", riddle.shown());
        let helped = inside(&["run", "--raw", "--read", ".", "--", "sh", "server.sh"]);
        assert_eq!((helped.code, helped.stdout.as_str()), (Some(0), "seen\n"), "{}", helped.shown());
        assert!(!helped.stderr.contains("warning"), "{}", helped.shown());
    }
}
