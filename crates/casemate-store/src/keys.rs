//! The API keys as they are stored: never the key, only its hash.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use casemate_mcp::names::RoleName;
use rusqlite::{Connection, ErrorCode, Row, named_params, params};

use crate::changes::Changes;
use crate::fault::StoreFault;
use crate::store::Store;

/// How often a key's last use is written down, in seconds. Somebody who asks wants to know the day; a write
/// per call would cost more than the call.
const TOUCH_EVERY_S: u64 = 60;

/// What is stored of one key. Times are seconds since 1970.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public id, made from the hash.
    pub id: String,
    /// What its owner calls it; not unique.
    pub name: String,
    /// The role that its holder acts in.
    pub role: RoleName,
    /// The patterns that it is narrowed to; by none when absent.
    pub scope: Option<Vec<String>>,
    /// SHA-256 of the key's whole text.
    pub hash: [u8; 32],
    /// When it was created.
    pub created: u64,
    /// From when on it is refused; never when absent.
    pub expires: Option<u64>,
    /// When it was revoked, if it was.
    pub revoked: Option<u64>,
    /// When it was last used, give or take a minute.
    pub last_used: Option<u64>,
}

/// The hash tells nothing about the key, but it is the one thing that ties a stolen key to this installation.
impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("scope", &self.scope)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("revoked", &self.revoked)
            .field("last_used", &self.last_used)
            .finish_non_exhaustive()
    }
}

/// The keys of a [`Store`].
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    store: &'a Store,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Keys { store }
    }

    /// Stores a new key. It is on disk when this returns.
    ///
    /// # Errors
    /// [`StoreFault::KeyExists`] when the id or the hash is taken, or what SQLite refuses.
    pub async fn insert(&self, record: KeyRecord) -> Result<(), StoreFault> {
        self.store.writer().run(move |connection| insert(connection, &record)).await?;
        self.store.nudge();
        Ok(())
    }

    /// All keys, expired and revoked ones included, the oldest first.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for a row that is no key, or what SQLite refuses.
    pub async fn list(&self) -> Result<Vec<KeyRecord>, StoreFault> {
        self.store.writer().run(|connection| list(connection)).await
    }

    /// Revokes a key; one that is revoked already keeps its first time. False when there is no such key.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn revoke(&self, id: &str, now_unix_s: u64) -> Result<bool, StoreFault> {
        let id = id.to_owned();
        let found = self
            .store
            .writer()
            .run(move |connection| {
                let sql = "UPDATE keys SET revoked = coalesce(revoked, ?2) WHERE id = ?1";
                Ok(connection.execute(sql, params![id, integer(now_unix_s)])? > 0)
            })
            .await?;
        self.store.nudge();
        Ok(found)
    }

    /// Notes that a key was used. Never blocks and never fails: at most one write a minute for each key is
    /// queued, and when the queue is full the next use tries again.
    pub fn touch(&self, id: &str, now_unix_s: u64) {
        if !self.store.touches().is_due(id, now_unix_s) {
            return;
        }
        let own = id.to_owned();
        let queued = self.store.writer().offer(move |connection| {
            let sql = "UPDATE keys SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1";
            if let Err(fault) = connection.execute(sql, params![own, integer(now_unix_s)]) {
                tracing::warn!(key = own, %fault, "the last use of a key could not be written down");
            }
        });
        if !queued {
            self.store.touches().forget(id);
        }
    }

    /// A view of the changes that is told at once about the present state.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::of(self.store.clone(), "keys")
    }
}

/// When each key's last use was last queued to be written. Holds an entry per key that was ever used, and only
/// keys that were verified are touched, so it is no larger than the table of keys.
#[derive(Debug, Default)]
pub(crate) struct Touches(Mutex<HashMap<String, u64>>);

impl Touches {
    /// True when the use has to be written, and it counts as written from then on.
    fn is_due(&self, id: &str, now_unix_s: u64) -> bool {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written.get_mut(id) {
            Some(last) if now_unix_s < last.saturating_add(TOUCH_EVERY_S) => false,
            Some(last) => {
                *last = now_unix_s;
                true
            }
            None => {
                written.insert(id.to_owned(), now_unix_s);
                true
            }
        }
    }

    fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

fn insert(connection: &Connection, record: &KeyRecord) -> Result<(), StoreFault> {
    let outcome = connection.execute(
        "INSERT INTO keys (id, name, role, scope, hash, created, expires, revoked, last_used)
         VALUES (:id, :name, :role, :scope, :hash, :created, :expires, :revoked, :last_used)",
        named_params! {
            ":id": record.id,
            ":name": record.name,
            ":role": record.role.as_str(),
            ":scope": record.scope.as_ref().map(|patterns| patterns.join("\n")),
            ":hash": record.hash,
            ":created": integer(record.created),
            ":expires": record.expires.map(integer),
            ":revoked": record.revoked.map(integer),
            ":last_used": record.last_used.map(integer),
        },
    );
    match outcome {
        Ok(_) => Ok(()),
        Err(fault) if fault.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreFault::KeyExists { id: record.id.clone() })
        }
        Err(fault) => Err(fault.into()),
    }
}

fn list(connection: &Connection) -> Result<Vec<KeyRecord>, StoreFault> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, role, scope, hash, created, expires, revoked, last_used FROM keys ORDER BY created, id",
    )?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

fn record(row: &Row<'_>) -> Result<KeyRecord, StoreFault> {
    let role: String = row.get("role")?;
    let role = RoleName::parse(&role)
        .map_err(|fault| StoreFault::Damaged { what: "key", why: fault.to_string() })?;
    let time = |column: &str| Ok::<_, StoreFault>(row.get::<_, Option<i64>>(column)?.map(i64::unsigned_abs));
    Ok(KeyRecord {
        id: row.get("id")?,
        name: row.get("name")?,
        role,
        // A line for each pattern, which has no line breaks; nothing at all is a scope of nothing.
        scope: row.get::<_, Option<String>>("scope")?.map(|text| text.lines().map(str::to_owned).collect()),
        hash: row.get("hash")?,
        created: time("created")?.unwrap_or_default(),
        expires: time("expires")?,
        revoked: time("revoked")?,
        last_used: time("last_used")?,
    })
}

/// SQLite's integers are signed; a time beyond them is as good as the last one.
pub(crate) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
