//! What servers listed the last time, kept over restarts so that lists are answered before a server has started.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use casemate_mcp::names::ServerName;
use casemate_store::{Store, StoreFault};

/// Where the store keeps them; by the names of servers.
pub const NAMESPACE: &str = "lists";

/// The texts, in memory and those that the store does not have yet.
#[derive(Debug, Default)]
pub struct Lists {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    known: HashMap<Box<str>, Bytes>,
    unwritten: HashMap<Box<str>, Bytes>,
}

impl Lists {
    /// Reads what the store has.
    pub async fn open(store: &Store) -> Result<Lists, StoreFault> {
        let entries = store.state().list(NAMESPACE).await?.into_iter();
        let known = entries.map(|entry| (entry.key.into(), entry.value.into())).collect();
        Ok(Lists { kept: Mutex::new(Kept { known, unwritten: HashMap::new() }) })
    }

    /// What a server listed the last time.
    pub fn get(&self, server: &ServerName) -> Option<Bytes> {
        self.kept().known.get(server.as_str()).cloned()
    }

    /// Takes the place of what was listed before; [`Lists::write`] brings it to the store.
    pub fn put(&self, server: &ServerName, text: Bytes) {
        let mut kept = self.kept();
        kept.known.insert(server.as_str().into(), text.clone());
        kept.unwritten.insert(server.as_str().into(), text);
    }

    /// Writes what the store does not have. What cannot be written is forgotten: the next start asks the server.
    pub async fn write(&self, store: &Store) {
        let unwritten = std::mem::take(&mut self.kept().unwritten);
        for (server, text) in unwritten {
            if let Err(error) = store.state().put(NAMESPACE, &server, text.to_vec()).await {
                tracing::warn!(%server, %error, "what the server lists could not be kept for the next start");
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_listed_is_known_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let git = ServerName::parse("git").unwrap();
        let lists = Lists::open(&store).await.unwrap();
        assert_eq!(lists.get(&git), None);
        for text in ["first", "second"] {
            lists.put(&git, text.into());
        }
        lists.write(&store).await;
        assert_eq!(Lists::open(&store).await.unwrap().get(&git), Some("second".into()));
    }
}
