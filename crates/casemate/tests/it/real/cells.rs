//! Real servers from the public registries, each in a full cell, as the entries that a user writes.
//!
//! Each runs for us and, when we are root, for an ordinary user. Ours come from the folder that keeps prepared packages
//! between runs (docs/decisions/0009); an ordinary user's are fetched.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use casemate_store::records::tail;
use casemate_testkit::client::{ClientError, McpHttp};
use serde_json::{Value, json};

use super::parts::Parts;
use super::site::Said;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::people::Person;

/// What a full cell is made of on every kernel that can have one (docs/sandbox.md).
const LAYERS: [&str; 19] = [
    "identity",
    "nesting",
    "files",
    "read-only",
    "processes",
    "proc-view",
    "guard",
    "network",
    "ipc",
    "hostname",
    "cgroup-view",
    "capabilities",
    "no-new-privileges",
    "seccomp",
    "memory",
    "tasks",
    "open-files",
    "file-size",
    "tmp",
];

/// Somebody's home before there is a gateway in it.
struct Plot {
    person: Person,
    home: Home,
}

/// The same with a gateway that has one server.
struct Post {
    person: Person,
    home: Home,
    server: &'static str,
    gateway: Gateway,
    client: McpHttp,
}

impl Plot {
    /// One for each person who can have full cells here.
    fn all() -> Vec<Plot> {
        let Some(parts) = Parts::find() else { return Vec::new() };
        let plots = Person::with_cells().into_iter().map(|person| Plot { person, home: person.home() });
        plots.inspect(|plot| plot.keep(parts.folder())).collect()
    }

    /// Keeps what is prepared for us in the folder for that. Nobody else could enter it.
    fn keep(&self, cache: &Path) {
        if self.person == Person::Us {
            let (data, kept) = (self.home.root().join("data"), cache.join("prepared"));
            let mut private = std::fs::DirBuilder::new();
            private.mode(0o700).recursive(true);
            private.create(&data).unwrap();
            private.create(&kept).unwrap();
            symlink(kept, data.join("packages")).unwrap();
        }
    }

    /// The path of something that is there, without links.
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name).canonicalize().unwrap()
    }

    /// Makes a file; it and the folder it lies in are the person's own.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.write(name, text);
        self.person.give(path.parent().unwrap());
        self.person.give(&path);
        self.path(name)
    }

    /// Starts a gateway whose configuration has the lines as its one server.
    async fn open(self, server: &'static str, lines: &str) -> Post {
        let reach = registries();
        self.file(
            "cm/casemate.toml",
            &format!("[packages]\nreach = {reach:?}\n\n[servers.{server}]\n{lines}"),
        );
        let mut up = self.person.command(&self.home, &["up", "--listen", "127.0.0.1:0", "--json"]);
        inherit(&mut up);
        let gateway = Gateway::start_by(&self.home, up);
        let client = gateway.client(gateway.endpoint()).modern(json!({}));
        Post { person: self.person, home: self.home, server, gateway, client }
    }
}

impl Post {
    /// A call of one of its tools, through the endpoint where all servers are joined.
    async fn ask(&self, tool: &str, arguments: Value) -> Said {
        let result = self.client.call(&format!("{}__{tool}", self.server), arguments).await;
        Said::of(&result.unwrap_or_else(|error| self.fail(&error)))
    }

    fn fail(&self, error: &ClientError) -> ! {
        let start = self.person.command(&self.home, &["start", self.server]).output().unwrap();
        panic!(
            "{:?}: {error:?}\n{}\n{}",
            self.person,
            self.home.ended(&start).shown(),
            self.home.read("up.log")
        )
    }

    /// That the tools are listed, and that the server is in a full cell with a package and these grants in it. The rest of
    /// what `show` tells of the cell.
    async fn expect(&self, origin: &str, tools: &[&str], grants: &[(&str, &Path)]) -> Value {
        let listed = self.client.request("tools/list", json!({})).await;
        let listed = listed.unwrap_or_else(|error| self.fail(&error));
        let names: Vec<&str> =
            listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        for tool in tools {
            assert!(names.contains(&format!("{}__{tool}", self.server).as_str()), "{tool}: {names:?}");
        }

        let shown = self.run(&["show", self.server, "--json"]);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let cell = &shown["state"]["instances"][0]["cell"];
        assert_eq!(cell["cell"], "full", "{cell:#}");
        let layers = cell["layers"].as_array().unwrap();
        assert!(LAYERS.iter().all(|layer| layers.contains(&(*layer).into())), "{layers:?}");
        assert_eq!(cell["origin"]["name"], origin);
        let shown = cell["grants"].as_array().unwrap();
        for (access, path) in grants {
            assert!(shown.contains(&json!({"access": access, "path": path})), "{path:?}: {shown:?}");
        }
        // What a user's own programs may change is what was granted, and nothing else of the host.
        let writable =
            |grants: &mut dyn Iterator<Item = &str>| grants.filter(|access| *access == "writable").count();
        assert_eq!(
            writable(&mut shown.iter().map(|grant| grant["access"].as_str().unwrap())),
            writable(&mut grants.iter().map(|(access, _)| *access)),
            "{shown:?}"
        );
        cell.clone()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        self.home.ended(&self.person.command(&self.home, arguments).output().unwrap()).ok()
    }

    /// Stops the gateway and returns what was recorded of its server's network.
    fn close(mut self) -> Vec<Value> {
        self.run(&["down"]);
        assert!(self.gateway.wait().success(), "{}", self.home.read("up.log"));
        let lines = tail(&self.home.root().join("data/records"), 10_000).unwrap();
        let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["kind"] == "network" && record["server"] == self.server).collect()
    }
}

/// The addresses of the public registries as this machine is given them, which in a test laboratory are no public ones.
fn registries() -> Vec<String> {
    let hosts = ["registry.npmjs.org:443", "pypi.org:443", "files.pythonhosted.org:443"];
    let addresses = hosts.iter().flat_map(|host| host.to_socket_addrs().into_iter().flatten());
    addresses.map(|address| address.to_string()).collect()
}

/// Gives a command our way to the registries: certificates, mirrors, proxies.
fn inherit(command: &mut Command) {
    let ours = |name: &OsStr| name == "HOME" || name.to_string_lossy().starts_with("CASEMATE_");
    command.envs(std::env::vars_os().filter(|(name, _)| !ours(name)));
}

#[tokio::test]
async fn server_everything_runs_in_a_cell() {
    for plot in Plot::all() {
        let package = "@modelcontextprotocol/server-everything@2026.8.31";
        let post = plot.open("everything", &format!("command = [\"npx\", \"-y\", {package:?}]\n")).await;
        assert_eq!(post.ask("echo", json!({"message": "hi"})).await.ok(), "Echo: hi");
        let seen = post.ask("get-env", json!({})).await.json();
        assert_eq!((&seen["HOME"], &seen["TMPDIR"]), (&json!("/tmp"), &json!("/tmp")), "{seen}");
        let cell = post.expect(&format!("npm:{package}"), &["echo", "get-env"], &[]).await;
        assert_eq!(cell["network"], Value::Null);
        assert_eq!(post.close(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn server_filesystem_reads_and_writes_what_is_granted_whatever_it_allows_itself() {
    for plot in Plot::all() {
        let plan = plot.file("plans/plan.txt", "star fort");
        let draft = plot.file("drafts/old.txt", "").with_file_name("draft.txt");
        let secret = plot.file("secret.txt", "not for servers");
        let (plans, drafts) = (plot.path("plans"), plot.path("drafts"));
        // It believes that it may have everything.
        let everything = plot.path(".");
        let package = "@modelcontextprotocol/server-filesystem@2026.8.31";
        let lines = format!(
            "command = [\"npx\", \"-y\", {package:?}, {everything:?}]\nread = [{plans:?}]\nwrite = [{drafts:?}]\n"
        );
        let post = plot.open("files", &lines).await;

        assert_eq!(post.ask("read_text_file", json!({ "path": plan })).await.ok(), "star fort");
        post.ask("write_file", json!({"path": draft, "content": "vaulted"})).await.ok();
        assert_eq!(std::fs::read_to_string(&draft).unwrap(), "vaulted");
        let origin = format!("npm:{package}");
        let grants = [("readable", plans.as_path()), ("writable", drafts.as_path())];
        post.expect(&origin, &["read_text_file", "write_file"], &grants).await;

        let written = post.ask("write_file", json!({"path": plan, "content": "razed"})).await;
        assert!(written.is_error && written.text.contains("EROFS"), "{written:?}");
        let read = post.ask("read_text_file", json!({ "path": secret })).await;
        assert!(read.is_error && read.text.contains("ENOENT"), "{read:?}");
        let listed = post.ask("list_directory", json!({ "path": everything })).await.ok();
        assert!(listed.contains("plans") && !listed.contains("secret.txt"), "{listed}");
        assert_eq!(std::fs::read_to_string(plan).unwrap(), "star fort");
        assert_eq!(post.close(), Vec::<Value>::new());
    }
}

fn memory(file: &Path, grant: &str) -> String {
    format!(
        "command = [\"npx\", \"-y\", \"@modelcontextprotocol/server-memory@2026.8.31\"]\nenv.MEMORY_FILE_PATH = {file:?}\n{grant}"
    )
}

#[tokio::test]
async fn server_memory_keeps_what_it_knows_where_it_was_granted() {
    for plot in Plot::all() {
        let file = plot.file("memory/.keep", "").with_file_name("memory.jsonl");
        let folder = plot.path("memory");
        let post = plot.open("memory", &memory(&file, &format!("write = [{folder:?}]\n"))).await;
        let entity = json!({"name": "Casemate", "entityType": "fort", "observations": ["vaulted"]});
        let created = post.ask("create_entities", json!({ "entities": [entity] })).await;
        assert_eq!(created.json(), json!([entity]));
        // Another instance, in another cell.
        post.run(&["restart", "memory"]);
        let graph = post.ask("read_graph", json!({})).await.json();
        assert_eq!(graph, json!({"entities": [entity], "relations": []}));
        assert!(std::fs::read_to_string(&file).unwrap().contains("vaulted"));
        let origin = "npm:@modelcontextprotocol/server-memory@2026.8.31";
        post.expect(origin, &["create_entities", "read_graph"], &[("writable", &folder)]).await;
        post.close();
    }
}

#[tokio::test]
async fn server_memory_without_a_grant_keeps_nothing() {
    for plot in Plot::all() {
        let file = plot.file("memory/.keep", "").with_file_name("memory.jsonl");
        let post = plot.open("memory", &memory(&file, "")).await;
        let entity = json!({"name": "Casemate", "entityType": "fort", "observations": ["vaulted"]});
        let created = post.ask("create_entities", json!({ "entities": [entity] })).await;
        assert!(created.is_error && created.text.contains("ENOENT"), "{created:?}");
        assert!(!file.exists());
        post.close();
    }
}

/// A repository of the person with one file that is not in it yet, and the entry of a server for it.
fn repository(plot: &Plot, grant: &str) -> (PathBuf, String) {
    plot.file("repository/plan.txt", "star fort\n");
    let repository = plot.path("repository");
    let mut init = Command::new("git");
    assert!(init.args(["init", "--quiet"]).arg(&repository).status().unwrap().success());
    give_all(plot.person, &repository);
    let command = json!(["uvx", "mcp-server-git==2026.10.19", "--repository", repository]);
    let lines = format!("command = {command}\n{grant} = [{repository:?}]\n");
    (repository, lines)
}

fn give_all(person: Person, path: &Path) {
    person.give(path);
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give_all(person, &entry.unwrap().path()));
    }
}

#[tokio::test]
async fn mcp_server_git_changes_the_repository_that_is_granted() {
    for plot in Plot::all() {
        let (path, lines) = repository(&plot, "write");
        let post = plot.open("git", &lines).await;
        let status = post.ask("git_status", json!({ "repo_path": path })).await.ok();
        assert!(status.contains("Untracked files") && status.contains("plan.txt"), "{status}");
        post.ask("git_add", json!({"repo_path": path, "files": ["plan.txt"]})).await.ok();
        let status = post.ask("git_status", json!({ "repo_path": path })).await.ok();
        assert!(status.contains("new file:   plan.txt"), "{status}");
        let origin = "pypi:mcp-server-git@2026.10.19";
        post.expect(origin, &["git_status", "git_add"], &[("writable", &path)]).await;
        assert_eq!(post.close(), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn mcp_server_git_looks_at_a_repository_that_is_granted_for_reading() {
    for plot in Plot::all() {
        let (path, lines) = repository(&plot, "read");
        let post = plot.open("git", &lines).await;
        let status = post.ask("git_status", json!({ "repo_path": path })).await.ok();
        assert!(status.contains("Untracked files"), "{status}");
        let added = post.ask("git_add", json!({"repo_path": path, "files": ["plan.txt"]})).await;
        assert!(added.is_error, "{added:?}");
        assert!(!path.join(".git/index").exists());
        post.expect("pypi:mcp-server-git@2026.10.19", &["git_status"], &[("readable", &path)]).await;
        post.close();
    }
}

#[tokio::test]
async fn mcp_server_time_runs_in_a_cell() {
    for plot in Plot::all() {
        let post = plot.open("time", "command = [\"uvx\", \"mcp-server-time==2026.10.19\"]\n").await;
        let now = post.ask("get_current_time", json!({"timezone": "Asia/Kathmandu"})).await.json();
        assert!(now["datetime"].as_str().unwrap().ends_with("+05:45"), "{now}");
        let cell = post.expect("pypi:mcp-server-time@2026.10.19", &["get_current_time"], &[]).await;
        assert_eq!(cell["network"], Value::Null);
        assert_eq!(post.close(), Vec::<Value>::new());
    }
}

/// A web server with one page; its port.
fn site() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap_or(0) > 0 {}
            let (status, body) = match head.starts_with("GET /fort ") {
                true => ("200 OK", "A casemate is a vaulted room."),
                false => ("404 Not Found", ""),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}");
            // Who does not wait for the answer does without it.
            let _ = write!(stream.get_mut(), "{head}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    port
}

#[tokio::test]
async fn mcp_server_fetch_reaches_the_host_that_is_granted_and_no_other() {
    for plot in Plot::all() {
        let (granted, other) = (site(), site());
        let lines = format!(
            "command = [\"uvx\", \"mcp-server-fetch==2026.10.24\"]\nnetwork = [\"loopback localhost:{granted}\"]\n"
        );
        let post = plot.open("fetch", &lines).await;
        let fort = |host: &str, port| json!({"url": format!("http://{host}:{port}/fort")});
        let page = post.ask("fetch", fort("localhost", granted)).await.ok();
        assert!(page.contains("A casemate is a vaulted room."), "{page}");
        let cell = post.expect("pypi:mcp-server-fetch@2026.10.24", &["fetch"], &[]).await;
        assert_eq!(cell["network"], json!([format!("loopback localhost:{granted}")]));

        for (host, port) in [("denied.example", granted), ("localhost", other), ("192.0.2.1", granted)] {
            let page = post.ask("fetch", fort(host, port)).await;
            assert!(page.is_error && !page.text.contains("vaulted"), "{host}:{port}: {page:?}");
        }
        let records = post.close();
        let of = |verdict: &str, place: &str, port: u16| {
            let has = |record: &Value| {
                let at = record["name"] == place || record["address"] == place;
                record["verdict"] == verdict && at && record["port"] == port
            };
            assert!(records.iter().any(has), "{verdict} {place}:{port}: {records:#?}");
        };
        of("allowed", "127.0.0.1", granted);
        of("refused", "denied.example", 53);
        of("refused", "127.0.0.1", other);
        of("refused", "192.0.2.1", granted);
    }
}
