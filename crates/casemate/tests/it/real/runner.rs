//! A server that is fetched before it is started, exactly as the README adds it.

use std::ffi::OsStr;
use std::net::ToSocketAddrs;
use std::process::Command;

use casemate_store::records::tail;
use serde_json::Value;

use super::parts::Parts;
use super::site::{Said, Site};

/// An installation whose packages come from the public registries as this machine reaches them: at whatever addresses
/// it is given for their names, which in a test laboratory are not public ones.
fn site() -> Site {
    let site = Site::idle();
    let hosts = ["registry.npmjs.org:443", "pypi.org:443", "files.pythonhosted.org:443"];
    let addresses = hosts.iter().flat_map(|host| host.to_socket_addrs().into_iter().flatten());
    let places: Vec<String> = addresses.map(|address| address.to_string()).collect();
    let text = format!("[gateway]\nlisten = \"127.0.0.1:0\"\n\n[packages]\nreach = {places:?}\n");
    site.home.write("cm/casemate.toml", &text);
    site
}

/// A command of ours that has the user's way to the registries: certificates, mirrors, proxies.
fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = site.home.command(arguments);
    let ours = |name: &OsStr| name == "HOME" || name.to_string_lossy().starts_with("CASEMATE_");
    command.envs(std::env::vars_os().filter(|(name, _)| !ours(name)));
    command
}

fn records(site: &Site, kind: &str) -> Vec<Value> {
    let lines = tail(&site.home.root().join("data/records"), 1000).unwrap();
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}

#[test]
fn what_npx_names_is_prepared_once_and_started_without_network() {
    let Some(_) = Parts::find() else { return };
    let site = site();
    site.add("everything", &["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"]);
    let mut call = command(&site, &["call", "everything", "echo", r#"{"message":"hi"}"#, "--json"]);
    assert_eq!(Said::by_command(&call.output().unwrap()).ok(), "Echo: hi");
    site.expect("everything", "2025-11-25", &["echo"]);

    let fetched = records(&site, "network").len();
    assert!(fetched > 0);
    site.home.run(&["restart", "everything"]).ok();
    assert_eq!(records(&site, "network").len(), fetched, "it was fetched again");
    let [first, second] = records(&site, "cell-start").try_into().unwrap();
    assert_eq!(first["origin"], "npm:@modelcontextprotocol/server-everything@2026.8.31");
    assert_eq!(first["origin_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&first["origin_sha256"], &first["network"]),
        (&second["origin_sha256"], &Value::Array(vec![]))
    );
    site.close();
}

#[test]
fn what_names_no_version_is_refused_with_the_line_to_write() {
    let Some(_) = Parts::find() else { return };
    let site = site();
    let package = "@modelcontextprotocol/server-everything";
    let added = site.home.run(&["add", "everything", "--", "npx", "-y", package]);
    assert!(added.stderr.contains("it will not be started"), "{}", added.shown());
    let mut start = command(&site, &["call", "everything", "echo", "{}"]);
    assert!(!start.output().unwrap().status.success());
    let start = command(&site, &["start", "everything"]).output().unwrap();
    let said = String::from_utf8(start.stderr).unwrap();
    let line =
        said.split_once("write command = [\"npx\", \"-y\", \"@modelcontextprotocol/server-everything@");
    let version = line.unwrap_or_else(|| panic!("{said}")).1;
    assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{said}");
    assert!(records(&site, "cell-start").is_empty());
}
