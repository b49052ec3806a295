//! What the values are made from that are planted in cells: random, made once, and kept with the installation, so that they
//! are the same after a restart.

use anyhow::Context as _;
use casemate_inspect::SEED_BYTES;
use casemate_store::Store;

const NAMESPACE: &str = "honeytokens";
const KEY: &str = "seed";

/// The seed of an installation. It is made when there is none.
pub async fn of(store: &Store) -> anyhow::Result<[u8; SEED_BYTES]> {
    let mut fresh = [0; SEED_BYTES];
    getrandom::fill(&mut fresh).context("the system gives no randomness")?;
    let kept = store.state().settle(NAMESPACE, KEY, fresh.to_vec()).await?;
    kept.try_into().ok().context("the seed of the honeytokens is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_made_once_and_is_another_in_each_installation() {
        let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let open = |folder: &tempfile::TempDir| Store::open(&folder.path().join("data")).unwrap();
        let (first, again) = (open(&one), open(&one));
        let (a, b) = tokio::join!(of(&first), of(&again));
        assert_eq!(a.unwrap(), b.unwrap());
        assert_ne!(of(&first).await.unwrap(), of(&open(&other)).await.unwrap());
    }
}
