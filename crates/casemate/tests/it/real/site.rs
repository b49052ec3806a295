//! An installation with its gateway and its servers, and the proof that nothing of it stays behind.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use super::parts::Parts;
use crate::gateway::{Gateway, fixture};
use crate::home::Home;

/// How long processes may take to end on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// One installation. Whatever becomes of the test, its gateway is stopped.
pub(super) struct Site {
    pub(super) home: Home,
    gateway: Option<Gateway>,
}

impl Site {
    /// One whose gateway runs.
    pub(super) fn start() -> Site {
        let home = Home::new();
        let gateway = Some(Gateway::start(&home));
        Site { home, gateway }
    }

    /// One without a gateway: who needs it starts it.
    pub(super) fn idle() -> Site {
        let home = Home::new();
        home.write("cm/casemate.toml", "[gateway]\nlisten = \"127.0.0.1:0\"\n");
        Site { home, gateway: None }
    }

    /// Adds the server that has something of everything.
    pub(super) fn with_everything(self, parts: &Parts) -> Site {
        self.add("everything", &parts.npm("mcp-server-everything"));
        self
    }

    /// Adds our own fixture, which asks questions in the modern era.
    pub(super) fn with_fixture(self) -> Site {
        self.add("fixture", &[fixture().display().to_string(), "--stdio".to_owned()]);
        self
    }

    /// `casemate add NAME -- COMMAND…`
    #[track_caller]
    pub(super) fn add(&self, name: &str, command: &[impl AsRef<str>]) {
        self.add_with(name, &[], command);
    }

    /// `casemate add NAME OPTIONS… -- COMMAND…`
    #[track_caller]
    pub(super) fn add_with(&self, name: &str, options: &[&str], command: &[impl AsRef<str>]) {
        let command = command.iter().map(AsRef::as_ref);
        let options = options.iter().copied();
        let line: Vec<&str> = ["add", name].into_iter().chain(options).chain(["--"]).chain(command).collect();
        self.home.run(&line).ok();
    }

    /// Where all servers are joined.
    pub(super) fn endpoint(&self) -> &str {
        self.gateway.as_ref().unwrap().endpoint()
    }

    /// The endpoint of one server.
    pub(super) fn endpoint_of(&self, server: &str) -> String {
        self.gateway.as_ref().unwrap().endpoint_of(server)
    }

    /// The key that the first start made.
    pub(super) fn key(&self) -> String {
        let file = self.gateway.as_ref().unwrap().ready["key_file"].as_str().unwrap();
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// A call from the command line.
    #[track_caller]
    pub(super) fn call(&self, server: &str, tool: &str, arguments: &Value) -> Said {
        let mut command = self.home.command(&["call", server, tool, &arguments.to_string(), "--json"]);
        Said::by_command(&command.output().unwrap())
    }

    /// A call through the endpoint where all servers are joined.
    pub(super) async fn ask(&self, server: &str, tool: &str, arguments: &Value) -> Said {
        let gateway = self.gateway.as_ref().unwrap();
        let client = gateway.client(gateway.endpoint()).modern(json!({}));
        let result = client.call(&format!("{server}__{tool}"), arguments.clone()).await;
        Said::of(&result.unwrap())
    }

    /// That a server runs, which revision the gateway speaks with it, and which tools it shows among others. One that said
    /// nothing for 5 s, as happens when many start at once, was spoken to in the older dialect; alone it is asked again.
    #[track_caller]
    pub(super) fn expect(&self, server: &str, revision: &str, tools: &[&str]) {
        let mut row = self.row(server);
        if row["state"]["instances"][0]["revision"] != revision {
            self.home.run(&["restart", server]).ok();
            row = self.row(server);
        }
        assert_eq!(row["state"]["state"], "running", "{row:#}");
        assert_eq!(row["state"]["instances"][0]["revision"], revision, "{row:#}");

        let shown: Value = serde_json::from_str(&self.home.run(&["show", server, "--json"]).ok()).unwrap();
        let names: Vec<&str> =
            shown["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert!(tools.iter().all(|tool| names.contains(tool)), "{names:?}");
    }

    fn row(&self, server: &str) -> Value {
        let list: Value = serde_json::from_str(&self.home.run(&["list", "--json"]).ok()).unwrap();
        let servers = list["servers"].as_array().unwrap();
        servers.iter().find(|row| row["name"] == server).unwrap().clone()
    }

    /// Another program with this home and nothing else of our environment.
    pub(super) fn program(&self, line: &[String]) -> Command {
        let (program, arguments) = line.split_first().unwrap();
        let mut command = Command::new(program);
        let surroundings = self.home.command(&[]);
        let variables = surroundings.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.args(arguments).env_clear().envs(variables).stdin(Stdio::null());
        // What is installed for clients says where the installation is; what they inherit does not.
        command.env_remove("CASEMATE_HOME");
        command
    }

    /// Stops the gateway and waits until no process is left.
    #[track_caller]
    pub(super) fn close(mut self) {
        let before = residents(self.home.path());
        assert!(before.len() > 1, "neither gateway nor servers are seen: {before:?}");
        assert!(self.home.run(&["down"]).ok().contains("has stopped"));
        if let Some(mut gateway) = self.gateway.take() {
            assert!(gateway.wait().success(), "{}", self.home.read("up.log"));
        }
        let deadline = Instant::now() + PATIENCE;
        before.iter().for_each(|resident| resident.wait(deadline));
        // Those that were started meanwhile.
        while let Some(resident) = residents(self.home.path()).first() {
            resident.wait(deadline);
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.home.run(&["down", "--grace", "0"]);
    }
}

/// What a tool said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) is_error: bool,
}

impl Said {
    /// What `casemate call --json` printed; its exit code has to agree.
    #[track_caller]
    pub(super) fn by_command(output: &Output) -> Said {
        let text = String::from_utf8_lossy(&output.stdout);
        let result = serde_json::from_str(&text);
        let said = Said::of(&result.unwrap_or_else(|_| panic!("no result: {output:?}")));
        assert_eq!(output.status.code(), Some(if said.is_error { 5 } else { 0 }), "{output:?}");
        said
    }

    pub(super) fn of(result: &Value) -> Said {
        let parts = result["content"].as_array().unwrap().iter().filter_map(|part| part["text"].as_str());
        Said { text: parts.collect::<Vec<_>>().join("\n"), is_error: result["isError"] == true }
    }

    /// The text, which is no error.
    #[track_caller]
    pub(super) fn ok(self) -> String {
        assert!(!self.is_error, "{self:?}");
        self.text
    }

    /// The text as JSON.
    #[track_caller]
    pub(super) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// A process of an installation.
#[derive(Debug)]
struct Resident {
    line: String,
    process: OwnedFd,
}

impl Resident {
    /// Waits for its end, which is an event also where it is not our child.
    #[track_caller]
    fn wait(&self, deadline: Instant) {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap();
        let ended = poll(&mut [PollFd::new(&self.process, PollFlags::IN)], Some(&left)).unwrap();
        assert_eq!(ended, 1, "still there: {}", self.line);
    }
}

/// The processes that know the home of a test, from their environment or their command line, and all that they
/// started.
///
/// Its name is random, and every process that belongs to the installation inherits it, but for the first one of each
/// server's namespace, which is told nothing. A process that has ended has neither environment nor command line.
fn residents(home: &Path) -> Vec<Resident> {
    let home = home.to_str().unwrap().as_bytes();
    let knows = |text: &[u8]| text.windows(home.len()).any(|window| window == home);
    let read =
        |pid: Pid, file| std::fs::read(format!("/proc/{}/{file}", pid.as_raw_pid())).unwrap_or_default();
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let all = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let (mut inside, mut rest): (Vec<Pid>, Vec<Pid>) =
        all.partition(|pid| knows(&read(*pid, "cmdline")) || knows(&read(*pid, "environ")));
    loop {
        let is_child = |pid: &Pid| parent(&read(*pid, "stat")).is_some_and(|parent| inside.contains(&parent));
        let (mut children, others): (Vec<Pid>, Vec<Pid>) = rest.into_iter().partition(is_child);
        if children.is_empty() {
            break;
        }
        inside.append(&mut children);
        rest = others;
    }
    let resident = |pid: Pid| {
        let line = String::from_utf8_lossy(&read(pid, "cmdline")).replace('\0', " ");
        // One that has ended meanwhile cannot be opened.
        Some(Resident { line, process: pidfd_open(pid, PidfdFlags::empty()).ok()? })
    };
    inside.into_iter().filter_map(resident).collect()
}

/// The parent, out of `/proc/PID/stat`: the second field after the name, which stands in parentheses.
fn parent(stat: &[u8]) -> Option<Pid> {
    let stat = String::from_utf8_lossy(stat);
    let (_, fields) = stat.rsplit_once(')')?;
    Pid::from_raw(fields.split_whitespace().nth(1)?.parse().ok()?)
}
