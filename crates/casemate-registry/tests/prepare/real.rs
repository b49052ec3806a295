//! Real servers from the real registries, started from read-only trees in full cells without network.
//!
//! `CASEMATE_TEST_CACHE` names the folder that keeps them between runs (docs/decisions/0009). Where it is not set these
//! tests are skipped, and say so.

use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

use casemate_net::Destination;
use casemate_registry::{Asked, Ecosystem, Packages, Prepared, Registry as Source, Scripts, Sources};
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

/// Where prepared packages are kept between runs.
pub(crate) fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("CASEMATE_TEST_CACHE").filter(|value| !value.is_empty());
    if cache.is_none() {
        eprintln!("not tried, because CASEMATE_TEST_CACHE is not set: real servers");
    }
    Some(PathBuf::from(cache?).join("prepared"))
}

/// The public registries as this machine reaches them: with its certificates, and at whatever addresses it is given for
/// their names, which in a test laboratory are not public ones.
pub(crate) fn sources() -> Sources {
    let reaching = |registry: Source, hosts: &[&str]| {
        let names = hosts.iter().map(|host| format!("{host}:443"));
        let addresses = hosts.iter().flat_map(|host| (*host, 443).to_socket_addrs().into_iter().flatten());
        let places = names.chain(addresses.map(|address| address.to_string()));
        registry.reaching(places.map(|place| place.parse::<Destination>().unwrap()))
    };
    let bundle = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"].into_iter().find_map(std::env::var_os);
    let Sources { npm, pypi, .. } = Sources::default();
    Sources {
        npm: reaching(npm, &["registry.npmjs.org"]),
        pypi: reaching(pypi, &["pypi.org", "files.pythonhosted.org"]),
        ca_bundle: bundle.map(PathBuf::from).filter(|bundle| bundle.exists()),
        ..Sources::default()
    }
}

struct Site {
    runtime: tokio::runtime::Runtime,
    spawner: Spawner,
    packages: Packages,
}

impl Site {
    fn new() -> Site {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let spawner = Spawner::start().unwrap();
        let packages = Packages::new(spawner.clone(), settings(&cache().unwrap(), sources()));
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
    let site = Site::new();
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
