//! Questions to people and their answers, in the store.

use casemate_gateway::ports::Desk;
use casemate_gateway::upstream::Soon;
use casemate_store::{Store, StoreFault};

/// Where they are kept, by the name of the question.
const APPROVALS: &str = "approvals";

/// The desk behind the gateway's port.
#[derive(Debug)]
pub struct StoredDesk(Store);

impl StoredDesk {
    /// The desk of an installation, and what lies on it.
    pub async fn open(store: Store) -> Result<(StoredDesk, Vec<Vec<u8>>), StoreFault> {
        let kept = store.state().list(APPROVALS).await?;
        Ok((StoredDesk(store), kept.into_iter().map(|entry| entry.value).collect()))
    }
}

impl Desk for StoredDesk {
    fn put<'a>(&'a self, id: &'a str, text: Vec<u8>) -> Soon<'a, Result<(), String>> {
        Box::pin(
            async move { self.0.state().put(APPROVALS, id, text).await.map_err(|fault| fault.to_string()) },
        )
    }

    fn remove<'a>(&'a self, id: &'a str) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            self.0.state().remove(APPROVALS, id).await.map(drop).map_err(|fault| fault.to_string())
        })
    }
}
