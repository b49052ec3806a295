//! A lock file: what was approved, as a text that people review and that a gateway can be held to.
//!
//! The text has one form only, so that two people who read it, and the gateway, read the same: members in order, every
//! character visible, and each definition with the fingerprint that it comes to.

mod signature;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

pub use signature::{sign, verify};

use crate::pins::fingerprint;
use crate::shelf::hex;

/// What the file says it is.
const FORM: &str = "casemate.lock 1";

/// The largest file that is read, in bytes.
pub const LOCK_BYTES_MAX: usize = 64 << 20;

/// What was approved of each server, by item: `tool:push`, `instructions`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lock {
    servers: BTreeMap<String, BTreeMap<String, Locked>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Locked {
    fingerprint: [u8; 32],
    definition: Value,
}

/// Why something is no lock file, or not the one that was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LockFault(pub(crate) String);

impl Lock {
    /// Adds what was approved.
    ///
    /// # Errors
    /// The definition is nested so deeply that it has no canonical form.
    pub fn add(&mut self, server: &str, item: &str, definition: &[u8]) -> Result<(), LockFault> {
        let value = serde_json::from_slice(definition)
            .map_err(|why| LockFault(format!("{server}/{item} cannot be written down: {why}")))?;
        let locked = Locked { fingerprint: fingerprint(definition), definition: sorted(value) };
        self.servers.entry(server.to_owned()).or_default().insert(item.to_owned(), locked);
        Ok(())
    }

    /// The fingerprint that was approved.
    #[must_use]
    pub fn fingerprint(&self, server: &str, item: &str) -> Option<[u8; 32]> {
        Some(self.servers.get(server)?.get(item)?.fingerprint)
    }

    /// How many definitions it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.servers.values().map(BTreeMap::len).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Reads a text that [`Lock`] was printed as.
    ///
    /// # Errors
    /// What is wrong with it: it is none, it was edited, or a definition is not what its fingerprint says.
    pub fn parse(text: &str) -> Result<Lock, LockFault> {
        let fault = |what: &str| LockFault(what.to_owned());
        if text.len() > LOCK_BYTES_MAX {
            return Err(LockFault(format!("it has more than {} MiB", LOCK_BYTES_MAX >> 20)));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|why| LockFault(format!("it is no JSON: {why}")))?;
        if value.get("form").and_then(Value::as_str) != Some(FORM) {
            return Err(LockFault(format!("it does not say that it is a {FORM:?}")));
        }
        let mut lock = Lock::default();
        let servers =
            value.get("servers").and_then(Value::as_object).ok_or_else(|| fault("it names no servers"))?;
        for (server, items) in servers {
            for (item, locked) in items.as_object().into_iter().flatten() {
                let definition = locked.get("definition").ok_or_else(|| fault("a definition is missing"))?;
                lock.add(server, item, definition.to_string().as_bytes())?;
                let said = locked.get("sha256").and_then(Value::as_str).unwrap_or_default();
                if lock.fingerprint(server, item).map(|is| hex(&is)).as_deref() != Some(said) {
                    return Err(LockFault(format!(
                        "the definition of {server}/{item} is not what its sha256 says"
                    )));
                }
            }
        }
        // Members twice, members that nobody knows, another order: a reader could take it for something else than we do.
        if lock.to_string() != text {
            return Err(fault(
                "it is not in the form in which `casemate pin export` writes it: it was edited",
            ));
        }
        Ok(lock)
    }
}

#[derive(Serialize)]
struct Written<'a> {
    form: &'a str,
    servers: BTreeMap<&'a str, BTreeMap<&'a str, WrittenItem<'a>>>,
}

#[derive(Serialize)]
struct WrittenItem<'a> {
    sha256: String,
    definition: &'a Value,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = |locked: &'_ Locked| hex(&locked.fingerprint);
        let servers = self.servers.iter().map(|(server, items)| {
            let items = items.iter().map(|(name, locked)| {
                (name.as_str(), WrittenItem { sha256: item(locked), definition: &locked.definition })
            });
            (server.as_str(), items.collect())
        });
        let written = Written { form: FORM, servers: servers.collect() };
        let text = serde_json::to_string_pretty(&written).map_err(|_| fmt::Error)?;
        text.chars().try_for_each(|c| visible(c, f))?;
        f.write_str("\n")
    }
}

/// Letters stay what they are; what is not seen, or moves others, is written as its number. Outside of strings JSON has
/// no such characters.
fn visible(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_seen =
        c.is_ascii() && c != '\u{7f}' || !c.is_ascii() && !c.is_whitespace() && c.escape_debug().count() == 1;
    if is_seen {
        return write!(f, "{c}");
    }
    let mut units = [0; 2];
    c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))
}

/// The same value with members in order. serde_json bounds how deep this goes.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        Value::Object(members) => {
            let members: BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let mut lock = Lock::default();
        let tool = r#"{"name":"log","inputSchema":{"type":"object","n":1.0},"description":"Log\u200b \u202ex \u007f мир"}"#;
        lock.add("git", "tool:log", tool.as_bytes()).unwrap();
        lock.add("git", "instructions", br#""Be careful.""#).unwrap();
        lock.add("bank", "prompt:greet", br#"{"name":"greet","x":12345678901234567890123}"#).unwrap();
        lock
    }

    #[test]
    fn a_lock_is_written_in_one_form_with_every_character_visible_and_read_again() {
        let text = lock().to_string();
        let read = Lock::parse(&text).unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!(read.len(), 3);
        assert!(text.find("\"bank\"") < text.find("\"git\""), "{text}");
        assert!(text.contains(r"Log\u200b \u202ex \u007f мир"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
        let declared = br#"{ "description":"Log\u200b \u202ex \u007f \u043c\u0438\u0440", "inputSchema":{"n":1,"type":"object"}, "name":"log" }"#;
        assert_eq!(read.fingerprint("git", "tool:log"), Some(fingerprint(declared)));
        assert_eq!(read.fingerprint("git", "tool:push"), None);
        assert!(Lock::parse(&Lock::default().to_string()).unwrap().is_empty());
    }

    #[test]
    fn a_text_that_was_edited_is_refused() {
        let text = lock().to_string();
        for (from, to) in [
            ("Be careful.", "Be careless."),
            ("\"name\": \"log\"", "\"name\": \"push\""),
            ("tool:log", "tool:push\": {}, \"tool:log"),
            ("  \"form\"", "  \"note\": 1,\n  \"form\""),
            ("casemate.lock 1", "casemate.lock 2"),
            ("\"definition\"", "\"definition\": {},\n        \"definition\""),
            ("\\u200b", "\u{200b}"),
            ("\n", "\r\n"),
            ("\"git\": {", "\"git\": {}, \"git\": {"),
        ] {
            assert!(Lock::parse(&text.replacen(from, to, 1)).is_err(), "{from}");
        }
        for wrong in
            ["", "{}", "[]", "{\"form\":\"casemate.lock 1\"}", &text[..text.len() - 1], &format!("{text}\n")]
        {
            assert!(Lock::parse(wrong).is_err(), "{wrong}");
        }
    }
}
