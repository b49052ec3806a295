//! The passphrase of the secrets in the keyring of the system: a real one, on a bus of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use expect_test::expect;

use crate::gateway::{Gateway, home_with_fixture};
use crate::home::{Ended, Home, skipped};

const VALUE: &str = "xK9-q2z";

/// Programs that are needed, all in Debian's gnome-keyring and dbus.
const PROGRAMS: [&str; 3] = ["dbus-daemon", "dbus-send", "gnome-keyring-daemon"];

/// A bus of a session, and a keyring on it that is open. Both end with the test.
struct Session {
    address: String,
    bus: Child,
    keyring: Option<Child>,
}

impl Session {
    fn bus(home: &Home) -> Session {
        let socket = home.path().join("bus");
        // Nothing is started by itself on this bus.
        let rules = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        let rules = home.write("bus.conf", &rules);
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", rules.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Session { address: address.trim().to_owned(), bus, keyring: None }
    }

    fn with_keyring(home: &Home) -> Session {
        let mut session = Session::bus(home);
        let mut keyring = Command::new("gnome-keyring-daemon")
            .args(["--foreground", "--components=secrets", "--unlock"])
            .env_clear()
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env("DBUS_SESSION_BUS_ADDRESS", &session.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        keyring.stdin.take().unwrap().write_all(b"login").unwrap();
        session.keyring = Some(keyring);
        let owner = ["org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner"];
        let is_there = || session.send(owner, &["string:org.freedesktop.secrets"]).contains("true");
        assert!((0..1000).any(|_| is_there()), "the keyring does not come");
        session
    }

    /// What the bus answers to a call.
    fn send(&self, [name, path, method]: [&str; 3], arguments: &[&str]) -> String {
        let mut command = Command::new("dbus-send");
        command.args([
            &format!("--bus={}", self.address),
            "--print-reply",
            "--reply-timeout=2000",
            &format!("--dest={name}"),
            path,
            method,
        ]);
        let output = command.args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn lock(&self) {
        let collection = "array:objpath:/org/freedesktop/secrets/collection/login";
        let root = "/org/freedesktop/secrets";
        let answer = self
            .send(["org.freedesktop.secrets", root, "org.freedesktop.Secret.Service.Lock"], &[collection]);
        assert!(answer.contains("collection/login"), "{answer}");
    }

    /// How many items of ours there are, open or locked.
    fn items(&self) -> usize {
        let asked = "dict:string:string:application,casemate";
        let root = "/org/freedesktop/secrets";
        let answer = self
            .send(["org.freedesktop.secrets", root, "org.freedesktop.Secret.Service.SearchItems"], &[asked]);
        answer.matches("object path").count()
    }

    fn command(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = home.command(arguments);
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
        command
    }

    fn run(&self, home: &Home, arguments: &[&str]) -> Ended {
        home.ended(&self.command(home, arguments).output().unwrap())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for child in self.keyring.iter_mut().chain([&mut self.bus]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn is_missing() -> bool {
    let missing: Vec<&str> =
        PROGRAMS.into_iter().filter(|name| !Path::new("/usr/bin").join(name).exists()).collect();
    if !missing.is_empty() {
        skipped(&format!("there is no {} (apt-get install gnome-keyring dbus)", missing.join(" and no ")));
    }
    !missing.is_empty()
}

fn seen(home: &Home) -> String {
    home.run(&["call", "fixture", "env"]).shown()
}

#[test]
fn the_keyring_of_the_system_opens_the_secrets_and_nothing_else_does() {
    if is_missing() {
        return;
    }
    let home = home_with_fixture("env.TOKEN = \"secret:token\"\n");
    let session = Session::with_keyring(&home);
    home.run_with(&["secret", "set", "token"], VALUE).ok();
    let rotated = session.run(&home, &["secret", "rotate", "--keep", "keyring"]);
    assert_eq!(rotated.ok(), "The key was replaced; values sealed anew: 1.\n");
    assert_eq!(session.items(), 1);

    let up = ["up", "--listen", "127.0.0.1:0", "--json"];
    let gateway = Gateway::start_by(&home, session.command(&home, &up));
    assert!(seen(&home).contains(VALUE));
    drop(gateway);

    // Without a bus nothing falls back to anything: only the servers that name a secret wait.
    let refused = home.run_with(&["secret", "set", "other"], "x");
    expect![[r#"
        exit 1
        --- stderr
        warning: the secrets stay locked: their passphrase belongs in the keyring of the system, which is not there: this session has no bus
        hint: log in to a desktop, or start a keyring on this session's bus (`gnome-keyring-daemon --unlock`)
        error: the secrets are locked with a passphrase, which belongs in the keyring of the system, which is not there: this session has no bus
    "#]]
    .assert_eq(&refused.shown());
    let gateway = Gateway::start(&home);
    let refused = seen(&home);
    assert!(refused.contains("CM1710") && refused.contains("keyring of the system"), "{refused}");
    drop(gateway);

    session.lock();
    let locked = session.run(&home, &["secret", "rotate"]).shown();
    assert!(
        locked.contains("which is locked") && locked.contains("hint: unlock the default keyring"),
        "{locked}"
    );
    assert_eq!(session.items(), 1, "a refused rotation leaves nothing behind");
}

#[test]
fn the_key_moves_into_the_keyring_and_out_of_it_again() {
    if is_missing() {
        return;
    }
    let home = Home::new();
    let session = Session::with_keyring(&home);
    home.run_with(&["secret", "set", "token"], VALUE).ok();
    let rotate = |how: &[&str]| session.run(&home, &[&["secret", "rotate"], how].concat()).ok();
    rotate(&["--keep", "keyring"]);
    let first = home.read("cm/data/secrets.key");
    rotate(&[]);
    assert_eq!(session.items(), 1, "what is kept as before has the passphrase that it had");
    rotate(&["--keep", "keyring"]);
    assert_eq!(session.items(), 1, "a new one takes the place of the old one");
    let item = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["keyring"].clone();
    assert_ne!(item(&first), item(&home.read("cm/data/secrets.key")));

    rotate(&["--keep", "file"]);
    assert_eq!(session.items(), 0);
    assert_eq!(item(&home.read("cm/data/secrets.key")), serde_json::Value::Null);
    home.run_with(&["secret", "set", "token"], "again").ok();
    let kept: Vec<String> =
        home.acts().into_iter().filter(|(act, _)| act.contains("rotate")).map(|(_, how)| how).collect();
    assert_eq!(kept, ["kept: keyring", "kept: as before", "kept: keyring", "kept: file"]);
}

#[test]
fn a_bus_without_a_keyring_and_no_bus_at_all_are_told_apart_and_change_nothing() {
    let home = Home::new();
    home.run_with(&["secret", "set", "token"], VALUE).ok();
    let before = home.read("cm/data/secrets.key");
    let refused = home.run(&["secret", "rotate", "--keep", "keyring"]);
    expect![[r#"
        exit 1
        --- stderr
        error: the key was not replaced, since its passphrase belongs in the keyring of the system, which is not there: this session has no bus
        hint: log in to a desktop, or start a keyring on this session's bus (`gnome-keyring-daemon --unlock`)
    "#]]
    .assert_eq(&refused.shown());
    assert_eq!(home.read("cm/data/secrets.key"), before);

    // Whoever listens there and is no bus is not waited for.
    let socket = home.path().join("mute");
    let mute = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let silence = std::thread::spawn(move || {
        let (mut stranger, _) = mute.accept().unwrap();
        let mut heard = Vec::new();
        stranger.read_to_end(&mut heard).unwrap();
    });
    let mut command = home.command(&["secret", "rotate", "--keep", "keyring"]);
    command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", socket.display()));
    let refused = home.ended(&command.output().unwrap()).shown();
    assert!(refused.contains("it did not answer within 10 s"), "{refused}");
    silence.join().unwrap();
    assert_eq!(home.read("cm/data/secrets.key"), before);

    if is_missing() {
        return;
    }
    let session = Session::bus(&home);
    let refused = session.run(&home, &["secret", "rotate", "--keep", "keyring"]).shown();
    assert!(refused.contains("nobody on this session's bus keeps secrets"), "{refused}");
    assert_eq!(home.read("cm/data/secrets.key"), before);
}
