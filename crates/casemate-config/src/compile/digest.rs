//! One digest over everything that makes a running instance what it is.

use std::time::Duration;

use casemate_gateway::snapshot::{ServerEntry, Sharing, Source};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

/// SHA-256 over a rendering in which every part has its length before it and every list its count, so that
/// no two entries render alike. Values of secrets are in it: an instance with an old secret is replaced.
pub(super) fn of(entry: &ServerEntry) -> [u8; 32] {
    let mut rendering = Rendering(Sha256::new());
    rendering.text(entry.name.as_str());
    match &entry.source {
        Source::Command(command) => {
            rendering.text("command");
            rendering.text(&command.program);
            rendering.number(command.args.len());
            command.args.iter().for_each(|arg| rendering.text(arg));
            rendering.pairs(command.env.iter().map(|(name, value)| (name, value.expose_secret())));
            let cwd = command.cwd.as_ref().map(|cwd| cwd.as_os_str().as_encoded_bytes());
            rendering.number(usize::from(cwd.is_some()));
            rendering.bytes(cwd.unwrap_or_default());
        }
        Source::Http(http) => {
            rendering.text("http");
            rendering.text(&http.url.to_string());
            rendering.pairs(http.headers.iter().map(|(name, value)| (name, value.expose_secret())));
        }
    }
    rendering.text(if entry.enabled { "on" } else { "off" });
    rendering.text(match entry.sharing {
        Sharing::Shared => "shared",
        Sharing::Subject => "subject",
        Sharing::Call => "call",
    });
    let timeouts = &entry.timeouts;
    [timeouts.start, timeouts.call, timeouts.hard, timeouts.idle]
        .into_iter()
        .for_each(|time| rendering.time(time));
    let resilience = &entry.resilience;
    rendering.text(&resilience.failures_max.to_string());
    [resilience.open_for, resilience.backoff_min, resilience.backoff_max]
        .into_iter()
        .for_each(|time| rendering.time(time));
    rendering.number(resilience.instances_max);
    rendering.number(entry.tools.len());
    for (name, tool) in &entry.tools {
        rendering.text(name.as_str());
        rendering.number(usize::from(tool.timeout.is_some()));
        rendering.time(tool.timeout.unwrap_or_default());
        rendering.number(usize::from(tool.read_only));
        rendering.number(usize::from(tool.idempotent));
    }
    rendering.0.finalize().into()
}

struct Rendering(Sha256);

impl Rendering {
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    fn time(&mut self, time: Duration) {
        self.0.update(time.as_nanos().to_be_bytes());
    }

    fn pairs<'a>(&mut self, pairs: impl ExactSizeIterator<Item = (&'a String, &'a str)>) {
        self.number(pairs.len());
        pairs.for_each(|(name, value)| {
            self.text(name);
            self.text(value);
        });
    }
}
