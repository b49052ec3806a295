//! The few messages that a benchmark sends and expects.

use std::borrow::Cow;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

/// Which form of the protocol a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// Stateless: every request carries its version.
    Modern,
    /// A session that `initialize` opens.
    Legacy,
}

/// How long the text of an echo is: the message, then padding.
pub(crate) const ECHOED_BYTES: usize = 1024;

/// How long the message of an echo is.
pub(crate) const MESSAGE_BYTES: usize = 100;

/// The result of `initialize`.
pub(crate) const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}"#;

/// The result of `server/discover`.
pub(crate) const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":3600000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"echo","version":"1"}}}"#;

/// The result of `tools/list`.
pub(crate) const TOOLS: &str = concat!(
    r#"{"resultType":"complete","ttlMs":3600000,"cacheScope":"public","tools":["#,
    r#"{"name":"echo","description":"Says it back.","inputSchema":{"type":"object","properties":{"message":{"type":"string","maxLength":4096}},"required":["message"],"additionalProperties":false}},"#,
    r#"{"name":"blob","description":"Says much.","inputSchema":{"type":"object","properties":{"bytes":{"type":"integer","minimum":0,"maximum":67108864}},"required":["bytes"],"additionalProperties":false}}]}"#
);

/// The text of the first blob that is checked, for the others.
static BLOB: OnceLock<String> = OnceLock::new();

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// 100 bytes there, 1 KiB back.
    Echo,
    /// Nothing there, so many bytes back.
    Blob(usize),
}

/// A reply as far as it is checked.
#[derive(Deserialize)]
struct Reply<'a> {
    id: u64,
    #[serde(borrow)]
    result: Option<Outcome<'a>>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(rename = "isError", default)]
    is_error: bool,
    #[serde(borrow, default)]
    content: Vec<Content<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Cow<'a, str>,
}

impl Era {
    /// The revision that stands in the header.
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Era::Modern => "2026-07-28",
            Era::Legacy => "2025-11-25",
        }
    }

    /// The `_meta` member that every modern request carries.
    fn meta(self) -> &'static str {
        match self {
            Era::Modern => {
                r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}"#
            }
            Era::Legacy => "",
        }
    }
}

impl Ask {
    /// The tool that does it.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Ask::Echo => "echo",
            Ask::Blob(_) => "blob",
        }
    }

    /// The request, with `id` in its message, so that no two calls are alike.
    pub(crate) fn request(self, era: Era, id: u64) -> String {
        let arguments = match self {
            Ask::Echo => format!(r#"{{"message":"{}"}}"#, message(id)),
            Ask::Blob(bytes) => format!(r#"{{"bytes":{bytes}}}"#),
        };
        let (tool, meta) = (self.tool(), era.meta());
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}{meta}}}}}"#
        )
    }

    /// Whether a reply is the one that was asked for; an error inside a result is a failure.
    pub(crate) fn check(self, reply: &[u8], id: u64) -> Result<()> {
        match self {
            Ask::Echo => {
                let text = text_of(reply, id)?;
                ensure!(text == echoed(&message(id)), "another text came back");
            }
            Ask::Blob(bytes) => {
                // The blob is compared as it is and cut out, so that checking costs little beside receiving.
                let start = find(reply, b"\"text\":\"").context("no text came back")? + "\"text\":\"".len();
                let (head, rest) = reply.split_at_checked(start).context("no text came back")?;
                let (body, tail) = rest.split_at_checked(bytes).context("the text is too short")?;
                let expected = BLOB.get_or_init(|| blob(bytes));
                let same = if expected.len() == bytes {
                    body == expected.as_bytes()
                } else {
                    body == blob(bytes).as_bytes()
                };
                ensure!(same, "another text came back");
                ensure!(text_of(&[head, tail].concat(), id)?.is_empty(), "the text is too long");
            }
        }
        Ok(())
    }
}

/// A request for the list of tools.
pub(crate) fn list_request(era: Era, id: u64, cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!(r#""cursor":{}"#, serde_json::Value::from(cursor)));
    let meta = era.meta();
    let meta = if cursor.is_some() { meta } else { meta.trim_start_matches(',') };
    let cursor = cursor.unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{{cursor}{meta}}}}}"#)
}

/// What opens a session.
pub(crate) fn initialize_request(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"bench","version":"1"}}}}}}"#
    )
}

/// What completes the opening of a session.
pub(crate) const INITIALIZED_NOTICE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The result of `tools/list` of a server in the fan-out.
pub(crate) fn listed_tools(count: usize) -> String {
    let tool = |n: usize| {
        format!(r#"{{"name":"tool_{n}","description":"Does thing {n}.","inputSchema":{{"type":"object"}}}}"#)
    };
    let tools = (0..count).map(tool).collect::<Vec<_>>().join(",");
    format!(r#"{{"resultType":"complete","ttlMs":3600000,"cacheScope":"public","tools":[{tools}]}}"#)
}

/// What comes back for a message.
pub(crate) fn echoed(message: &str) -> String {
    format!("{message:.<ECHOED_BYTES$}")
}

/// So many bytes.
pub(crate) fn blob(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn message(id: u64) -> String {
    format!("{id:0>MESSAGE_BYTES$}")
}

fn text_of(reply: &[u8], id: u64) -> Result<Cow<'_, str>> {
    let shown =
        || String::from_utf8_lossy(reply.get(..300.min(reply.len())).unwrap_or_default()).into_owned();
    let parsed: Reply<'_> =
        serde_json::from_slice(reply).with_context(|| format!("not a reply: {}", shown()))?;
    ensure!(parsed.id == id, "the reply to {} came back for {id}", parsed.id);
    match parsed.result {
        Some(outcome) if !outcome.is_error => {
            let first = outcome.content.into_iter().next();
            Ok(first.context("a result without content came back")?.text)
        }
        _ => bail!("an error came back: {}", shown()),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|part| part == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(id: u64, result: &str) -> Vec<u8> {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes()
    }

    fn text(text: &str) -> String {
        format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#)
    }

    #[test]
    fn only_the_right_echo_passes() {
        let good = text(&echoed(&message(5)));
        Ask::Echo.check(&reply(5, &good), 5).expect("the right one");
        let mut failed = good.clone();
        failed.insert_str(1, r#""isError":true,"#);
        for wrong in [reply(6, &good), reply(5, &text("x")), reply(5, &failed), reply(5, "{}"), b"".to_vec()]
        {
            assert!(Ask::Echo.check(&wrong, 5).is_err(), "{}", String::from_utf8_lossy(&wrong));
        }
        let error = br#"{"jsonrpc":"2.0","id":5,"error":{"code":-32000,"message":"no"}}"#;
        assert!(Ask::Echo.check(error, 5).is_err());
    }

    #[test]
    fn only_the_right_blob_passes() {
        let ask = Ask::Blob(1_000);
        ask.check(&reply(5, &text(&blob(1_000))), 5).expect("the right one");
        for wrong in
            [reply(6, &text(&blob(1_000))), reply(5, &text(&blob(999))), reply(5, &text(&blob(1_001)))]
        {
            assert!(ask.check(&wrong, 5).is_err());
        }
    }

    #[test]
    fn requests_are_json() {
        for era in [Era::Modern, Era::Legacy] {
            for request in [
                Ask::Echo.request(era, 1),
                Ask::Blob(10).request(era, 2),
                list_request(era, 3, None),
                list_request(era, 4, Some("a\"b")),
                initialize_request(5),
            ] {
                serde_json::from_str::<serde_json::Value>(&request).expect(&request);
            }
        }
        assert_eq!(message(7).len(), MESSAGE_BYTES);
    }
}
