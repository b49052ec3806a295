//! What is kept in the store and looked at from memory.

use std::sync::Arc;

use casemate_auth::issuers::Issuers;
use casemate_gateway::gate::Gate;
use casemate_net::SystemResolver;
use casemate_store::{Store, StoreFault};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::wiring::identities::Papers;
use crate::wiring::pins::Book;

/// All of it.
#[derive(Debug, Clone)]
pub struct Ledgers {
    /// The keys.
    pub papers: Arc<Papers>,
    /// The pins.
    pub pins: Arc<Book>,
}

impl Ledgers {
    /// Reads what the store has. The keys of issuers are fetched on the tracker, until it is told to stop.
    pub async fn open(
        store: Store,
        (tracker, stop): (&TaskTracker, &CancellationToken),
    ) -> Result<Ledgers, StoreFault> {
        let issuers = Issuers::new(Arc::new(SystemResolver::new()), tracker.clone(), stop.clone());
        let papers = Arc::new(Papers::open(store.clone(), issuers).await?);
        let pins = Arc::new(Book::open(store).await?);
        Ok(Ledgers { papers, pins })
    }

    /// Keeps memory in step with the store, whoever writes to it, until it is told to stop.
    pub fn follow(&self, gate: &Arc<Gate>, stop: &CancellationToken) {
        let (papers, until) = (Arc::clone(&self.papers), stop.clone());
        gate.tracker().spawn(async move { until.run_until_cancelled(papers.follow()).await });
        let (pins, kept, until) = (Arc::clone(&self.pins), Arc::clone(gate), stop.clone());
        gate.tracker().spawn(async move { pins.follow(&kept, until).await });
    }
}
