//! One digest over everything that makes a running instance what it is.

use std::path::PathBuf;
use std::time::Duration;

use casemate_gateway::snapshot::{
    Approval, ClientSecret, Enclosure, LoginNetwork, OAuth, Room, ServerEntry, Sharing, Source,
};
use casemate_sandbox::Limits;
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
            rendering.texts(&command.args);
            rendering.pairs(command.env.iter().map(|(name, value)| (name, value.expose_secret())));
            rendering.paths(command.cwd.as_slice());
            match &command.enclosure {
                Enclosure::Cell(room) => rendering.room(room),
                Enclosure::Unsandboxed => rendering.text("unsandboxed"),
            }
            rendering.number(usize::from(command.install_scripts));
        }
        Source::Image(image) => {
            rendering.text("image");
            rendering.text(&image.image);
            rendering.texts(&image.args);
            rendering.pairs(image.env.iter().map(|(name, value)| (name, value.expose_secret())));
            rendering.room(&image.room);
        }
        Source::Http(http) => {
            rendering.text("http");
            rendering.text(&http.written());
            rendering.pairs(http.headers.iter().map(|(name, value)| (name, value.expose_secret())));
            rendering.oauth(&http.oauth);
        }
        Source::Socket(socket) => {
            rendering.text("socket");
            rendering.text(&socket.to_string());
        }
    }
    rendering.text(if entry.enabled { "on" } else { "off" });
    rendering.text(match entry.sharing {
        Sharing::Shared => "shared",
        Sharing::Subject => "subject",
        Sharing::Call => "call",
    });
    rendering.text(match entry.approval {
        Approval::FirstUse => "first-use",
        Approval::Review => "review",
        Approval::OwnPart => "own part",
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
    rendering.text(&entry.output.bytes_per_second.to_string());
    rendering.number(entry.secrets.missing.len());
    for missing in &entry.secrets.missing {
        [&missing.setting, &missing.secret, &missing.why].into_iter().for_each(|text| rendering.text(text));
    }
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

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    fn paths(&mut self, paths: &[PathBuf]) {
        self.number(paths.len());
        paths.iter().for_each(|path| self.bytes(path.as_os_str().as_encoded_bytes()));
    }

    /// Taken apart in whole, so that a field which is added is not forgotten here.
    fn room(&mut self, room: &Room) {
        let Room { kind, read, write, runtime, network, limits, host_stats, account } = room;
        self.text(kind.as_str());
        [read, write, runtime].into_iter().for_each(|paths| self.paths(paths));
        self.texts(&network.destinations().iter().map(ToString::to_string).collect::<Vec<_>>());
        let Limits { memory_bytes, cpu_millis, processes, open_files, file_bytes, tmp_bytes, tmp_files } =
            *limits;
        let counts = [cpu_millis, processes, open_files, tmp_files].map(u64::from);
        for amount in [memory_bytes, file_bytes, tmp_bytes].into_iter().chain(counts) {
            self.text(&amount.to_string());
        }
        self.number(usize::from(*host_stats));
        self.text(&account.to_string());
    }

    /// Taken apart in whole, as above.
    fn oauth(&mut self, oauth: &OAuth) {
        let OAuth {
            client_id,
            client_secret,
            client_metadata_url,
            scopes,
            grant,
            issuer,
            redirect_port,
            network,
        } = oauth;
        for text in [client_id, client_metadata_url, issuer] {
            self.texts(text.as_slice());
        }
        match client_secret {
            None => self.text("no secret"),
            Some(ClientSecret::Text(text)) => self.texts(&["text".into(), text.expose_secret().into()]),
            Some(ClientSecret::Key(key)) => self.texts(&["key".into(), key.expose_secret().into()]),
        }
        self.texts(scopes);
        self.text(grant.as_str());
        self.number(redirect_port.map_or(0, usize::from));
        self.number(usize::from(*network == LoginNetwork::Private));
    }

    fn pairs<'a>(&mut self, pairs: impl ExactSizeIterator<Item = (&'a String, &'a str)>) {
        self.number(pairs.len());
        pairs.for_each(|(name, value)| {
            self.text(name);
            self.text(value);
        });
    }
}
