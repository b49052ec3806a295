//! `connect`: what a client's configuration starts.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::gateway::{Gateway, home_with_fixture, processes};
use crate::home::Home;

/// A client that talks to a program on stdio.
pub(crate) struct Connection {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Connection {
    /// A client of `casemate connect`.
    fn open(home: &Home, arguments: &[&str]) -> Connection {
        let mut command = home.command(&[&["connect"], arguments].concat());
        // No port of the machine is shared between tests.
        command.env("CASEMATE_LISTEN", "127.0.0.1:0");
        Connection::start(command)
    }

    pub(crate) fn start(mut command: Command) -> Connection {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Connection { child, stdin, stdout }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.stdin.as_mut().unwrap().write_all(format!("{message}\n").as_bytes()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    pub(crate) fn initialize(&mut self) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        }}));
        let answer = self.receive();
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer
    }

    /// Asks, and waits for the answer to it.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(&json!({"jsonrpc": "2.0", "id": method, "method": method, "params": params}));
        // The server's definitions may be news to the gateway, which it tells before it answers.
        std::iter::repeat_with(|| self.receive()).find(|message| message["id"] == method).unwrap()
    }

    pub(crate) fn close(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Stops a gateway that a test's `connect` started, whatever becomes of the test.
struct Stops<'a>(&'a Home);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.run(&["down", "--grace", "0"]);
    }
}

#[test]
fn ten_clients_at_once_start_one_gateway() {
    let home = home_with_fixture("");
    let _stops = Stops(&home);
    let mut connections: Vec<Connection> = (0..10).map(|_| Connection::open(&home, &[])).collect();
    for connection in &mut connections {
        assert_eq!(connection.initialize()["result"]["protocolVersion"], "2025-11-25");
    }
    let root = home.root().display().to_string();
    assert_eq!(processes(&format!("up --background --json --home {root}")).len(), 1);
    for connection in connections {
        let (code, stderr) = connection.close();
        assert_eq!(code, Some(0), "{stderr}");
    }
    assert!(home.run(&["down"]).ok().contains("has stopped"));
}

#[test]
fn a_client_reaches_one_server_under_its_own_names() {
    let home = home_with_fixture("");
    let _gateway = Gateway::start(&home);
    let mut connection = Connection::open(&home, &["--server", "fixture"]);
    connection.initialize();
    let call = json!({"name": "echo", "arguments": {"message": "hi"}});
    let answer = connection.ask("tools/call", call);
    assert_eq!(answer["result"]["content"][0]["text"], "hi", "{answer}");
    assert_eq!(connection.close().0, Some(0));
}

#[test]
fn a_client_whose_gateway_dies_is_told_and_the_next_one_starts_another() {
    let home = home_with_fixture("");
    let mut gateway = Gateway::start(&home);
    let mut connection = Connection::open(&home, &[]);
    connection.initialize();
    gateway.signal(rustix::process::Signal::KILL);
    gateway.wait();
    let ended = connection.child.wait().unwrap();
    assert_eq!(ended.code(), Some(4));
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut connection.child.stderr.take().unwrap(), &mut stderr).unwrap();
    assert!(stderr.contains("the gateway went away"), "{stderr}");

    let _stops = Stops(&home);
    let mut next = Connection::open(&home, &[]);
    next.initialize();
    assert_eq!(next.close().0, Some(0));
}

#[test]
fn a_gateway_that_cannot_start_tells_the_client_why() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[servers.a]\ncommand = 7\n");
    let (code, stderr) = Connection::open(&home, &[]).close();
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("casemate.toml:2:"), "{stderr}");
}
