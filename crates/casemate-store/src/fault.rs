//! What can go wrong with the database.

use std::path::PathBuf;

use thiserror::Error;

use crate::folder::FolderFault;

/// Why the store cannot do what it was asked for.
#[derive(Debug, Error)]
pub enum StoreFault {
    /// The folder or a file in it is missing, unreadable or open to others.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// The database was written by a later version. It is left untouched.
    #[error(
        "{path} has schema {found} and this casemate knows {known}: a newer casemate wrote it; hint: run that version"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The last schema that this program knows.
        known: i64,
    },
    /// The file is a database, and not ours. It is left untouched.
    #[error("{path} is not a database of casemate; hint: move it away, or choose another data folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A key of that id or hash is stored already.
    #[error("the key {id} exists already")]
    KeyExists {
        /// The key's public id.
        id: String,
    },
    /// A value is larger than the store takes.
    #[error("a state value has at most {max} bytes, this one has {len}")]
    ValueTooLarge {
        /// The most that is taken.
        max: usize,
        /// What was given.
        len: usize,
    },
    /// A stored row does not hold what the schema promises.
    #[error("the store holds a {what} that cannot be read: {why}; hint: restore the database from a backup")]
    Damaged {
        /// What the row should have been.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The writer thread has ended, which happens only when the store is being dropped.
    #[error("the store is closed")]
    Closed,
    /// The writer thread could not be started.
    #[error("the store's writer thread could not be started")]
    Thread(#[source] std::io::Error),
    /// SQLite refused; the source says why.
    #[error("the database did not do what it was asked for")]
    Database(#[from] rusqlite::Error),
}
