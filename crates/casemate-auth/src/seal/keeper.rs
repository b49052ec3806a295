//! Where the keys of seals are kept, and when they are changed.

use casemate_store::{Store, StoreFault};
use thiserror::Error;

use super::ring::{ROTATE_EVERY_S, Ring, SealKey};
use super::{Owner, Seals};
use crate::key::EntropyFault;

/// The keys, by their id in hexadecimal.
const KEYS: &str = "auth.seal";

/// What is known of this replica.
const REPLICA: &str = "auth.replica";

/// Why the keys of seals cannot be had.
#[derive(Debug, Error)]
pub enum KeeperFault {
    /// The store does not do what it is asked for.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The system has no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyFault),
}

/// Keeps the keys of seals in the store.
#[derive(Debug, Clone)]
pub struct Keeper {
    pub(super) store: Store,
}

impl Keeper {
    /// A keeper of this store's keys.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Keeper { store }
    }

    /// The seals of the installation, with a first key where there was none.
    ///
    /// # Errors
    /// [`KeeperFault`].
    pub async fn open(&self, now_unix_s: u64) -> Result<Seals, KeeperFault> {
        let ring = self.turned(now_unix_s).await?;
        Ok(Seals::new(ring, self.owner().await?))
    }

    /// Reads the keys anew, makes a new one when the newest has sealed for its time, and forgets those that open
    /// nothing any more. Called every minute or so; a replica learns of another's new key by it.
    ///
    /// # Errors
    /// [`KeeperFault`]; the seals go on with the keys that they have.
    pub async fn turn(&self, seals: &Seals, now_unix_s: u64) -> Result<(), KeeperFault> {
        seals.swap(self.turned(now_unix_s).await?);
        Ok(())
    }

    async fn turned(&self, now_unix_s: u64) -> Result<Ring, KeeperFault> {
        let mut keys = Vec::new();
        for entry in self.store.state().list(KEYS).await? {
            match read_id(&entry.key).and_then(|id| SealKey::of(id, &entry.value)) {
                Some(key) if now_unix_s < key.tokens_end() => keys.push(key),
                // It opens nothing any more, or never did.
                _ => drop(self.store.state().remove(KEYS, &entry.key).await?),
            }
        }
        // A key of the future was made before the clock was set back. It seals on: a clock that jumps must not
        // make keys without end.
        let is_due = |key: &SealKey| now_unix_s >= key.created().saturating_add(ROTATE_EVERY_S);
        if keys.iter().all(is_due) {
            let (key, stored) = SealKey::fresh(now_unix_s)?;
            self.store.state().put(KEYS, &write_id(key.id()), stored.to_vec()).await?;
            keys.push(key);
        }
        match Ring::of(keys) {
            Some(ring) => Ok(ring),
            None => Ok(Ring::fresh(now_unix_s)?),
        }
    }

    async fn owner(&self) -> Result<Owner, KeeperFault> {
        if let Some(entry) = self.store.state().get(REPLICA, "owner").await?
            && let Ok(owner) = entry.value.try_into()
        {
            return Ok(Owner(owner));
        }
        let mut owner = [0; 8];
        getrandom::fill(&mut owner).map_err(EntropyFault)?;
        self.store.state().put(REPLICA, "owner", owner.to_vec()).await?;
        Ok(Owner(owner))
    }
}

fn write_id(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn read_id(text: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(text, 16).ok().map(u32::to_be_bytes)
}
