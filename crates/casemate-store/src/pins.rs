//! What servers declared, and which of it somebody approved.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::changes::Changes;
use crate::fault::StoreFault;
use crate::keys::integer;
use crate::store::Store;

/// What kind of definition is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinKind {
    /// What a server says of itself, which goes to the model as it is.
    Instructions,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
}

impl PinKind {
    /// All kinds.
    pub const ALL: [PinKind; 4] = [PinKind::Instructions, PinKind::Tool, PinKind::Prompt, PinKind::Template];

    /// Its name in the database, in lock files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PinKind::Instructions => "instructions",
            PinKind::Tool => "tool",
            PinKind::Prompt => "prompt",
            PinKind::Template => "template",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<PinKind> {
        PinKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A definition that was declared at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// SHA-256 of its canonical form.
    pub fingerprint: [u8; 32],
    /// The definition as its server wrote it. Empty in what [`Pins::list`] gives.
    pub definition: Vec<u8>,
    /// When it was approved or seen, in seconds since 1970.
    pub at: u64,
}

/// One thing that a server declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The server.
    pub server: String,
    /// What kind of thing.
    pub kind: PinKind,
    /// The server's own name or URI for it.
    pub name: String,
    /// What was approved, and by whom; nothing yet when absent.
    pub approved: Option<(Version, String)>,
    /// What was declared last.
    pub seen: Version,
}

impl Pin {
    /// Whether what the server declares now is what was approved.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.approved.as_ref().is_some_and(|(version, _)| version.fingerprint == self.seen.fingerprint)
    }
}

/// What a server declares now, for [`Pins::see`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The server.
    pub server: String,
    /// What kind of thing.
    pub kind: PinKind,
    /// The server's own name or URI for it.
    pub name: String,
    /// What it declares.
    pub version: Version,
    /// Who approves of it if nothing of that name was ever seen; nobody when absent.
    pub approved_by: Option<&'static str>,
}

/// The pins of a [`Store`].
#[derive(Debug, Clone, Copy)]
pub struct Pins<'a> {
    store: &'a Store,
}

impl<'a> Pins<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Pins { store }
    }

    /// All pins in order, without their definitions.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for a row that is no pin, or what SQLite refuses.
    pub async fn list(&self) -> Result<Vec<Pin>, StoreFault> {
        self.store.writer().run(|connection| list(connection)).await
    }

    /// The tools of which somebody approved, with what they approved of, as long as that is what the server declares.
    ///
    /// # Errors
    /// As for [`Pins::list`].
    pub async fn approved_tools(&self) -> Result<Vec<Pin>, StoreFault> {
        self.store.writer().run(|connection| approved_tools(connection)).await
    }

    /// A pin with its definitions.
    ///
    /// # Errors
    /// As for [`Pins::list`].
    pub async fn get(&self, server: &str, kind: PinKind, name: &str) -> Result<Option<Pin>, StoreFault> {
        let (server, name) = (server.to_owned(), name.to_owned());
        self.store.writer().run(move |connection| get(connection, (&server, kind, &name))).await
    }

    /// Notes what servers declare, all of it or nothing. What was never seen before is approved when it says by whom;
    /// nothing else is ever approved by this.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn see(&self, seen: Vec<Seen>) -> Result<(), StoreFault> {
        self.store.writer().run(move |connection| see(connection, &seen)).await?;
        self.store.nudge();
        Ok(())
    }

    /// Approves of what the server declared last, if that still has this fingerprint: what a person has looked at is
    /// what they approve of. False when it has another by now, or there is no such pin.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn approve(&self, pin: &Pin, by: &str, now_unix_s: u64) -> Result<bool, StoreFault> {
        let (server, kind, name) = (pin.server.clone(), pin.kind, pin.name.clone());
        let (fingerprint, by) = (pin.seen.fingerprint, by.to_owned());
        let sql = "UPDATE pins SET approved = seen, approved_definition = seen_definition, approved_at = ?5,
                   approved_by = ?6 WHERE server = ?1 AND kind = ?2 AND name = ?3 AND seen = ?4";
        let job = move |connection: &mut Connection| {
            let values = params![server, kind.as_str(), name, fingerprint, integer(now_unix_s), by];
            Ok(connection.execute(sql, values)? > 0)
        };
        let done = self.store.writer().run(job).await?;
        self.store.nudge();
        Ok(done)
    }

    /// Takes an approval back: the thing is blocked until it is approved of again. False when there is no such pin.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn revoke(&self, server: &str, kind: PinKind, name: &str) -> Result<bool, StoreFault> {
        let (server, name) = (server.to_owned(), name.to_owned());
        let sql = "UPDATE pins SET approved = NULL, approved_definition = NULL, approved_at = NULL,
                   approved_by = NULL WHERE server = ?1 AND kind = ?2 AND name = ?3";
        let job = move |connection: &mut Connection| {
            Ok(connection.execute(sql, params![server, kind.as_str(), name])? > 0)
        };
        let done = self.store.writer().run(job).await?;
        self.store.nudge();
        Ok(done)
    }

    /// Forgets everything that a server ever declared: the next time is the first. How much that was.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn forget(&self, server: &str) -> Result<usize, StoreFault> {
        let server = server.to_owned();
        let job = move |connection: &mut Connection| {
            Ok(connection.execute("DELETE FROM pins WHERE server = ?1", [server])?)
        };
        let count = self.store.writer().run(job).await?;
        self.store.nudge();
        Ok(count)
    }

    /// Tells at once, and then whenever what is approved has changed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::of(self.store.clone(), "pins")
    }
}

fn list(connection: &Connection) -> Result<Vec<Pin>, StoreFault> {
    let mut statement = connection.prepare_cached(
        "SELECT server, kind, name, approved, x'' AS approved_definition, approved_at, approved_by, seen,
         x'' AS seen_definition, seen_at FROM pins ORDER BY server, kind, name",
    )?;
    let mut rows = statement.query([])?;
    let mut pins = Vec::new();
    while let Some(row) = rows.next()? {
        pins.push(pin(row)?);
    }
    Ok(pins)
}

fn approved_tools(connection: &Connection) -> Result<Vec<Pin>, StoreFault> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM pins WHERE kind = 'tool' AND approved = seen ORDER BY server, name")?;
    let mut rows = statement.query([])?;
    let mut pins = Vec::new();
    while let Some(row) = rows.next()? {
        pins.push(pin(row)?);
    }
    Ok(pins)
}

fn get(
    connection: &Connection,
    (server, kind, name): (&str, PinKind, &str),
) -> Result<Option<Pin>, StoreFault> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM pins WHERE server = ?1 AND kind = ?2 AND name = ?3")?;
    let found = statement.query_row(params![server, kind.as_str(), name], |row| Ok(pin(row))).optional()?;
    found.transpose()
}

fn see(connection: &mut Connection, seen: &[Seen]) -> Result<(), StoreFault> {
    let transaction = connection.transaction()?;
    for one in seen {
        let version = &one.version;
        transaction
            .prepare_cached(
                "INSERT INTO pins (server, kind, name, approved, approved_definition, approved_at, approved_by,
                                   seen, seen_definition, seen_at)
                 VALUES (:server, :kind, :name, iif(:by IS NULL, NULL, :fingerprint),
                         iif(:by IS NULL, NULL, :definition), iif(:by IS NULL, NULL, :at), :by,
                         :fingerprint, :definition, :at)
                 ON CONFLICT DO UPDATE SET seen = excluded.seen, seen_definition = excluded.seen_definition,
                                           seen_at = excluded.seen_at",
            )?
            .execute(named_params! {
                ":server": one.server,
                ":kind": one.kind.as_str(),
                ":name": one.name,
                ":by": one.approved_by,
                ":fingerprint": version.fingerprint,
                ":definition": version.definition,
                ":at": integer(version.at),
            })?;
    }
    transaction.commit()?;
    Ok(())
}

fn pin(row: &Row<'_>) -> Result<Pin, StoreFault> {
    let kind: String = row.get("kind")?;
    let kind = PinKind::find(&kind)
        .ok_or_else(|| StoreFault::Damaged { what: "pin", why: format!("there is no kind {kind:?}") })?;
    let time = |column: &str| Ok::<_, StoreFault>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs));
    let approved = match row.get::<_, Option<[u8; 32]>>("approved")? {
        None => None,
        Some(fingerprint) => {
            let definition = row.get::<_, Option<Vec<u8>>>("approved_definition")?.unwrap_or_default();
            let version = Version { fingerprint, definition, at: time("approved_at")?.unwrap_or_default() };
            Some((version, row.get::<_, Option<String>>("approved_by")?.unwrap_or_default()))
        }
    };
    Ok(Pin {
        server: row.get("server")?,
        kind,
        name: row.get("name")?,
        approved,
        seen: Version {
            fingerprint: row.get("seen")?,
            definition: row.get("seen_definition")?,
            at: time("seen_at")?.unwrap_or_default(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, byte: u8, approved_by: Option<&'static str>) -> Seen {
        let version = Version { fingerprint: [byte; 32], definition: vec![byte], at: 7 };
        Seen { server: "git".into(), kind: PinKind::Tool, name: name.into(), version, approved_by }
    }

    #[tokio::test]
    async fn only_what_was_never_seen_is_approved_by_being_seen() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let pins = store.pins();
        pins.see(vec![seen("log", 1, Some("first use")), seen("push", 1, None)]).await.unwrap();
        let get = async |name: &str| pins.get("git", PinKind::Tool, name).await.unwrap().unwrap();
        assert!(get("log").await.is_approved());
        assert!(!get("push").await.is_approved());

        pins.see(vec![seen("log", 2, Some("first use")), seen("push", 1, Some("first use"))]).await.unwrap();
        let log = get("log").await;
        assert!(!log.is_approved(), "a change is not approved by being seen");
        assert_eq!(
            log.approved.as_ref().unwrap().0.definition,
            [1],
            "what was approved stays to be compared with"
        );
        assert!(!get("push").await.is_approved(), "what waits for a person goes on waiting");
    }

    #[tokio::test]
    async fn a_person_approves_of_what_they_have_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let pins = store.pins();
        pins.see(vec![seen("log", 1, None)]).await.unwrap();
        let looked_at = pins.get("git", PinKind::Tool, "log").await.unwrap().unwrap();
        pins.see(vec![seen("log", 2, None)]).await.unwrap();
        assert!(!pins.approve(&looked_at, "me", 9).await.unwrap(), "it changed behind the person's back");
        let now = pins.list().await.unwrap().remove(0);
        assert!(pins.approve(&now, "me", 9).await.unwrap());
        assert!(pins.list().await.unwrap()[0].is_approved());
        assert!(pins.revoke("git", PinKind::Tool, "log").await.unwrap());
        assert!(!pins.list().await.unwrap()[0].is_approved());
        assert_eq!(pins.forget("git").await.unwrap(), 1);
    }
}
