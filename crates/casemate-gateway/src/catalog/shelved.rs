//! What a server listed the last time, as a text that outlives the process: lists are answered from it before the server
//! has started. What of it may be used is for the pins to say, as of anything that a server lists.

use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::json::{Limits, Members, Raw};
use sha2::{Digest, Sha256};

use super::names::OwnNames;
use super::{Definitions, Item, Kind};
use crate::snapshot::{Carrier, ServerEntry, Source};

/// The form of the text. Another one is not read.
const FORM: &str = "1";

/// Bytes of a text that is kept. A server that lists more is started for its lists.
const BYTES_MAX: usize = 1 << 20;

/// Bounds for what we wrote ourselves; where it came from it was held against the real ones.
const WRITTEN: Limits = Limits { bytes_max: BYTES_MAX, depth_max: 256, values_max: u32::MAX };

/// The kinds that are kept. There may be millions of resources, and they come and go.
const KEPT: [Kind; 3] = [Kind::Tools, Kind::Prompts, Kind::Templates];

/// Definitions from a text.
#[derive(Debug)]
pub(super) struct Shelved {
    pub(super) definitions: Definitions,
    /// The server has resources as well, which are not in the text.
    pub(super) has_resources: bool,
}

/// The definitions as a text; nothing when it would be too large.
pub(super) fn written(entry: &ServerEntry, definitions: &Definitions) -> Option<Bytes> {
    let empty = Members::empty();
    let has_resources = if definitions.list(Kind::Resources).is_empty() { "false" } else { "true" };
    let mut text = empty
        .edit()
        .set("form", Raw::string_of(FORM))
        .set("source", Raw::string_of(&source(entry)))
        .set("resources", Raw::string_of(has_resources));
    if definitions.gives_tasks {
        text = text.set("tasks", Raw::string_of("true"));
    }
    if let Some(info) = &definitions.info {
        text = text.set("info", info.clone());
    }
    for kind in KEPT {
        text = text.set(kind.member(), Raw::array(definitions.list(kind).iter().map(|item| item.raw.raw())));
    }
    let text = text.finish();
    (text.as_bytes().len() <= BYTES_MAX).then(|| Bytes::copy_from_slice(text.as_bytes()))
}

/// Reads a text; nothing when it is of another server than the entry now is.
pub(super) fn read(entry: &ServerEntry, text: Bytes) -> Option<Shelved> {
    let text = Members::check(text, &WRITTEN).ok()?;
    if text.string("form")? != FORM || text.string("source")? != source(entry) {
        return None;
    }
    let mut definitions = Definitions::default();
    definitions.info = text.get("info");
    for kind in KEPT {
        for raw in text.get(kind.member())?.elements()? {
            definitions.add(kind, Item::read(kind, &entry.name, &raw)?);
        }
    }
    definitions.names = Arc::new(OwnNames::of(&definitions));
    definitions.gives_tasks = text.string("tasks").is_some_and(|is| is == "true");
    Some(Shelved { definitions, has_resources: text.string("resources")? == "true" })
}

/// What makes a server the one that it is, and the credentials that it is given, by their names: another account may be
/// shown other tools. Their values are not in it, so that nothing of them is on disk.
fn source(entry: &ServerEntry) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| digest.update([&text.len().to_be_bytes()[..], text.as_bytes()].concat());
    match &entry.source {
        Source::Command(command) => {
            add("command");
            add(&command.program);
            command.args.iter().for_each(|word| add(word));
            add("env");
            command.env.keys().for_each(|name| add(name));
        }
        Source::Image(image) => {
            add("image");
            add(&image.image);
            image.args.iter().for_each(|word| add(word));
            add("env");
            image.env.keys().for_each(|name| add(name));
        }
        Source::Http(remote) => {
            add(if remote.carrier == Carrier::WebSocket { "websocket" } else { "http" });
            add(&remote.url.to_string());
            remote.headers.keys().for_each(|name| add(name));
            add(remote.oauth.grant.as_str());
            add(remote.oauth.client_id.as_deref().unwrap_or_default());
            remote.oauth.scopes.iter().for_each(|scope| add(scope));
        }
        Source::Socket(socket) => {
            add("socket");
            add(&socket.to_string());
        }
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use casemate_mcp::names::ServerName;

    use super::*;
    use crate::snapshot::{CommandSource, Enclosure, HttpSource, OutputRate, Sharing};

    fn entry(source: Source) -> ServerEntry {
        ServerEntry {
            name: ServerName::parse("one").unwrap(),
            source,
            enabled: true,
            sharing: Sharing::Subject,
            timeouts: Default::default(),
            resilience: Default::default(),
            output: OutputRate::default(),
            tools: BTreeMap::new(),
            approval: Default::default(),
            secrets: Default::default(),
            digest: [0; 32],
        }
    }

    fn remote(url: &str) -> ServerEntry {
        let (url, headers) = (url.parse().unwrap(), BTreeMap::new());
        entry(Source::Http(HttpSource {
            url,
            headers,
            carrier: Default::default(),
            oauth: Default::default(),
        }))
    }

    fn program(program: &str) -> ServerEntry {
        entry(Source::Command(CommandSource {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            enclosure: Enclosure::Unsandboxed,
            install_scripts: false,
        }))
    }

    fn definitions(entry: &ServerEntry) -> Definitions {
        let mut definitions = Definitions::default();
        for (kind, text) in [
            (Kind::Tools, r#"{"name":"zeta","description":"first","x":[1,2]}"#),
            (Kind::Tools, r#"{"name":"alpha"}"#),
            (Kind::Prompts, r#"{"name":"greet"}"#),
            (Kind::Templates, r#"{"uriTemplate":"a:{b}"}"#),
            (Kind::Resources, r#"{"uri":"a:b"}"#),
        ] {
            let raw = Raw::check(text.into(), &Limits::default()).unwrap();
            definitions.add(kind, Item::read(kind, &entry.name, &raw).unwrap());
        }
        definitions.info = Raw::check(r#"{"name":"me"}"#.into(), &Limits::default()).ok();
        definitions
    }

    #[test]
    fn what_is_written_is_read_in_the_same_order_and_to_the_letter() {
        let entry = remote("http://127.0.0.1:1/mcp");
        let text = written(&entry, &definitions(&entry)).unwrap();
        let shelved = read(&entry, text.clone()).unwrap();
        let names: Vec<&str> = shelved.definitions.list(Kind::Tools).iter().map(|item| &*item.name).collect();
        assert_eq!(names, ["zeta", "alpha"]);
        let zeta = shelved.definitions.find(Kind::Tools, "zeta").unwrap();
        assert_eq!(zeta.raw.raw().as_str(), r#"{"name":"zeta","description":"first","x":[1,2]}"#);
        assert!(shelved.has_resources && shelved.definitions.list(Kind::Resources).is_empty());
        assert_eq!(written(&entry, &definitions(&entry)), Some(text), "written twice it is the same");
    }

    #[test]
    fn a_text_of_another_server_or_of_another_form_is_not_read() {
        let entry = remote("http://127.0.0.1:1/mcp");
        let text = written(&entry, &definitions(&entry)).unwrap();
        for other in [remote("http://127.0.0.1:2/mcp"), program("x")] {
            assert!(read(&other, text.clone()).is_none());
        }
        let mut with_header = remote("http://127.0.0.1:1/mcp");
        if let Source::Http(remote) = &mut with_header.source {
            remote.headers.insert("Authorization".into(), "x".into());
        }
        assert!(read(&with_header, text.clone()).is_none(), "with a credential it may be shown another list");
        for broken in ["", "{}", "[]", "{\"form\":\"2\"}"] {
            assert!(read(&entry, broken.into()).is_none());
        }
        let cut = text.slice(..text.len() - 1);
        assert!(read(&entry, cut).is_none());
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let entry = remote("http://127.0.0.1:1/mcp");
        let mut large = definitions(&entry);
        let text = format!("{{\"name\":\"big\",\"d\":\"{}\"}}", "x".repeat(BYTES_MAX));
        let raw = Raw::check(text.into(), &Limits::default()).unwrap();
        large.add(Kind::Tools, Item::read(Kind::Tools, &entry.name, &raw).unwrap());
        assert!(written(&entry, &large).is_none());
    }
}
