//! Values that are kept sealed. What sealing is, and with which keys, is not known here; only that every value
//! of every kind is sealed under one key at a time, whose name stands beside them. A writer learns that name in
//! the transaction in which it writes, so nothing is ever left under a key that was just replaced.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::clock;
use crate::fault::StoreFault;
use crate::state::{Entry, VALUE_MAX, entry};
use crate::store::Store;

/// The namespace of what is known about the seals themselves.
const SEALS: &str = "seals";
const CURRENT: &str = "current";

/// The sealed values of a [`Store`].
#[derive(Debug, Clone, Copy)]
pub struct Sealed<'a> {
    store: &'a Store,
}

/// What a writer is shown in the transaction in which it writes.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The name of the key under which everything is sealed; none before the first value.
    pub key: Option<&'a [u8]>,
    /// The value that is there.
    pub value: Option<&'a [u8]>,
}

/// A value to be written, and the name of the key that it was sealed under.
#[derive(Debug)]
pub struct Written {
    /// The name of the key.
    pub key: Vec<u8>,
    /// The sealed value.
    pub value: Vec<u8>,
}

/// Turns the sealed value of a kind and name into one under another key.
pub type Reseal = Box<dyn Fn(&str, &str, &[u8]) -> Result<Vec<u8>, String> + Send>;

impl<'a> Sealed<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Sealed { store }
    }

    /// One value.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn get(&self, kind: &'static str, name: &str) -> Result<Option<Entry>, StoreFault> {
        self.store.state().get(kind, name).await
    }

    /// All values of a kind, in order of their names.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn list(&self, kind: &'static str) -> Result<Vec<Entry>, StoreFault> {
        self.store.state().list(kind).await
    }

    /// Writes a value that is made from what is there. `None` when the writer gave none, because it does not have
    /// the key that is in use; nothing has changed then.
    ///
    /// # Errors
    /// [`StoreFault::ValueTooLarge`], or what SQLite refuses.
    pub async fn put(
        &self,
        kind: &'static str,
        name: &str,
        seal: impl FnOnce(Before<'_>) -> Option<Written> + Send + 'static,
    ) -> Result<Option<()>, StoreFault> {
        let name = name.to_owned();
        let job = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let [key, value] = [read(&transaction, SEALS, CURRENT)?, read(&transaction, kind, &name)?];
            let before = Before { key: key.as_deref(), value: value.as_deref() };
            let Some(written) = seal(before) else { return Ok(None) };
            if written.value.len() > VALUE_MAX {
                return Err(StoreFault::ValueTooLarge { max: VALUE_MAX, len: written.value.len() });
            }
            write(&transaction, kind, (&name, &written.value))?;
            if key.is_none() {
                write(&transaction, SEALS, (CURRENT, &written.key))?;
            }
            transaction.commit()?;
            Ok(Some(()))
        };
        self.store.writer().run(job).await
    }

    /// Removes a value. False when there was none.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn remove(&self, kind: &'static str, name: &str) -> Result<bool, StoreFault> {
        self.store.state().remove(kind, name).await
    }

    /// Seals every value of these kinds anew, all of them or none, and names the key that they are under from
    /// then on. Returns how many there are.
    ///
    /// # Errors
    /// [`StoreFault::Damaged`] for a value that cannot be resealed, or what SQLite refuses.
    pub async fn reseal(
        &self,
        kinds: &'static [&'static str],
        (key, reseal): (Vec<u8>, Reseal),
    ) -> Result<usize, StoreFault> {
        let job = move |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut count = 0;
            for kind in kinds {
                for (name, value) in all(&transaction, kind)? {
                    let fresh = reseal(kind, &name, &value).map_err(|why| StoreFault::Damaged {
                        what: "sealed value",
                        why: format!("{kind} {name}: {why}"),
                    })?;
                    // When it was set stays as it was: its age is the value's, not the seal's.
                    let sql = "UPDATE state SET value = ?3 WHERE namespace = ?1 AND key = ?2";
                    transaction.prepare_cached(sql)?.execute(params![kind, name, fresh])?;
                    count += 1;
                }
            }
            write(&transaction, SEALS, (CURRENT, &key))?;
            transaction.commit()?;
            Ok(count)
        };
        self.store.writer().run(job).await
    }
}

fn read(connection: &Connection, namespace: &str, key: &str) -> Result<Option<Vec<u8>>, StoreFault> {
    let sql = "SELECT key, value, updated FROM state WHERE namespace = ?1 AND key = ?2";
    let found = connection.prepare_cached(sql)?.query_row(params![namespace, key], entry).optional()?;
    Ok(found.map(|entry| entry.value))
}

fn all(connection: &Connection, namespace: &str) -> Result<Vec<(String, Vec<u8>)>, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT key, value FROM state WHERE namespace = ?1")?;
    let rows = statement.query_map([namespace], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn write(connection: &Connection, namespace: &str, (key, value): (&str, &[u8])) -> Result<(), StoreFault> {
    let updated = i64::try_from(clock::now_unix_ms()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO state (namespace, key, value, updated) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET value = excluded.value, updated = excluded.updated";
    connection.prepare_cached(sql)?.execute(params![namespace, key, value, updated])?;
    Ok(())
}
