//! Where servers come from, as far as their entries say: by that two entries of one program are told from two programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use casemate_gateway::snapshot::{CommandSource, ServerEntry, Source};
use casemate_mcp::names::ServerName;
use casemate_registry::Asked;

/// The origin of each server: `npm:NAME`, `pypi:NAME`, `image:NAME`, `host:NAME`, `socket:PLACE` or `program:PATH`.
pub(super) fn of(servers: &BTreeMap<ServerName, Arc<ServerEntry>>) -> BTreeMap<ServerName, Arc<str>> {
    servers.iter().map(|(name, entry)| (name.clone(), origin(entry).into())).collect()
}

fn origin(entry: &ServerEntry) -> String {
    match &entry.source {
        Source::Command(command) => package(command).unwrap_or_else(|| program(command)),
        Source::Image(image) => {
            let name = image.image.split('@').next().unwrap_or_default();
            // A colon after the last slash begins a tag, one before it a port.
            let tag = name.rfind(':').filter(|colon| !name.get(*colon..).unwrap_or_default().contains('/'));
            format!("image:{}", tag.and_then(|colon| name.get(..colon)).unwrap_or(name))
        }
        Source::Http(remote) => {
            format!("host:{}", remote.url.host().unwrap_or_default().to_ascii_lowercase())
        }
        Source::Socket(socket) => format!("socket:{socket}"),
    }
}

/// What a package runner would fetch, whatever the version.
fn package(command: &CommandSource) -> Option<String> {
    let asked = Asked::recognize(&command.program, &command.args)?.ok()?;
    let name = asked.packages().first()?.name().to_owned();
    Some(format!("{}:{name}", asked.ecosystem().as_str()))
}

/// A program with its first plain argument: the script, where it is an interpreter.
fn program(command: &CommandSource) -> String {
    let script = command.args.iter().find(|argument| !argument.starts_with('-'));
    format!("program:{} {}", command.program, script.map_or("", String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin_of(line: &str) -> String {
        let text = format!("[servers.one]\n{line}\n");
        let loaded =
            crate::resolve::tests::World::default().load(&crate::resolve::tests::written(&text)).unwrap();
        of(&loaded.snapshot.servers).into_values().next().unwrap().to_string()
    }

    #[test]
    fn an_origin_is_the_same_whatever_the_version_and_the_arguments() {
        let digest = "a".repeat(64);
        for (line, expected) in [
            (r#"command = ["npx", "-y", "@scope/server@1.2.3", "/srv"]"#.to_owned(), "npm:@scope/server"),
            (r#"command = ["uvx", "mcp-server-git==2026.1.1"]"#.to_owned(), "pypi:mcp-server-git"),
            (
                r#"command = ["python3", "-u", "/srv/bank.py", "x"]"#.to_owned(),
                "program:python3 /srv/bank.py",
            ),
            (format!("image = \"ghcr.io/x/y:1@sha256:{digest}\""), "image:ghcr.io/x/y"),
            (format!("image = \"localhost:5000/y@sha256:{digest}\""), "image:localhost:5000/y"),
            (r#"url = "https://MCP.example.com/mcp?x""#.to_owned(), "host:mcp.example.com"),
        ] {
            assert_eq!(origin_of(&line), expected);
        }
    }
}
