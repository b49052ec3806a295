//! Packages, from a registry of our own: prepared ahead of time, and run.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::connecting::Connection;
use crate::home::{Ended, Home, skipped};
use crate::people::Person;

/// An MCP server of one file.
const SERVER: &str = r#"#!/usr/bin/env node
const answers = {
  initialize: p => ({ protocolVersion: p.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "tiny", version: "1.0.0" } }),
  "tools/list": () => ({ tools: [{ name: "echo", inputSchema: { type: "object" } }] }),
  "tools/call": p => ({ content: [{ type: "text", text: p.arguments.message }] }),
  ping: () => ({}),
};
require("readline").createInterface({ input: process.stdin }).on("line", line => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  const answer = answers[method];
  const said = answer ? { result: answer(params) } : { error: { code: -32601, message: "no such method" } };
  console.log(JSON.stringify({ jsonrpc: "2.0", id, ...said }));
});
"#;

/// A registry with one package, `tiny` 1.0.0.
struct Shop {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    /// `None` where there is no npm, which is said.
    fn open() -> Option<Shop> {
        let folder = tempfile::tempdir().unwrap();
        let manifest = json!({"name": "tiny", "version": "1.0.0", "bin": "server.js"});
        std::fs::write(folder.path().join("package.json"), manifest.to_string()).unwrap();
        std::fs::write(folder.path().join("server.js"), SERVER).unwrap();
        let packed = Command::new("npm")
            .args(["pack", "--json", "--offline", "--cache", "cache"])
            .current_dir(&folder)
            .output();
        let Ok(packed) = packed else {
            skipped("npm is not installed");
            return None;
        };
        let packed: Value = serde_json::from_slice(&packed.stdout).unwrap();
        let archive = std::fs::read(folder.path().join(packed[0]["filename"].as_str().unwrap())).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let shop = Shop { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let mut version = manifest;
        version["dist"] = json!({
            "tarball": format!("{}tiny/-/tiny-1.0.0.tgz", shop.url()),
            "integrity": packed[0]["integrity"],
            "shasum": packed[0]["shasum"],
        });
        let index = json!({"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}});
        let (asked, index) = (Arc::clone(&shop.asked), index.to_string());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is none of our business.
                let _ = answer(stream, &asked, (&index, &archive));
            }
        });
        Some(shop)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn command(&self, (person, home): (Person, &Home), arguments: &[&str]) -> Command {
        let mut command = person.command(home, arguments);
        command.env("npm_config_registry", self.url());
        command
    }

    fn run(&self, whose: (Person, &Home), arguments: &[&str]) -> Ended {
        whose.1.ended(&self.command(whose, arguments).output().unwrap())
    }
}

fn answer(
    stream: TcpStream,
    asked: &Mutex<Vec<String>>,
    (index, archive): (&str, &[u8]),
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = line.split(' ').nth(1).unwrap_or_default();
    asked.lock().unwrap().push(path.to_owned());
    let (status, body) = match path {
        "/tiny" => ("200 OK", index.as_bytes()),
        "/tiny/-/tiny-1.0.0.tgz" => ("200 OK", archive),
        _ => ("404 Not Found", &b"{}"[..]),
    };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    (&stream).write_all(head.as_bytes())?;
    (&stream).write_all(body)
}

fn configured(person: Person, servers: &[(&str, &str)]) -> Home {
    let home = person.home();
    let entry = |(name, command): &(&str, &str)| format!("[servers.{name}]\ncommand = {command}\n");
    let path = home.write("cm/casemate.toml", &servers.iter().map(entry).collect::<String>());
    person.give(path.parent().unwrap());
    person.give(&path);
    home
}

#[test]
fn packages_are_prepared_ahead_of_time_and_run_without_their_registry() {
    let Some(shop) = Shop::open() else { return };
    for person in Person::with_cells() {
        let home = configured(person, &[("one", r#"["npx", "-y", "tiny@1.0.0"]"#), ("own", r#"["sh"]"#)]);
        let prepare = |arguments: &[&str]| {
            let shown = shop.run((person, &home), &[&["prepare", "--json"], arguments].concat()).ok();
            serde_json::from_str::<Value>(&shown).unwrap()["servers"].clone()
        };
        let first = prepare(&[])[0].clone();
        assert_eq!((&first["server"], &first["state"]), (&json!("one"), &json!("ready")), "{first}");
        assert_eq!(first["packages"], json!([{"name": "tiny", "version": "1.0.0"}]));
        assert_eq!(first["installed"], true);
        assert_eq!(first["lock_sha256"].as_str().unwrap().len(), 64);
        assert!(first["bytes"].as_u64().unwrap() >= SERVER.len() as u64, "{first}");
        assert_eq!(first["scripts_ran"], json!([]));

        let asked = shop.asked();
        let again = prepare(&["one", "own"]);
        assert_eq!(again[0]["installed"], false, "{again}");
        assert_eq!(again[0]["lock_sha256"], first["lock_sha256"]);
        assert_eq!(again[1]["state"], "nothing", "{again}");
        let shown = shop.run((person, &home), &["prepare"]).ok();
        assert!(shown.starts_with("one: ready, as it was\n  package  tiny 1.0.0\n  sha256   "), "{shown}");

        // What is run by hand is the same package.
        let arguments = ["run", "-v", "--cpu", "0.5", "--", "npx", "-y", "tiny@1.0.0"];
        let mut connection = Connection::start(shop.command((person, &home), &arguments));
        connection.initialize();
        let echoed = connection.ask("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
        assert_eq!(echoed["result"]["content"][0]["text"], "hi", "{echoed}");
        let (code, stderr) = connection.close();
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("casemate: full cell ("), "{stderr}");
        assert_eq!(shop.asked(), asked, "it was fetched again");
        let explained = shop.run((person, &home), &["sandbox", "explain", "one"]).ok();
        assert!(explained.contains("             its package, as it was prepared\n"), "{explained}");
    }
}

#[test]
fn a_version_that_is_not_written_is_answered_with_the_line_to_write() {
    let Some(shop) = Shop::open() else { return };
    for person in Person::with_cells() {
        let home = configured(person, &[("loose", r#"["npx", "-y", "tiny", "secret"]"#)]);
        let refused = shop.run((person, &home), &["prepare"]);
        assert_eq!(refused.code, Some(1), "{}", refused.shown());
        let line = "  hint: write command = [\"npx\", \"-y\", \"tiny@1.0.0\", …]\n";
        assert!(refused.stdout.contains(line), "{}", refused.shown());
        assert!(!refused.shown().contains("secret"), "{}", refused.shown());

        let typed = shop.run((person, &home), &["run", "--", "npx", "-y", "tiny", "secret"]);
        assert_eq!(typed.code, Some(125), "{}", typed.shown());
        assert!(typed.stderr.contains("hint: write -- npx -y tiny@1.0.0 …\n"), "{}", typed.shown());
        assert!(!typed.shown().contains("secret"), "{}", typed.shown());
    }
}

#[test]
fn a_package_that_cannot_be_had_does_not_keep_the_others_from_being_prepared() {
    let Some(shop) = Shop::open() else { return };
    let Some(person) = Person::with_cells().into_iter().next() else { return };
    let none = r#"["npx", "-y", "no-such-package-here@1.0.0"]"#;
    let home = configured(person, &[("none", none), ("one", r#"["npx", "-y", "tiny@1.0.0"]"#)]);
    let ended = shop.run((person, &home), &["prepare", "--json"]);
    assert_eq!(ended.code, Some(1), "{}", ended.shown());
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    let states: Vec<&Value> = shown["servers"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!((states, &shown["failed"]), (vec![&json!("failed"), &json!("ready")], &json!(1)), "{shown}");
    assert!(shown["servers"][0]["message"].as_str().unwrap().contains("no-such-package-here"), "{shown}");
    let unknown = shop.run((person, &home), &["prepare", "other"]);
    assert!(unknown.stderr.contains("no server called other is configured"), "{}", unknown.shown());
    assert_eq!(unknown.code, Some(1));
}
