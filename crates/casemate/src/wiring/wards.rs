//! What is in quarantine: the store's table, behind the gateway's port.
//!
//! People write to the store with the command line, whether a gateway runs or not; this brings what they wrote into force.
//! What rules put in is in force before it comes here, is recorded at once and written a moment later.

use std::sync::{Arc, Mutex, PoisonError};

use casemate_gateway::gate::Gate;
use casemate_gateway::ports::Wards;
use casemate_gateway::quarantine::{Entry, Ward};
use casemate_store::records::{Act, Record};
use casemate_store::{Confined, Store, StoreFault};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::recorder::Log;
use crate::clock;

/// Keeps store, gateway and records in step.
#[derive(Debug)]
pub struct Warden {
    store: Store,
    log: Arc<Log>,
    /// What the store does not have yet. The gateway bounds it.
    unwritten: Mutex<Vec<Entry>>,
    bell: Notify,
}

impl Warden {
    /// The warden of an installation.
    pub fn new(store: Store, log: Arc<Log>) -> Warden {
        Warden { store, log, unwritten: Mutex::default(), bell: Notify::new() }
    }

    /// What is in quarantine, by the store.
    ///
    /// # Errors
    /// When the store cannot be read: then nobody knows what is, and no gateway should serve.
    pub async fn stored(&self) -> Result<Vec<Entry>, StoreFault> {
        let now = clock::unix_seconds();
        let rows = self.store.quarantine().list().await?;
        Ok(rows.into_iter().filter_map(entry).filter(|entry| !entry.is_over(now)).collect())
    }

    /// Keeps all in step until it is told to stop; then writes what is left.
    pub async fn follow(&self, gate: &Gate, stop: CancellationToken) {
        let mut changes = self.store.quarantine().changes();
        loop {
            let taken = tokio::select! {
                () = stop.cancelled() => break,
                () = self.bell.notified() => self.write(gate).await,
                changed = changes.changed() => match changed {
                    Ok(()) => self.reload(gate).await,
                    Err(fault) => Err(fault),
                },
            };
            if let Err(error) = taken {
                tracing::error!(%error, "the quarantine cannot be read or written; what is in force stays in force");
            }
        }
        if let Err(error) = self.write(gate).await {
            tracing::error!(%error, "what rules put in quarantine is not written down and ends with this run");
        }
    }

    /// Reads the store anew: what it says is in force when this returns.
    ///
    /// # Errors
    /// When it cannot be read; what was in force stays so.
    pub async fn reload(&self, gate: &Gate) -> Result<(), StoreFault> {
        gate.quarantine().replace(self.stored().await?);
        gate.enforce();
        Ok(())
    }

    async fn write(&self, gate: &Gate) -> Result<(), StoreFault> {
        let waiting = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if waiting.is_empty() {
            return Ok(());
        }
        let now = clock::unix_seconds();
        let rows = self.store.quarantine();
        rows.sweep(now).await?;
        rows.put_new(waiting.iter().map(confined).collect(), now).await?;
        let wards: Vec<Ward> = waiting.into_iter().map(|entry| entry.ward).collect();
        self.unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|entry| !wards.contains(&entry.ward));
        // What the store has is taken over before what we had is let go of, so that nothing is free in between.
        self.reload(gate).await?;
        gate.quarantine().kept(&wards);
        Ok(())
    }
}

impl Wards for Warden {
    fn alarm(&self, object: &str, what: &str) {
        let record = Act { by: "casemate", act: "alarm", object, detail: Some(what) };
        self.log.append(&Record::Act(&record));
    }

    fn keep(&self, entry: &Entry) {
        record(&self.log, ("quarantine add", &entry.by), entry);
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).push(entry.clone());
        self.bell.notify_one();
    }
}

/// Records that something was put in by a rule. It is in force already, so a failure is an alarm and no way back.
fn record(log: &Log, (act, by): (&str, &str), entry: &Entry) {
    log.append(&Record::Act(&Act { by, act, object: &entry.ward.to_string(), detail: Some(&detail(entry)) }));
}

/// Why and until when, as records and lists say it.
pub fn detail(entry: &Entry) -> String {
    let until = entry.until.map_or_else(|| "it is lifted".to_owned(), clock::date_time);
    format!("until {until}: {}", entry.reason)
}

/// An entry as the store has it.
pub fn confined(entry: &Entry) -> Confined {
    Confined {
        ward: entry.ward.to_string(),
        reason: entry.reason.to_string(),
        by: entry.by.to_string(),
        since: entry.since,
        until: entry.until,
    }
}

/// A row of the store as an entry. One that cannot be read was written by a later version, and is told of.
pub fn entry(row: Confined) -> Option<Entry> {
    let Ok(ward) = Ward::parse(&row.ward) else {
        tracing::error!(ward = row.ward, "what is in quarantine under this name is not known here");
        return None;
    };
    let (reason, by) = (row.reason.into(), row.by.into());
    Some(Entry { ward, reason, by, since: row.since, until: row.until })
}
