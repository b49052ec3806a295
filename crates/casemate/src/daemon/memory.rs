//! What the gateway remembers over its runs, besides keys and records: budgets, approvals, and the keys of seals.

use std::sync::Arc;
use std::time::Duration;

use casemate_auth::seal::{Keeper, Seals};
use casemate_gateway::ports::{Desk, Spent};
use casemate_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::wiring::desk::StoredDesk;
use crate::wiring::ledger::StoredLedger;

/// How often it is looked whether the keys of seals have to turn, or were turned by another replica.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What was read of it when the gateway started.
#[derive(Debug)]
pub struct Memory {
    /// What goes on remembering.
    pub keepers: Keepers,
    /// What was used of budgets.
    pub spent: Vec<Spent>,
    /// Keeps approvals, and what is kept.
    pub desk: (Arc<dyn Desk>, Vec<Vec<u8>>),
}

/// What goes on remembering while the gateway runs.
#[derive(Debug)]
pub struct Keepers {
    /// Remembers budgets.
    pub ledger: Arc<StoredLedger>,
    /// Makes and opens tokens.
    pub seals: Arc<Seals>,
    keeper: Keeper,
}

impl Memory {
    /// Reads it all from the store, and goes on remembering on the tracker until it is told to stop.
    pub async fn open(
        store: &Store,
        (tracker, stop): (&TaskTracker, &CancellationToken),
    ) -> anyhow::Result<Memory> {
        let now = clock::unix_seconds();
        let (ledger, spent) = StoredLedger::open(store.clone(), now / 86_400).await?;
        let (desk, kept) = StoredDesk::open(store.clone()).await?;
        let keeper = Keeper::new(store.clone());
        let seals = Arc::new(keeper.open(now).await?);
        let keepers = Keepers { ledger: Arc::new(ledger), seals, keeper };
        keepers.follow(tracker, stop);
        Ok(Memory { keepers, spent, desk: (Arc::new(desk), kept) })
    }
}

impl Keepers {
    /// Writes budgets down and turns the keys of seals, until it is told to stop.
    fn follow(&self, tracker: &TaskTracker, stop: &CancellationToken) {
        let (ledger, until) = (Arc::clone(&self.ledger), stop.clone());
        tracker.spawn(async move { until.run_until_cancelled(ledger.follow()).await });
        let (seals, keeper, until) = (Arc::clone(&self.seals), self.keeper.clone(), stop.clone());
        tracker.spawn(async move { until.run_until_cancelled(turn(&keeper, &seals)).await });
    }
}

/// Turns the keys of seals. Never ends; it is dropped.
async fn turn(keeper: &Keeper, seals: &Seals) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = keeper.turn(seals, clock::unix_seconds()).await {
            tracing::error!(%error, "the keys of sealed tokens cannot be read; those known before stay in force");
        }
    }
}
