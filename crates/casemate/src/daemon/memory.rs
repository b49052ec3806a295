//! What the gateway remembers over its runs, besides keys and records: budgets, approvals, and the keys of seals.

use std::sync::Arc;
use std::time::Duration;

use casemate_auth::seal::{Keeper, Seals};
use casemate_gateway::ports::{Desk, Spent};
use casemate_store::Store;

use crate::clock;
use crate::wiring::desk::StoredDesk;
use crate::wiring::ledger::StoredLedger;

/// How often it is looked whether the keys of seals have to turn, or were turned by another replica.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What was read of it when the gateway started.
#[derive(Debug)]
pub struct Memory {
    /// Remembers budgets.
    pub ledger: Arc<StoredLedger>,
    /// What was used of them.
    pub spent: Vec<Spent>,
    /// Keeps approvals, and what is kept.
    pub desk: (Arc<dyn Desk>, Vec<Vec<u8>>),
    /// Makes and opens tokens.
    pub seals: Arc<Seals>,
    /// Keeps their keys.
    pub keeper: Keeper,
}

impl Memory {
    /// Reads it all from the store.
    pub async fn open(store: &Store) -> anyhow::Result<Memory> {
        let now = clock::unix_seconds();
        let (ledger, spent) = StoredLedger::open(store.clone(), now / 86_400).await?;
        let (desk, kept) = StoredDesk::open(store.clone()).await?;
        let keeper = Keeper::new(store.clone());
        let seals = Arc::new(keeper.open(now).await?);
        Ok(Memory { ledger: Arc::new(ledger), spent, desk: (Arc::new(desk), kept), seals, keeper })
    }
}

/// Turns the keys of seals. Never ends; it is dropped.
pub async fn turn(keeper: &Keeper, seals: &Seals) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = keeper.turn(seals, clock::unix_seconds()).await {
            tracing::error!(%error, "the keys of sealed tokens cannot be read; those known before stay in force");
        }
    }
}
