//! Waiting until something in the database changes, whoever changes it.

use std::time::Duration;

use rusqlite::Connection;
use tokio::time::sleep;

use crate::fault::StoreFault;
use crate::store::Store;

/// How often changes made by other processes are looked for. Once in a second is soon enough for a person who creates
/// a key and uses it; a look costs microseconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells when a table is another than before, whoever changed it.
#[derive(Debug)]
pub struct Changes {
    store: Store,
    topic: &'static str,
    seen: Option<i64>,
}

impl Changes {
    pub(crate) fn of(store: Store, topic: &'static str) -> Self {
        Changes { store, topic, seen: None }
    }

    /// Returns at once when called first, and from then on after a change: right away when it was through a clone of
    /// this store or [`Store::nudge`] was called, within a second when it was another process. Cancel safe.
    ///
    /// # Errors
    /// What SQLite refuses; calling again looks again after a second.
    pub async fn changed(&mut self) -> Result<(), StoreFault> {
        let topic = self.topic;
        loop {
            // Listening starts before looking, so that a change in between is not slept over.
            let mut nudged = std::pin::pin!(self.store.nudges().notified());
            nudged.as_mut().enable();
            match self.store.writer().run(move |connection| revision(connection, topic)).await {
                Ok(now) if self.seen != Some(now) => {
                    self.seen = Some(now);
                    return Ok(());
                }
                Ok(_) => {}
                Err(fault) => {
                    sleep(LOOK_EVERY).await;
                    return Err(fault);
                }
            }
            tokio::select! {
                () = nudged => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// The number that triggers keep in step with every change that matters. `PRAGMA data_version` would also tell of
/// changes, but of those that nobody waits for too, and of none of our own.
fn revision(connection: &Connection, topic: &str) -> Result<i64, StoreFault> {
    let mut statement = connection.prepare_cached("SELECT value FROM revisions WHERE topic = ?1")?;
    Ok(statement.query_row([topic], |row| row.get(0))?)
}
