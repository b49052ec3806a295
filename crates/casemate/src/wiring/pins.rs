//! Which definitions were approved: the pins of the store, behind the gateway's port.
//!
//! Judging is done in memory, since it happens whenever a server is listed. What is seen for the first time, and what has
//! changed, is written down a moment later by [`Book::follow`]; a crash in between costs no more than that moment, and
//! the next list makes up for it. Approvals by people are written first, by the command that makes them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use casemate_gateway::gate::Gate;
use casemate_gateway::ports::{Declared, Pinned, Pins, Standing};
use casemate_gateway::snapshot::Approval;
use casemate_mcp::json::{Limits, Members};
use casemate_mcp::names::ServerName;
use casemate_policy::Approved;
use casemate_registry::pins::fingerprint;
use casemate_store::{PinKind, Seen, Store, StoreFault, Version};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::lists::Lists;
use crate::clock;

/// The largest definition that can be approved, in bytes. A model reads all of it; the largest real one that was found
/// has 40 KiB.
pub(super) const DEFINITION_BYTES_MAX: usize = 1 << 20;

/// Names that are remembered of one server. One that invents new ones at each list stops being listened to here.
const NAMES_MAX: usize = 20_000;

/// Who approves of what a server declares first.
const FIRST_USE: &str = "first use";

/// What was declared, and what of it was approved.
#[derive(Debug)]
pub struct Book {
    store: Store,
    lists: Lists,
    pages: Mutex<Pages>,
    unwritten: Notify,
}

type Place = (PinKind, Box<str>);

#[derive(Debug, Default)]
struct Pages {
    servers: HashMap<Box<str>, HashMap<Place, Entry>>,
    /// The tools that a person approved of and that say that they change nothing.
    confirmed: Approved,
    /// What the store does not have yet, in its order: of each place what was approved by being first, and the last.
    unwritten: HashMap<(Box<str>, Place), Vec<Seen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    approved: Option<[u8; 32]>,
    seen: [u8; 32],
}

impl Entry {
    fn standing(self) -> Standing {
        match self.approved {
            None => Standing::New,
            Some(approved) if approved == self.seen => Standing::Approved,
            Some(_) => Standing::Changed,
        }
    }
}

impl Book {
    /// Reads the pins of the store.
    pub async fn open(store: Store) -> Result<Book, StoreFault> {
        let lists = Lists::open(&store).await?;
        let book = Book { store, lists, pages: Mutex::default(), unwritten: Notify::new() };
        book.read().await?;
        Ok(book)
    }

    /// Keeps store, memory and gateway in step until it is told to stop; then writes what is left.
    pub async fn follow(&self, gate: &Gate, stop: CancellationToken) {
        let mut changes = self.store.pins().changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.unwritten.notified() => self.write().await,
                changed = changes.changed() => self.take_over(gate, changed).await,
            }
        }
        self.write().await;
    }

    async fn take_over(&self, gate: &Gate, changed: Result<(), StoreFault>) {
        let reloaded = match changed {
            Ok(()) => self.reload(gate).await,
            Err(fault) => Err(fault),
        };
        if let Err(error) = reloaded {
            tracing::error!(%error, "the pins cannot be read; those known before stay in force");
        }
    }

    /// Reads the pins anew: what was approved meanwhile can be used when this returns.
    pub async fn reload(&self, gate: &Gate) -> Result<(), StoreFault> {
        // What we wrote ourselves comes back as a change too, and every definition of every server would be hashed for it.
        if self.read().await? {
            gate.judge_anew();
        }
        Ok(())
    }

    /// Reads the store; false when it says what was known.
    async fn read(&self) -> Result<bool, StoreFault> {
        let pins = self.store.pins().list().await?;
        let confirmed = confirmed(&self.store).await?;
        let mut servers: HashMap<Box<str>, HashMap<Place, Entry>> = HashMap::new();
        for pin in pins {
            let entry = Entry {
                approved: pin.approved.map(|(version, _)| version.fingerprint),
                seen: pin.seen.fingerprint,
            };
            servers.entry(pin.server.into()).or_default().insert((pin.kind, pin.name.into()), entry);
        }
        let mut pages = self.pages();
        for ((server, place), waiting) in &pages.unwritten {
            let entries = servers.entry(server.clone()).or_default();
            for seen in waiting {
                let fingerprint = seen.version.fingerprint;
                let approved = seen.approved_by.map(|_| fingerprint);
                entries.entry(place.clone()).or_insert(Entry { approved, seen: fingerprint }).seen =
                    fingerprint;
            }
        }
        let changed = pages.servers != servers || pages.confirmed != confirmed;
        (pages.servers, pages.confirmed) = (servers, confirmed);
        Ok(changed)
    }

    async fn write(&self) {
        self.lists.write(&self.store).await;
        let unwritten = std::mem::take(&mut self.pages().unwritten);
        if unwritten.is_empty() {
            return;
        }
        let seen = unwritten.values().flatten().cloned().collect();
        if let Err(error) = self.store.pins().see(seen).await {
            tracing::error!(%error, "what servers declare could not be written down; it is tried again with the next");
            let mut pages = self.pages();
            for (place, mut earlier) in unwritten {
                let waiting = pages.unwritten.entry(place).or_default();
                std::mem::take(waiting).into_iter().for_each(|seen| put(&mut earlier, seen));
                *waiting = earlier;
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tools that a person approved of and whose definitions say that they change nothing. Who was merely the first to use
/// a tool has read nothing.
pub async fn confirmed(store: &Store) -> Result<Approved, StoreFault> {
    let mut confirmed = Approved::new();
    for pin in store.pins().approved_tools().await? {
        let Some((version, by)) = &pin.approved else { continue };
        let Ok(server) = ServerName::parse(&pin.server) else { continue };
        if by != FIRST_USE && says_read_only(&version.definition) {
            confirmed.entry(server).or_default().insert(pin.name.into());
        }
    }
    Ok(confirmed)
}

/// Whether a tool's definition says that the tool changes nothing.
fn says_read_only(definition: &[u8]) -> bool {
    let limits = Limits { bytes_max: DEFINITION_BYTES_MAX, ..Limits::default() };
    let members = Members::check(definition.to_vec().into(), &limits).ok();
    let annotations = members.and_then(|members| members.object("annotations"));
    annotations.and_then(|said| said.get("readOnlyHint")).is_some_and(|said| said.as_str() == "true")
}

impl Pins for Book {
    fn confirmed(&self) -> Approved {
        self.pages().confirmed.clone()
    }

    fn judge(&self, server: &ServerName, approval: Approval, declared: &[Declared<'_>]) -> Vec<Standing> {
        // Outside of the lock: hashing is the work here.
        let fingerprints: Vec<Option<[u8; 32]>> = declared
            .iter()
            .map(|one| {
                let text = one.definition.as_bytes();
                (text.len() <= DEFINITION_BYTES_MAX).then(|| fingerprint(text))
            })
            .collect();
        let now = clock::unix_seconds();
        let mut pages = self.pages();
        let Pages { servers, unwritten, .. } = &mut *pages;
        let entries = servers.entry(server.as_str().into()).or_default();
        let mut standings = Vec::with_capacity(declared.len());
        for (one, fingerprint) in declared.iter().zip(fingerprints) {
            let Some(fingerprint) = fingerprint else {
                standings.push(Standing::New);
                continue;
            };
            let place: Place = (kind(one.kind), one.name.into());
            let known = entries.get(&place).copied();
            if known.is_none() && entries.len() >= NAMES_MAX {
                standings.push(Standing::New);
                continue;
            }
            let by = (known.is_none() && approval == Approval::FirstUse).then_some(FIRST_USE);
            let entry = match known {
                Some(known) => Entry { seen: fingerprint, ..known },
                None => Entry { approved: by.map(|_| fingerprint), seen: fingerprint },
            };
            if known.is_none_or(|known| known.seen != fingerprint) {
                let version =
                    Version { fingerprint, definition: one.definition.as_bytes().to_vec(), at: now };
                let seen = Seen {
                    server: server.to_string(),
                    kind: place.0,
                    name: one.name.to_owned(),
                    version,
                    approved_by: by,
                };
                tell(&seen, entry.standing());
                put(unwritten.entry((server.as_str().into(), place.clone())).or_default(), seen);
                entries.insert(place, entry);
            }
            standings.push(entry.standing());
        }
        if !unwritten.is_empty() {
            self.unwritten.notify_one();
        }
        standings
    }

    fn remembered(&self, server: &ServerName) -> Option<Bytes> {
        self.lists.get(server)
    }

    fn remember(&self, server: &ServerName, listed: Bytes) {
        self.lists.put(server, listed);
        self.unwritten.notify_one();
    }
}

/// Puts what was seen later behind what was seen before, of which only what was approved by being first is still needed.
fn put(waiting: &mut Vec<Seen>, later: Seen) {
    waiting.retain(|seen| seen.approved_by.is_some());
    waiting.push(later);
}

fn tell(seen: &Seen, standing: Standing) {
    let (server, kind, name) = (&seen.server, seen.kind.as_str(), &seen.name);
    match standing {
        Standing::Approved | Standing::Unlocked => {}
        Standing::New => tracing::warn!(server, kind, name, "a new definition waits for a person's approval"),
        Standing::Changed => tracing::warn!(server, kind, name, "a definition is another than was approved"),
    }
}

pub(super) fn kind(pinned: Pinned) -> PinKind {
    match pinned {
        Pinned::Instructions => PinKind::Instructions,
        Pinned::Tool => PinKind::Tool,
        Pinned::Prompt => PinKind::Prompt,
        Pinned::Template => PinKind::Template,
    }
}

#[cfg(test)]
mod tests {
    use casemate_mcp::json::Raw;

    use super::*;

    async fn book(folder: &tempfile::TempDir) -> Book {
        Book::open(Store::open(&folder.path().join("data")).unwrap()).await.unwrap()
    }

    fn judge(book: &Book, approval: Approval, name: &str, text: &str) -> Standing {
        let definition = Raw::check(text.to_owned().into(), &Limits::default()).unwrap();
        let declared = Declared { kind: Pinned::Tool, name, definition: &definition };
        book.judge(&ServerName::parse("git").unwrap(), approval, &[declared])[0]
    }

    #[tokio::test]
    async fn what_was_approved_is_known_after_a_restart_and_a_change_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = book(&folder).await;
        assert_eq!(judge(&first, Approval::FirstUse, "log", r#"{"d":"a"}"#), Standing::Approved);
        assert_eq!(judge(&first, Approval::Review, "push", r#"{"d":"a"}"#), Standing::New);
        first.write().await;
        let second = book(&folder).await;
        assert!(!first.read().await.unwrap(), "our own words are no news");
        assert_eq!(judge(&second, Approval::FirstUse, "log", r#"{ "d": "a" }"#), Standing::Approved);
        assert_eq!(judge(&second, Approval::FirstUse, "log", r#"{"d":"b"}"#), Standing::Changed);
        assert_eq!(judge(&second, Approval::FirstUse, "push", r#"{"d":"a"}"#), Standing::New);
        second.write().await;
        let third = book(&folder).await;
        assert_eq!(
            judge(&third, Approval::FirstUse, "log", r#"{"d":"b"}"#),
            Standing::Changed,
            "it was seen before"
        );
        assert_eq!(
            judge(&third, Approval::FirstUse, "log", r#"{"d":"a"}"#),
            Standing::Approved,
            "it changed back"
        );
    }

    #[tokio::test]
    async fn what_changes_before_it_is_written_down_is_not_approved_by_that() {
        let folder = tempfile::tempdir().unwrap();
        let first = book(&folder).await;
        assert_eq!(judge(&first, Approval::FirstUse, "log", r#"{"d":"a"}"#), Standing::Approved);
        assert_eq!(judge(&first, Approval::FirstUse, "log", r#"{"d":"b"}"#), Standing::Changed);
        first.read().await.unwrap();
        assert_eq!(judge(&first, Approval::FirstUse, "log", r#"{"d":"b"}"#), Standing::Changed);
        first.write().await;
        let second = book(&folder).await;
        assert_eq!(judge(&second, Approval::FirstUse, "log", r#"{"d":"b"}"#), Standing::Changed);
        assert_eq!(judge(&second, Approval::FirstUse, "log", r#"{"d":"a"}"#), Standing::Approved);
    }

    #[tokio::test]
    async fn what_a_person_approved_of_as_read_only_is_confirmed_and_first_use_is_no_person() {
        let folder = tempfile::tempdir().unwrap();
        let book = book(&folder).await;
        let honest = r#"{"annotations":{"readOnlyHint":true}}"#;
        for (name, text) in [("log", honest), ("push", r#"{"annotations":{"readOnlyHint":false}}"#)] {
            assert_eq!(judge(&book, Approval::FirstUse, name, text), Standing::Approved);
        }
        book.write().await;
        assert!(!book.read().await.unwrap());
        assert!(book.confirmed().is_empty(), "nobody has read it");
        let pins = book.store.pins();
        for pin in pins.list().await.unwrap() {
            assert!(pins.approve(&pin, "local:1", 7).await.unwrap());
        }
        assert!(book.read().await.unwrap(), "that a person approved of the same is news");
        let server = ServerName::parse("git").unwrap();
        assert_eq!(book.confirmed(), Approved::from([(server, ["log".into()].into())]));
        assert_eq!(judge(&book, Approval::FirstUse, "log", r#"{"annotations":{}}"#), Standing::Changed);
        book.write().await;
        assert!(book.read().await.unwrap());
        assert!(book.confirmed().is_empty(), "it is not what they approved of any more");
    }

    #[tokio::test]
    async fn a_server_that_invents_names_fills_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let book = book(&folder).await;
        for number in 0..NAMES_MAX {
            judge(&book, Approval::FirstUse, &number.to_string(), "{}");
        }
        assert_eq!(judge(&book, Approval::FirstUse, "one more", "{}"), Standing::New);
        assert_eq!(book.pages().unwritten.len(), NAMES_MAX);
        let large = format!("{{\"d\":\"{}\"}}", "x".repeat(DEFINITION_BYTES_MAX));
        assert_eq!(judge(&book, Approval::FirstUse, "7", &large), Standing::New);
    }
}
