//! Real servers through real clients: five servers from npm and PyPI behind one gateway, and the official SDKs
//! and the Inspector in front of it, over HTTP and over `casemate connect`, in both eras.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::cache::Cache;
use crate::console::say;
use crate::installation::{Installation, Running};
use crate::{environment, process, target};

/// What the clients talk to.
struct Site {
    installation: Installation,
    gateway: Running,
    casemate: PathBuf,
    key: String,
    /// What the servers may touch.
    ground: tempfile::TempDir,
}

/// Runs all clients.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    target::build()?;
    let (node, python) = (cache.node()?, cache.python()?);
    let site = Site::build(&node, &python)?;
    let talk = || -> Result<()> {
        let plan = site.plan(&cache.folder().join("node")).to_string();
        let script = |name: &str| environment::root().join("xtask/peers").join(name);
        process::run(process::command(python.join("python")).arg(script("client.py")).arg(&plan))?;
        process::run(process::command(node.join("node")).arg(script("client.mjs")).arg(&plan))?;
        for way in [&["--protocol-era", "legacy"][..], &["--protocol-era", "modern"], &[]] {
            site.inspect(&node, way)?;
        }
        Ok(())
    };
    talk().with_context(|| format!("the gateway printed:\n{}", site.installation.printed()))
}

impl Site {
    /// Starts the gateway with all servers configured.
    fn build(node: &Path, python: &Path) -> Result<Site> {
        let ground = tempfile::tempdir()?;
        let path = ground.path();
        fs::write(path.join("note.txt"), "a note")?;
        process::capture(process::command("git").args(["init", "--quiet"]).arg(path))?;
        let casemate = target::program("debug", "casemate")?;
        let text = |path: PathBuf| toml_edit::Value::from(path.to_string_lossy().into_owned());
        let npm = |name: &str| format!("{}, {}", text(node.join("node")), text(node.join(name)));
        let configuration = format!(
            "[servers.everything]\ncommand = [{}, \"stdio\"]\n\
             [servers.filesystem]\ncommand = [{}, {ground}]\n\
             [servers.memory]\ncommand = [{}]\nenv.MEMORY_FILE_PATH = {}\n\
             [servers.git]\ncommand = [{}, \"--repository\", {ground}]\n\
             [servers.time]\ncommand = [{}]\n",
            npm("mcp-server-everything"),
            npm("mcp-server-filesystem"),
            npm("mcp-server-memory"),
            text(path.join("memory.jsonl")),
            text(python.join("mcp-server-git")),
            text(python.join("mcp-server-time")),
            ground = text(path.to_owned()),
        );
        let installation = Installation::new(&casemate, &configuration)?;
        let key = installation.key("user")?;
        let gateway = installation
            .up(process::command(&casemate))
            .with_context(|| format!("the gateway printed:\n{}", installation.printed()))?;
        Ok(Site { installation, gateway, casemate, key, ground })
    }

    /// What a client script has to know.
    fn plan(&self, packages: &Path) -> Value {
        let ground = self.ground.path();
        json!({
            "url": self.url(),
            "key": self.key,
            "connect": [self.casemate, "connect"],
            "home": self.installation.home(),
            "packages": packages,
            "calls": [
                {"tool": "everything__echo", "arguments": {"message": "hi there"}, "contains": "hi there"},
                {"tool": "filesystem__read_text_file", "arguments": {"path": ground.join("note.txt")}, "contains": "a note"},
                {"tool": "memory__read_graph", "arguments": {}, "contains": "entities"},
                {"tool": "git__git_status", "arguments": {"repo_path": ground}, "contains": "note.txt"},
                {"tool": "time__get_current_time", "arguments": {"timezone": "UTC"}, "contains": "UTC"},
            ],
        })
    }

    /// Lists and calls with the Inspector: over HTTP in an era, or over `casemate connect` when none is given.
    fn inspect(&self, node: &Path, era: &[&str]) -> Result<()> {
        let ask = |rest: &[&str]| -> Result<String> {
            let mut inspector = self.inspector(node, era)?;
            process::capture(inspector.args(["--format", "json", "--method"]).args(rest))
        };
        let listed = ask(&["tools/list"])?;
        ensure!(listed.contains("\"time__get_current_time\""), "the Inspector lists:\n{listed}");
        let called =
            ask(&["tools/call", "--tool-name", "everything__echo", "--tool-arg", "message=hi there"])?;
        ensure!(called.contains("hi there"), "the Inspector got:\n{called}");
        let way = era.last().map_or("stdio".to_owned(), |era| format!("http, {era}"));
        say(format_args!("Inspector over {way}: a list and a call"));
        Ok(())
    }

    fn inspector(&self, node: &Path, era: &[&str]) -> Result<Command> {
        let mut command = process::command(node.join("node"));
        command.arg(node.join("mcp-inspector")).arg("--cli");
        // It writes a folder of its own into the home.
        command.env("HOME", self.installation.home()).env("PATH", environment::path_with(node)?);
        if era.is_empty() {
            let home = format!("CASEMATE_HOME={}", self.installation.home().display());
            command.arg(&self.casemate).args(["connect", "-e", &home]);
        } else {
            let authorization = format!("Authorization: Bearer {}", self.key);
            command.args([&self.url(), "--transport", "http", "--header", &authorization]).args(era);
        }
        Ok(command)
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.gateway.address)
    }
}
