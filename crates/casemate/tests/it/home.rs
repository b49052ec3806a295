//! An installation of its own for each test.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program under test.
pub(crate) const CASEMATE: &str = env!("CARGO_BIN_EXE_casemate");

/// A home that is gone after the test. Its path is short, since sockets lie in it.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { folder: tempfile::Builder::new().prefix("cm").tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The installation's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("cm")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// The program with this home and nothing else of our environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(CASEMATE);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("CASEMATE_HOME", self.root())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.ended(&self.command(arguments).output().unwrap())
    }

    /// Runs the program with a text on stdin.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.ended(&child.wait_with_output().unwrap())
    }

    /// What stands in the records, in the order of their numbers.
    pub(crate) fn records(&self) -> Vec<Value> {
        let files =
            fs::read_dir(self.root().join("data/records")).unwrap().map(|entry| entry.unwrap().path());
        let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        let mut records: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        records.sort_by_key(|record| record["seq"].as_u64());
        records
    }

    /// What a person did to the installation: the act and to what, and the rest.
    pub(crate) fn acts(&self) -> Vec<(String, String)> {
        let told = |record: &Value| {
            assert!(record["by"].as_str().unwrap().starts_with("local:"), "{record}");
            let detail = record["detail"].as_str().unwrap_or_default();
            (format!("{} {}", record["act"], record["object"]).replace('"', ""), detail.to_owned())
        };
        self.records().iter().filter(|record| record["kind"] == "act").map(told).collect()
    }

    pub(crate) fn ended(&self, output: &Output) -> Ended {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(&self.path().display().to_string(), "[HOME]").replace(CASEMATE, "[CASEMATE]")
        };
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// How the program ended and what it said; paths that differ from run to run are replaced.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Both streams and the code, as one text to compare.
    pub(crate) fn shown(&self) -> String {
        let mut shown =
            format!("exit {}\n", self.code.map_or("by signal".to_owned(), |code| code.to_string()));
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                shown.push_str(&format!("--- {name}\n{text}"));
            }
        }
        shown
    }

    /// Stdout, of a program that succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.shown());
        self.stdout
    }
}

/// Says which part of a test is left out on this machine, and why.
pub(crate) fn skipped(why: &str) {
    let test = std::thread::current();
    let said = format!("SKIPPED {}: {why}\n", test.name().unwrap_or("a test"));
    // Straight to the terminal: what goes through `eprintln!` is shown for tests that fail alone.
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}
