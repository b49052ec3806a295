//! Command lines that ask a container engine, which no cell reaches.

use casemate_mcp::names::ServerName;

use crate::exit::Exit;
use crate::failure::Failure;

/// The programs that ask one.
const CLIENTS: [&str; 3] = ["docker", "podman", "nerdctl"];

/// The options of `run` that stand alone; others may have a value behind them.
const SWITCHES: [&str; 12] = [
    "-i",
    "-t",
    "-d",
    "-it",
    "-ti",
    "--rm",
    "--init",
    "--interactive",
    "--tty",
    "--detach",
    "--privileged",
    "--read-only",
];

/// A command line that asks a container engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Engine {
    client: String,
    /// The image that it runs, where that can be told.
    image: Option<String>,
}

impl Engine {
    /// Judges a command line and the names of its variables: `DOCKER_HOST` may lead to an engine that the network grants
    /// reach.
    pub(super) fn of<'v>(command: &[String], mut variables: impl Iterator<Item = &'v str>) -> Option<Engine> {
        let (program, args) = command.split_first()?;
        let client = program.rsplit('/').next().unwrap_or(program);
        if !CLIENTS.contains(&client)
            || variables.any(|name| name == "DOCKER_HOST" || name == "CONTAINER_HOST")
        {
            return None;
        }
        Some(Engine { client: client.to_owned(), image: image(args) })
    }

    /// Why it cannot be a server.
    pub(super) fn why(&self) -> String {
        format!("`{}` asks a container engine, and no cell reaches one", self.client)
    }

    /// The entry's line, or what comes closest to it. An image is named by its digest.
    pub(super) fn image(&self) -> String {
        let image = self.image.as_deref().unwrap_or("IMAGE");
        if image.contains("@sha256:") { image.to_owned() } else { format!("{}@sha256:…", untagged(image)) }
    }

    /// It is not added as it stands.
    pub(super) fn refused(&self, name: &ServerName) -> Failure {
        Failure::new(Exit::Usage, format!("{name} could not be started: {}", self.why()))
            .hint(format!(
                "`casemate add {name} --image {}` lets the engine run the image as a server",
                self.image()
            ))
            .hint(format!(
                "`{} image inspect --format '{{{{.RepoDigests}}}}' {}` tells the digest",
                self.client,
                self.image.as_deref().unwrap_or("IMAGE")
            ))
    }
}

/// What `run` is given first besides options.
fn image(args: &[String]) -> Option<String> {
    let mut args = args.iter().skip_while(|arg| *arg != "run").skip(1);
    while let Some(arg) = args.next() {
        if !arg.starts_with('-') {
            return Some(arg.clone());
        }
        if !arg.contains('=') && !SWITCHES.contains(&arg.as_str()) {
            args.next();
        }
    }
    None
}

/// A name without its tag: a colon behind the last slash, since a registry may have a port.
fn untagged(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, variables: &[&str]) -> Option<String> {
        let command: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Engine::of(&command, variables.iter().copied()).map(|engine| engine.image())
    }

    #[test]
    fn a_docker_command_line_was_accepted_and_could_never_start() {
        for (line, image) in [
            ("docker run -i --rm mcp/time", "mcp/time@sha256:…"),
            (
                "/usr/bin/docker run -i --rm -e TOKEN --name=x -v /a:/b localhost:5000/mcp/time:latest --utc",
                "localhost:5000/mcp/time@sha256:…",
            ),
            ("podman run --rm mcp/time@sha256:00", "mcp/time@sha256:00"),
            ("docker mcp gateway", "IMAGE@sha256:…"),
        ] {
            assert_eq!(of(line, &["TOKEN"]).as_deref(), Some(image), "{line}");
        }
        assert_eq!(of("docker run x", &["DOCKER_HOST"]), None);
        assert_eq!(of("dockerize run x", &[]), None);
    }
}
