//! The programs as processes: what their flags promise and only a process can show.
#![expect(clippy::disallowed_methods, reason = "these tests are about processes")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "clippy exempts test functions, not their helpers"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use casemate_testkit::client::McpHttp;
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

const FIXTURE: &str = env!("CARGO_BIN_EXE_casemate-fixture");
const FORWARD: &str = env!("CARGO_BIN_EXE_casemate-forward");

/// A program that ends with its test.
struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Program {
    fn start(path: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(path);
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Program { child, lines }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    fn call(&mut self, tool: &str, arguments: &Value) {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{request}").expect("sent");
    }

    /// The exit code. The input stays open meanwhile, since its end would stop the program too.
    fn wait(&mut self) -> Option<i32> {
        let _input = self.child.stdin.take();
        self.child.wait().expect("an end").code()
    }

    fn text(&mut self) -> String {
        self.line()["result"]["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The third and fourth fields after the name in /proc/PID/stat are the parent and, two on, the session.
fn parent_and_session(pid: &str) -> (u32, u32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    (fields[1].parse().expect("a number"), fields[3].parse().expect("a number"))
}

/// Who waits for an exec may be told of it a moment before the kernel shows the arguments.
fn command_of(pid: &str) -> String {
    let read = || fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("a process");
    loop {
        match read() {
            command if command.is_empty() && !is_dead(pid) => std::thread::yield_now(),
            command => return command,
        }
    }
}

fn is_dead(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|fields| fields.starts_with(['Z', 'X']) || fields.is_empty())
}

#[test]
fn helper_leaves_the_tree_of_its_server() {
    let mut server = Program::start(FIXTURE, &["--stdio", "--era", "modern"]);
    server.call("spawn_helper", &json!({"seconds": "30.125"}));
    let pid = server.text();
    let command = command_of(&pid);
    let (parent, session) = parent_and_session(&pid);
    let (_, own_session) = parent_and_session(&std::process::id().to_string());
    drop(server);
    let survived = fs::exists(format!("/proc/{pid}")).expect("an answer");
    Command::new("kill").arg(&pid).status().expect("a kill");
    assert_eq!(command, "sleep\u{0}30.125\u{0}");
    assert!(survived, "the helper outlives its server");
    assert_ne!(parent, std::process::id());
    assert_ne!(session, own_session);
}

#[test]
fn process_shows_its_environment_and_dies_on_request() {
    let mut server = Program::start(FIXTURE, &["--stdio"]);
    server.call("env", &json!({}));
    assert!(server.text().contains("\"PATH\""));
    server.call("crash", &json!({}));
    assert_eq!(server.wait(), Some(70));
}

#[test]
fn input_end_is_the_end() {
    let mut server = Program::start(FIXTURE, &["--stdio", "--era", "legacy"]);
    drop(server.child.stdin.take());
    assert!(server.child.wait().expect("an end").success());
}

#[test]
fn hostile_process_dies_at_the_first_call() {
    let mut server = Program::start(FIXTURE, &["--stdio", "--hostile", "exits"]);
    server.call("echo", &json!({}));
    assert_eq!(server.wait(), Some(71));
}

#[tokio::test]
async fn forwarder_adds_the_key_and_nothing_else() {
    let (address, guard) = Fixture::spawn_http(Era::Modern).await.expect("a port");
    let file = std::env::temp_dir().join(format!("casemate-forward-{}", std::process::id()));
    fs::write(&file, "cm_secret\n").expect("a file");
    let path = file.to_str().expect("a path");
    let to = format!("http://{address}/mcp");
    let mut forwarder =
        Program::start(FORWARD, &["--listen", "127.0.0.1:0", "--to", &to, "--bearer-file", path]);
    let url = forwarder.line()["url"].as_str().expect("a URL").to_owned();
    fs::remove_file(&file).expect("gone");

    let client = McpHttp::new(&url).modern(json!({})).header("origin", "http://localhost:99");
    let info = client.call("request_info", json!({})).await.expect("a result");
    let headers = &info["structuredContent"]["headers"];
    assert_eq!(headers["authorization"], "Bearer cm_secret");
    assert_eq!(headers["origin"], "http://localhost:99");
    assert_eq!(format!("http://{}/mcp", headers["host"].as_str().expect("a host")), url);

    // Events pass while the stream is open, and leaving reaches the server.
    let params = json!({"name": "sleep_ms", "arguments": {"ms": 600_000}, "_meta": {"progressToken": 1}});
    let mut call = client.open("tools/call", params).await.expect("a call");
    let progress = call.next().await.expect("a message").expect("progress");
    assert_eq!(progress["method"], "notifications/progress");
    drop(call);
    guard.cancelled().wait_for(|count| *count == 1).await.expect("a count");
}

#[tokio::test]
async fn fixture_prints_where_it_listens() {
    let mut server = Program::start(FIXTURE, &["--http", "127.0.0.1:0", "--era", "modern"]);
    let url = server.line()["url"].as_str().expect("a URL").to_owned();
    let client = McpHttp::new(&url).modern(json!({}));
    client.call("echo", json!({"message": "x"})).await.expect("a result");
}
