//! Opening the database, and the handle to it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Notify;

use crate::fault::StoreFault;
use crate::folder::Folder;
use crate::keys::{Keys, Touches};
use crate::pins::Pins;
use crate::quarantine::Quarantine;
use crate::schema;
use crate::sealed::Sealed;
use crate::state::State;
use crate::writer::Writer;

/// The database's file name in the data folder.
const FILE: &str = "casemate.db";

/// How long SQLite waits for another process to finish its write. Writes here take milliseconds.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// The database of one installation. Cheap to clone; the last clone to go closes it, after what was queued is
/// done. Any number of processes may open one installation at the same time.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Writer,
    nudge: Notify,
    touches: Touches,
}

impl Store {
    /// Opens the database in the data folder, creating both where they are missing, and brings it to the
    /// present schema. Blocks for some milliseconds, longer while another process does the same.
    ///
    /// # Errors
    /// [`StoreFault`]: the folder or file is open to others, the file is foreign or newer, or SQLite refuses.
    pub fn open(folder: &Path) -> Result<Self, StoreFault> {
        // Creating the file closes a descriptor of it, which must not happen while another thread of this
        // process already has the database open: it would lose its locks.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // SQLite would create the file with whatever mode the umask leaves; its companions (-wal, -shm) take
        // the mode of the file that is there.
        let path = Folder::open(folder)?.claim(FILE)?;
        let connection = match connect(&path) {
            Err(StoreFault::Database(fault))
                if fault.sqlite_error_code() == Some(ErrorCode::NotADatabase) =>
            {
                return Err(StoreFault::Foreign { path });
            }
            outcome => outcome?,
        };
        let writer = Writer::start(connection)?;
        Ok(Store(Arc::new(Inner { writer, nudge: Notify::new(), touches: Touches::default() })))
    }

    /// The API keys.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(self)
    }

    /// What servers declared, and what of it was approved.
    #[must_use]
    pub fn pins(&self) -> Pins<'_> {
        Pins::new(self)
    }

    /// What calls are kept from.
    #[must_use]
    pub fn quarantine(&self) -> Quarantine<'_> {
        Quarantine::new(self)
    }

    /// Named values of any kind.
    #[must_use]
    pub fn state(&self) -> State<'_> {
        State::new(self)
    }

    /// Values that are kept sealed.
    #[must_use]
    pub fn sealed(&self) -> Sealed<'_> {
        Sealed::new(self)
    }

    /// Makes everyone who waits for a change look at once, for example because another process said that it
    /// made one. Changes through this handle do so by themselves.
    pub fn nudge(&self) {
        self.0.nudge.notify_waiters();
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.0.writer
    }

    pub(crate) fn nudges(&self) -> &Notify {
        &self.0.nudge
    }

    pub(crate) fn touches(&self) -> &Touches {
        &self.0.touches
    }
}

fn connect(path: &Path) -> Result<Connection, StoreFault> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    // A damaged or hostile file may not run code through its schema.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Full: a key that was revoked stays revoked when the power fails a moment later. Writes are rare.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(&mut connection, path)?;
    // Only now: a file that is not ours must not even be turned to WAL.
    set_wal(&connection)?;
    Ok(connection)
}

/// Readers and the writer do not wait for each other. Switching needs the file alone for a moment, and SQLite
/// does not always wait for it; the attempts are bounded by what each of them waits.
fn set_wal(connection: &Connection) -> Result<(), StoreFault> {
    const ATTEMPTS: usize = 50;
    for _ in 1..ATTEMPTS {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(fault) if fault.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return Ok(outcome?),
        }
    }
    Ok(connection.pragma_update(None, "journal_mode", "WAL")?)
}
