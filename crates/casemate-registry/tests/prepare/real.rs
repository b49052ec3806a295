//! Real servers from the real registries, started from read-only trees in full cells without network.
//!
//! `CASEMATE_TEST_CACHE` names the folder that keeps them between runs (docs/decisions/0009). Where it is not set these
//! tests are skipped, and say so.

use std::path::{Path, PathBuf};

use casemate_registry::{Asked, Ecosystem, Packages, Prepared, Scripts, Settings, Sources};
use casemate_sandbox::{Access, Spawner};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::Body;
use crate::world::{asked, settings, spec};

pub(crate) const NPM: &[(&str, Body)] = &[
    ("real::server_everything", server_everything),
    ("real::server_memory", server_memory),
    ("real::server_filesystem", server_filesystem),
    ("real::the_current_version_is_looked_up", the_current_version_is_looked_up),
];

pub(crate) const PYPI: &[(&str, Body)] = &[
    ("real::server_time", server_time),
    ("real::server_git", server_git),
    ("real::server_fetch", server_fetch),
    ("real::by_uv", by_uv),
    ("real::another_python", another_python),
    ("real::the_current_version_of_python_packages", the_current_version_of_python_packages),
];

/// Where prepared packages are kept between runs.
pub(crate) fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("CASEMATE_TEST_CACHE").filter(|value| !value.is_empty());
    if cache.is_none() {
        eprintln!("not tried, because CASEMATE_TEST_CACHE is not set: real servers");
    }
    Some(PathBuf::from(cache?))
}

/// The public registries as this machine reaches them, with its certificates.
pub(crate) fn sources() -> Sources {
    let bundle = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"].into_iter().find_map(std::env::var_os);
    let ca_bundle = bundle.map(PathBuf::from).filter(|bundle| bundle.exists());
    Sources { ca_bundle, ..Sources::default() }
}

struct Site {
    runtime: tokio::runtime::Runtime,
    spawner: Spawner,
    packages: Packages,
}

impl Site {
    fn new() -> Site {
        Site::with("prepared", |_| {})
    }

    fn with(folder: &str, change: impl FnOnce(&mut Settings)) -> Site {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let spawner = Spawner::start().unwrap();
        let mut settings = settings(&cache().unwrap().join(folder), sources());
        change(&mut settings);
        let packages = Packages::new(spawner.clone(), settings);
        Site { runtime, spawner, packages }
    }

    fn prepare(&self, line: &str) -> Prepared {
        let prepared = self.runtime.block_on(self.packages.prepare(&asked(line), Scripts::Never));
        prepared.unwrap_or_else(|fault| panic!("{line}: {fault}; {} ({fault:?})", fault.hint()))
    }

    /// The names of the tools that a server has, in order.
    fn tools(&self, prepared: &Prepared, folder: Option<&Path>) -> Vec<String> {
        let mut spec = spec(prepared);
        if let (Some(cell), Some(folder)) = (&mut spec.cell, folder) {
            *cell = cell.clone().grant(Access::Read, folder);
        }
        self.runtime.block_on(async {
            let (io, _handle) = self.spawner.spawn(spec).await.unwrap().split();
            let (mut stdin, mut stdout) = (io.stdin, BufReader::new(io.stdout).lines());
            let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
            let lines = [
                json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
                json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
                json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
            ];
            for line in lines {
                stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            }
            while let Some(line) = stdout.next_line().await.unwrap() {
                let message: Value = serde_json::from_str(&line).unwrap();
                if message["id"] == 2 {
                    let tools = message["result"]["tools"].as_array().unwrap().iter();
                    return tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
                }
            }
            let mut said = String::new();
            tokio::io::AsyncReadExt::read_to_string(&mut BufReader::new(io.stderr), &mut said).await.unwrap();
            panic!("it has ended: {said}");
        })
    }
}

fn expect(line: &str, folder: Option<&Path>, tool: &str) {
    expect_at(&Site::new(), line, folder, tool);
}

fn expect_at(site: &Site, line: &str, folder: Option<&Path>, tool: &str) {
    let tools = site.tools(&site.prepare(line), folder);
    assert!(tools.iter().any(|name| name == tool), "{line}: {tools:?}");
}

fn server_everything() {
    expect("npx -y @modelcontextprotocol/server-everything@2026.8.31", None, "echo");
}

fn server_memory() {
    expect("npx -y @modelcontextprotocol/server-memory@2026.8.31", None, "read_graph");
}

fn server_filesystem() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let line =
        format!("npx -y @modelcontextprotocol/server-filesystem@2026.8.31 {}", folder.path().display());
    expect(&line, Some(folder.path()), "read_text_file");
}

fn the_current_version_is_looked_up() {
    let site = Site::new();
    let hint = |program: &str, package: &str| {
        let fault = Asked::recognize(program, &[package.to_owned()]).unwrap().unwrap_err();
        let found = site.runtime.block_on(site.packages.current(&fault));
        (fault.wanted().next().unwrap().ecosystem, fault.hint(&found))
    };
    let (ecosystem, hint) = hint("npx", "@modelcontextprotocol/server-everything");
    assert_eq!(ecosystem, Ecosystem::Npm);
    assert!(
        hint.starts_with(r#"write command = ["npx", "@modelcontextprotocol/server-everything@2"#),
        "{hint}"
    );
}

fn server_time() {
    expect("uvx mcp-server-time@2026.10.19", None, "get_current_time");
}

fn server_git() {
    expect("uvx mcp-server-git==2026.10.19", None, "git_status");
}

fn server_fetch() {
    expect("pipx run --spec mcp-server-fetch==2026.10.24 mcp-server-fetch", None, "fetch");
}

/// The folder with the uv of the cache.
pub(crate) fn uv() -> Option<PathBuf> {
    let folder = cache()?.join("uv/bin").canonicalize().ok().filter(|folder| folder.join("uv").is_file());
    if folder.is_none() {
        eprintln!("not tried, because the test cache has no uv/bin/uv: everything by uv");
    }
    folder
}

/// As [`server_time`], by the uv that the cache has in `uv/bin`.
fn by_uv() {
    let Some(uv) = uv() else { return };
    let site = Site::with("prepared-by-uv", |settings| settings.search = vec![uv]);
    expect_at(&site, "uvx mcp-server-time==2026.10.19", None, "get_current_time");
    let lock = std::fs::read_to_string(site.prepare("uvx mcp-server-time==2026.10.19").lock).unwrap();
    assert!(lock.contains(r#""installer": "uv""#), "{lock}");
    let fault = |line: &str| {
        let fault = site.runtime.block_on(site.packages.prepare(&asked(line), Scripts::Never)).unwrap_err();
        format!("{fault}; {}", fault.hint())
    };
    let absent = fault("uvx mcp-server-time==2026.10.20");
    assert!(absent.starts_with("there is no version 2026.10.20 of mcp-server-time; the nearest"), "{absent}");
    let source = fault("uvx docopt==0.6.2");
    assert!(source.starts_with("docopt 0.6.2 has no wheel for Python 3."), "{source}");
    let nobody = fault("uvx mcp-server-of-nobody-at-all==1.0");
    assert!(nobody.contains("has no package mcp-server-of-nobody-at-all"), "{nobody}");
    let unpinned = Asked::recognize("uvx", &["mcp-server-time".to_owned()]).unwrap().unwrap_err();
    let hint = unpinned.hint(&site.runtime.block_on(site.packages.current(&unpinned)));
    assert!(hint.contains("mcp-server-time==2"), "{hint}");
}

/// An interpreter that a version manager keeps below the user's home.
fn another_python() {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    let versions = home.join(".pyenv/versions").read_dir().into_iter().flatten().flatten();
    let mut versions = versions.filter_map(|entry| entry.file_name().into_string().ok());
    let Some(version) = versions.find(|version| version.starts_with("3.12.")) else {
        eprintln!("not tried, because pyenv has no Python 3.12 here: another Python");
        return;
    };
    let site = Site::with("prepared", |settings| settings.home.clone_from(&home));
    expect_at(&site, "uvx --python 3.12 mcp-server-time==2026.10.19", None, "get_current_time");
    let prepared = site.prepare("uvx --python 3.12 mcp-server-time==2026.10.19");
    assert!(prepared.runtime.iter().any(|path| path.ends_with(&version)), "{:?}", prepared.runtime);
    let asked = asked("uvx --python 3.99 mcp-server-time==2026.10.19");
    let fault = site.runtime.block_on(site.packages.prepare(&asked, Scripts::Never)).unwrap_err();
    assert_eq!(fault.to_string(), "there is no Python 3.99 here");
}

fn the_current_version_of_python_packages() {
    let site = Site::new();
    let fault = Asked::recognize("uvx", &["mcp-server-time".to_owned()]).unwrap().unwrap_err();
    let found = site.runtime.block_on(site.packages.current(&fault));
    let hint = fault.hint(&found);
    assert!(hint.starts_with(r#"write command = ["uvx", "mcp-server-time==2"#), "{hint}");
}
