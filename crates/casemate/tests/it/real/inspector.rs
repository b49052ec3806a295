//! The Inspector's command line, in both eras, over HTTP and as a client that `casemate install` has set up.

use std::process::Command;

use serde_json::Value;

use super::parts::Parts;
use super::site::Site;

const ERAS: [&str; 2] = ["legacy", "modern"];

#[test]
fn the_inspector_over_http() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start().with_everything(&parts);
    let key = format!("Authorization: Bearer {}", site.key());
    let one = site.endpoint_of("everything");
    for era in ERAS {
        lists_and_calls(&parts, &site, (&[site.endpoint(), "--header", &key], era, "everything__echo"));
        lists_and_calls(&parts, &site, (&[&one, "--header", &key], era, "echo"));
    }
    let mut stranger = inspector(&parts, &site, (&[site.endpoint()], "modern", &["--method", "tools/list"]));
    let refused = stranger.output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    assert!(!String::from_utf8_lossy(&refused.stdout).contains("everything__echo"), "{refused:?}");
    site.close();
}

#[test]
fn the_inspector_with_the_entry_that_install_writes() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start().with_everything(&parts);
    site.home.run(&["install", "cursor"]).ok();
    let entry = site.home.path().join(".cursor/mcp.json");
    let target = ["--config", entry.to_str().unwrap(), "--server", "casemate"];
    for era in ERAS {
        lists_and_calls(&parts, &site, (&target, era, "everything__echo"));
    }
    site.close();
}

#[track_caller]
fn lists_and_calls(parts: &Parts, site: &Site, (target, era, echo): (&[&str], &str, &str)) {
    let run = |method: &[&str]| -> Value {
        let output = inspector(parts, site, (target, era, method)).output().unwrap();
        let result = serde_json::from_slice(&output.stdout);
        result.unwrap_or_else(|_| panic!("{era} {method:?}: {output:?}"))
    };
    let list = run(&["--method", "tools/list"]);
    let tools = list["result"]["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == echo), "{list:#}");
    let call = run(&["--method", "tools/call", "--tool-name", echo, "--tool-arg", "message=hi"]);
    assert_eq!(call["result"]["content"][0]["text"], "Echo: hi", "{call:#}");
}

/// The Inspector, ready to run.
pub(super) fn inspector(parts: &Parts, site: &Site, how: (&[&str], &str, &[&str])) -> Command {
    let (target, era, method) = how;
    let mut command = site.program(&parts.npm("mcp-inspector"));
    command.arg("--cli").args(target).args(["--protocol-era", era]).args(method).args(["--format", "json"]);
    // It would look for a keychain, which a machine without a desktop does not have.
    command.env("MCP_INSPECTOR_SECRET_STORE", "memory");
    command
}
