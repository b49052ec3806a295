//! What was used of daily budgets, in the store: written behind the calls, the last word of each name at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use casemate_gateway::ports::{Ledger, Spent};
use casemate_store::{Store, StoreFault};
use tokio::sync::Notify;

/// Where it is kept, by whose budget it is.
const BUDGETS: &str = "limits.budget";

/// The ledger behind the gateway's port.
#[derive(Debug)]
pub struct StoredLedger {
    store: Store,
    /// What is to be written. One entry for each budget, of which there is a bounded number.
    waiting: Mutex<BTreeMap<Box<str>, Spent>>,
    bell: Notify,
}

impl StoredLedger {
    /// The ledger of an installation, and what is in it of `today` and later; the rest is removed.
    pub async fn open(store: Store, today: u64) -> Result<(StoredLedger, Vec<Spent>), StoreFault> {
        let mut spent = Vec::new();
        for entry in store.state().list(BUDGETS).await? {
            match read(&entry.key, &entry.value).filter(|spent| spent.day >= today) {
                Some(current) => spent.push(current),
                None => drop(store.state().remove(BUDGETS, &entry.key).await?),
            }
        }
        Ok((StoredLedger { store, waiting: Mutex::default(), bell: Notify::new() }, spent))
    }

    /// Writes whenever there is something to write. Never ends; it is dropped.
    pub async fn follow(&self) {
        loop {
            self.bell.notified().await;
            self.flush().await;
        }
    }

    /// Writes what waits.
    pub async fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for (name, spent) in waiting {
            let text = format!("{} {}", spent.day, spent.count).into_bytes();
            if let Err(error) = self.store.state().put(BUDGETS, &name, text).await {
                tracing::error!(%error, budget = %name, "what was used of a budget is not written down");
            }
        }
    }
}

impl Ledger for StoredLedger {
    fn write(&self, spent: Spent) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(spent.name.clone(), spent);
        drop(waiting);
        self.bell.notify_one();
    }
}

fn read(name: &str, value: &[u8]) -> Option<Spent> {
    let (day, count) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    Some(Spent { name: name.into(), day: day.parse().ok()?, count: count.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_used_is_there_after_a_restart_and_old_days_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let (ledger, spent) = StoredLedger::open(store.clone(), 10).await.unwrap();
        assert!(spent.is_empty());
        let entry = |name: &str, day, count| Spent { name: name.into(), day, count };
        for spent in [entry("a", 10, 1), entry("a", 10, 7), entry("b", 11, 2), entry("c", 9, 3)] {
            ledger.write(spent);
        }
        ledger.flush().await;
        let (_, spent) = StoredLedger::open(store.clone(), 10).await.unwrap();
        assert_eq!(spent, [entry("a", 10, 7), entry("b", 11, 2)]);
        store.state().put(BUDGETS, "damaged", b"x".to_vec()).await.unwrap();
        let (_, spent) = StoredLedger::open(store.clone(), 12).await.unwrap();
        assert!(spent.is_empty());
        assert!(store.state().list(BUDGETS).await.unwrap().is_empty());
    }
}
