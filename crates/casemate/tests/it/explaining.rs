//! `sandbox explain`: the cell that a server would get.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::home::{CASEMATE, Ended, Home, skipped};
use crate::people::Person;

fn explain(person: Person, home: &Home, arguments: &[&str]) -> Ended {
    home.ended(&person.command(home, &[&["sandbox", "explain"], arguments].concat()).output().unwrap())
}

#[track_caller]
fn explained(person: Person, home: &Home, arguments: &[&str]) -> Value {
    serde_json::from_str(&explain(person, home, &[&["--json"], arguments].concat()).ok()).unwrap()
}

#[test]
fn what_is_explained_is_what_a_command_gets() {
    for person in Person::with_cells() {
        let home = person.home();
        let granted = home.write("notes/file", "").with_file_name("");
        std::fs::set_permissions(&granted, Permissions::from_mode(0o777)).unwrap();
        let granted = home.path().join("notes").canonicalize().unwrap().display().to_string();
        let options = ["--write", &granted, "--network", "api.example.org:443", "--env", "TOKEN=hush"];
        let command = ["--", "sh", "-c", "exit"];
        let cell = explained(person, &home, &[&options[..], &command].concat());
        assert_eq!(cell["cell"], "full");
        assert_eq!(cell["server"], "sh");
        assert_eq!(cell["environment"], json!(["HOME", "LANG", "PATH", "TMPDIR", "TOKEN"]));
        assert_eq!(cell["network"], json!(["api.example.org:443"]));
        let granted = granted.replace(&home.path().display().to_string(), "[HOME]");
        assert_eq!(cell["sees"][0], json!({"path": granted, "access": "write", "why": "--write"}));
        assert!(
            cell["limits"]
                .as_array()
                .unwrap()
                .contains(&json!({"setting": "limits.memory", "value": "1GiB"}))
        );
        assert!(!cell.to_string().contains("hush"), "{cell}");

        // The report of a start names the very same layers.
        let run = [&["run", "--raw", "-v"], &options[..], &command].concat();
        let told = home.ended(&person.command(&home, &run).output().unwrap()).stderr;
        let told = told.split_once("): ").unwrap().1.split(';').next().unwrap();
        let layers = cell["layers"].as_array().unwrap().iter().map(|layer| layer["layer"].as_str().unwrap());
        let absent: Vec<&str> =
            cell["absent"].as_array().unwrap().iter().map(|gap| gap["layer"].as_str().unwrap()).collect();
        let layers: Vec<&str> = layers.filter(|layer| !absent.contains(layer)).collect();
        assert_eq!(layers.join(", "), told.trim_end());
    }
}

#[test]
fn people_see_names_in_lines_that_fit_and_never_a_value() {
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let home = person.home();
    let told = explain(person, &home, &["--env", "TOKEN=hush", "--", "sh"]).ok();
    for line in [
        "sh: a full cell",
        "environment  HOME, LANG, PATH, TMPDIR, TOKEN (values are not shown)",
        "network      none",
        "What it sees of the host",
        "  identity           a user of its own, without rights over the host",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    assert!(!told.contains("hush"), "{told}");
    let widest = told.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest} columns: {told}");
}

#[test]
fn a_configured_server_is_explained_by_the_keys_of_its_entry() {
    for person in Person::all() {
        let home = person.home();
        let config = home.write(
            "cm/casemate.toml",
            "[servers.light]\ncommand = [\"sh\"]\ncell = \"light\"\nenv.TOKEN = \"env:TOKEN\"\nread = [\"/opt\"]\n\
             [servers.open]\ncommand = [\"sh\"]\nallow_unsandboxed = true\n\
             [servers.gone]\ncommand = [\"/no/such/program\"]\n\
             [servers.away]\nurl = \"https://example.org/mcp\"\n",
        );
        person.give(config.parent().unwrap());
        person.give(&config);
        let output = explain(person, &home, &["--json", "light"]);
        let light: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(light["cell"], "light", "{light}");
        assert!(light["environment"].as_array().unwrap().contains(&json!("TOKEN")), "{light}");
        assert_eq!(light["sees"][0]["why"], "`read` in its entry", "{light}");
        assert!(light["not_promised"][0].as_str().unwrap().contains("does not hide"), "{light}");
        let promised = light["layers"].as_array().is_some_and(|layers| !layers.is_empty());
        assert_eq!(output.code, Some(if promised { 0 } else { 1 }), "{light}");

        let open = explained(person, &home, &["open"]);
        assert_eq!((&open["cell"], &open["sees"]), (&json!("none"), &json!([])), "{open}");
        let gone = explain(person, &home, &["gone"]);
        assert_eq!(gone.code, Some(1), "{}", gone.shown());
        assert!(gone.stdout.contains("cannot be had: the program /no/such/program cannot be found"));
        assert!(gone.stdout.contains("hint: check the path"), "{}", gone.shown());
        assert!(explain(person, &home, &["away"]).stderr.contains("away runs elsewhere"));
        assert!(explain(person, &home, &["other"]).stderr.contains("no server called other"));
    }
}

#[test]
fn one_server_is_explained_at_a_time() {
    let home = Home::new();
    for arguments in [&[][..], &["one", "--read", "/opt"], &["one", "--light"], &["one", "--", "sh"]] {
        assert_eq!(explain(Person::Us, &home, arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_way_out_is_spelled_as_the_server_was() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[servers.one]\ncommand = [\"sh\"]\n");
    let refused = |arguments: &str| {
        let script = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {CASEMATE} {arguments}");
        let mut command = std::process::Command::new("unshare");
        command.args(["-Ur", "sh", "-c", &script]).env("CASEMATE_HOME", home.root());
        home.ended(&command.output().unwrap())
    };
    let typed = refused("sandbox explain -- sh");
    if typed.stdout.is_empty() {
        return skipped(&format!("this machine forbids user namespaces already: {}", typed.stderr));
    }
    assert_eq!(typed.code, Some(1), "{}", typed.shown());
    assert!(typed.stdout.contains("--light asks for a weaker one"), "{}", typed.shown());
    assert!(!typed.stdout.contains("[servers"), "{}", typed.shown());
    let configured = refused("sandbox explain one");
    assert!(configured.stdout.contains("In [servers.one], cell = \"light\" asks"), "{}", configured.shown());
    let run = refused("run -- sh");
    assert_eq!(run.code, Some(125), "{}", run.shown());
    assert!(run.stderr.contains("--light asks for a weaker one"), "{}", run.shown());
}
