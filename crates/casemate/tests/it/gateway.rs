//! A running gateway, for tests that talk to one.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use casemate_testkit::client::McpHttp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::home::Home;

/// `casemate up` in an installation; killed with the test.
pub(crate) struct Gateway {
    child: Child,
    /// What it said when it was ready.
    pub(crate) ready: Value,
    _stdout: BufReader<ChildStdout>,
}

impl Gateway {
    /// Starts a gateway on a port of its own and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(home: &Home) -> Gateway {
        Gateway::start_by(home, home.command(&["up", "--listen", "127.0.0.1:0", "--json"]))
    }

    /// The same by a command of which it is a part.
    #[track_caller]
    pub(crate) fn start_by(home: &Home, mut command: Command) -> Gateway {
        let log = std::fs::File::create(home.path().join("up.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line);
        let ready = ready.unwrap_or_else(|_| panic!("not ready: {line:?}\n{}", home.read("up.log")));
        Gateway { child, ready, _stdout: stdout }
    }

    /// Where all servers are joined.
    pub(crate) fn endpoint(&self) -> &str {
        self.ready["endpoint"].as_str().unwrap()
    }

    /// The endpoint of one server.
    pub(crate) fn endpoint_of(&self, server: &str) -> String {
        self.endpoint().replace("/mcp", &format!("/servers/{server}/mcp"))
    }

    /// A client with the first key.
    pub(crate) fn client(&self, url: &str) -> McpHttp {
        let key = std::fs::read_to_string(self.ready["key_file"].as_str().unwrap()).unwrap();
        McpHttp::new(url).bearer(key.trim())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fixture server's program.
pub(crate) fn fixture() -> PathBuf {
    casemate_testkit::bin_path("casemate-fixture").unwrap()
}

/// A home whose configuration has the fixture as a server named `fixture`.
pub(crate) fn home_with_fixture(settings: &str) -> Home {
    let home = Home::new();
    let program = fixture().display().to_string();
    let server = format!("[servers.fixture]\ncommand = [{program:?}, \"--stdio\"]\n{settings}");
    home.write("cm/casemate.toml", &server);
    home
}

/// The processes whose command line contains a text.
pub(crate) fn processes(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let runs = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    };
    pids.filter(runs).collect()
}

/// Waits until there is no such process, for as long as that can reasonably take.
#[track_caller]
pub(crate) fn wait_until_gone(text: &str) {
    for _ in 0..6000 {
        if processes(text).is_empty() {
            return;
        }
        // A process that belongs to nobody we know tells nobody of its end.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("still there: {text}: {:?}", processes(text));
}
