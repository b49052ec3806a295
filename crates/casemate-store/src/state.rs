//! Named values for whatever else has to be remembered. What a value means is its owner's business; an owner
//! keeps to one namespace, named after its module.

use rusqlite::{OptionalExtension, params};

use crate::clock;
use crate::fault::StoreFault;
use crate::store::Store;

/// Largest value, in bytes. What is larger belongs into a file.
pub const VALUE_MAX: usize = 1 << 20;

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key within the namespace.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// When it was last put, in milliseconds since 1970.
    pub updated: u64,
}

/// The named values of a [`Store`].
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    store: &'a Store,
}

impl<'a> State<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        State { store }
    }

    /// The value of that name, if there is one.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn get(&self, namespace: &'static str, key: &str) -> Result<Option<Entry>, StoreFault> {
        let key = key.to_owned();
        self.store
            .writer()
            .run(move |connection| {
                let sql = "SELECT key, value, updated FROM state WHERE namespace = ?1 AND key = ?2";
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.query_row(params![namespace, key], entry).optional()?)
            })
            .await
    }

    /// Everything in the namespace, in order of the keys.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn list(&self, namespace: &'static str) -> Result<Vec<Entry>, StoreFault> {
        self.store
            .writer()
            .run(move |connection| {
                let sql = "SELECT key, value, updated FROM state WHERE namespace = ?1 ORDER BY key";
                let mut statement = connection.prepare_cached(sql)?;
                let entries = statement.query_map([namespace], entry)?;
                Ok(entries.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Stores a value, in place of the one that was there. It is on disk when this returns.
    ///
    /// # Errors
    /// [`StoreFault::ValueTooLarge`] above [`VALUE_MAX`], or what SQLite refuses.
    pub async fn put(&self, namespace: &'static str, key: &str, value: Vec<u8>) -> Result<(), StoreFault> {
        let (key, updated) = row(key, &value)?;
        self.store
            .writer()
            .run(move |connection| {
                let sql = "INSERT INTO state (namespace, key, value, updated) VALUES (?1, ?2, ?3, ?4)
                           ON CONFLICT DO UPDATE SET value = excluded.value, updated = excluded.updated";
                connection.prepare_cached(sql)?.execute(params![namespace, key, value, updated])?;
                Ok(())
            })
            .await
    }

    /// Stores a value where there is none, and gives back the one that is there: of several that come at once, all get the
    /// same.
    ///
    /// # Errors
    /// [`StoreFault::ValueTooLarge`] above [`VALUE_MAX`], or what SQLite refuses.
    pub async fn settle(
        &self,
        namespace: &'static str,
        key: &str,
        value: Vec<u8>,
    ) -> Result<Vec<u8>, StoreFault> {
        let (key, updated) = row(key, &value)?;
        self.store
            .writer()
            .run(move |connection| {
                let sql = "INSERT INTO state (namespace, key, value, updated) VALUES (?1, ?2, ?3, ?4)
                           ON CONFLICT DO NOTHING";
                connection.prepare_cached(sql)?.execute(params![namespace, key, value, updated])?;
                let sql = "SELECT value FROM state WHERE namespace = ?1 AND key = ?2";
                Ok(connection.prepare_cached(sql)?.query_row(params![namespace, key], |row| row.get(0))?)
            })
            .await
    }

    /// Removes a value. False when there was none.
    ///
    /// # Errors
    /// What SQLite refuses.
    pub async fn remove(&self, namespace: &'static str, key: &str) -> Result<bool, StoreFault> {
        let key = key.to_owned();
        self.store
            .writer()
            .run(move |connection| {
                let sql = "DELETE FROM state WHERE namespace = ?1 AND key = ?2";
                Ok(connection.prepare_cached(sql)?.execute(params![namespace, key])? > 0)
            })
            .await
    }
}

/// What is written beside a value: its key, and now. A value that is too large is not written.
fn row(key: &str, value: &[u8]) -> Result<(String, i64), StoreFault> {
    if value.len() > VALUE_MAX {
        return Err(StoreFault::ValueTooLarge { max: VALUE_MAX, len: value.len() });
    }
    Ok((key.to_owned(), i64::try_from(clock::now_unix_ms()).unwrap_or(i64::MAX)))
}

pub(crate) fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry { key: row.get(0)?, value: row.get(1)?, updated: row.get::<_, i64>(2)?.unsigned_abs() })
}
