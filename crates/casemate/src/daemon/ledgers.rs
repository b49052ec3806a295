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
use crate::wiring::recorder::Log;
use crate::wiring::wards::Warden;

/// All of it.
#[derive(Debug, Clone)]
pub struct Ledgers {
    /// The keys.
    pub papers: Arc<Papers>,
    /// The pins.
    pub pins: Arc<Book>,
    /// What is in quarantine.
    pub wards: Arc<Warden>,
}

impl Ledgers {
    /// Reads what the store has. The keys of issuers are fetched on the tracker, until it is told to stop.
    pub async fn open(
        store: Store,
        log: &Arc<Log>,
        (tracker, stop): (&TaskTracker, &CancellationToken),
    ) -> Result<Ledgers, StoreFault> {
        let issuers = Issuers::new(Arc::new(SystemResolver::new()), tracker.clone(), stop.clone());
        let papers = Arc::new(Papers::open(store.clone(), issuers).await?);
        let wards = Arc::new(Warden::new(store.clone(), Arc::clone(log)));
        let pins = Arc::new(Book::open(store).await?);
        Ok(Ledgers { papers, pins, wards })
    }

    /// Keeps memory in step with the store, whoever writes to it, until it is told to stop.
    pub fn follow(&self, gate: &Arc<Gate>, stop: &CancellationToken) {
        let (papers, until) = (Arc::clone(&self.papers), stop.clone());
        gate.tracker().spawn(async move { until.run_until_cancelled(papers.follow()).await });
        let (pins, kept, until) = (Arc::clone(&self.pins), Arc::clone(gate), stop.clone());
        gate.tracker().spawn(async move { pins.follow(&kept, until).await });
        let (wards, kept, until) = (Arc::clone(&self.wards), Arc::clone(gate), stop.clone());
        gate.tracker().spawn(async move { wards.follow(&kept, until).await });
    }
}
