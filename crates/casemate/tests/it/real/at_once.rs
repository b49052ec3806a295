//! Clients that start at the same time, on a machine where no gateway runs.

use std::process::{Command, Stdio};

use super::inspector::inspector;
use super::parts::Parts;
use super::sdks::{Era, Scope, Sdk, Transport, client, wish};
use super::site::Site;
use crate::gateway::processes;

#[test]
fn five_real_clients_at_once_start_one_gateway() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::idle().with_everything(&parts);
    site.home.run(&["install", "cursor"]).ok();
    let entry = site.home.path().join(".cursor/mcp.json");
    let target = ["--config", entry.to_str().unwrap(), "--server", "casemate"];
    let call = ["--method", "tools/call", "--tool-name", "everything__echo", "--tool-arg", "message=hi"];
    let by_sdk = |sdk, era| {
        let wish = wish(&site, (era, Transport::Connect, Scope::Joined), None);
        client(&parts, &site, (sdk, &wish))
    };
    let clients: [Command; 5] = [
        by_sdk(Sdk::Python, Era::Legacy),
        by_sdk(Sdk::Python, Era::Modern),
        by_sdk(Sdk::TypeScript, Era::Legacy),
        inspector(&parts, &site, (&target, "legacy", &call)),
        inspector(&parts, &site, (&target, "modern", &call)),
    ];
    let running =
        clients.map(|mut client| client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let ended = running.map(|client| client.wait_with_output().unwrap());

    for output in &ended {
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Echo: hi"), "{output:?}");
    }
    let root = site.home.root().display().to_string();
    assert_eq!(processes(&format!("up --background --json --home {root}")).len(), 1);
    // Who starts one says so, also if it does not come up because another one was there first.
    let said =
        ended.iter().filter(|output| String::from_utf8_lossy(&output.stderr).contains("No gateway runs"));
    assert_eq!(said.count(), 1, "{ended:?}");
    site.close();
}
