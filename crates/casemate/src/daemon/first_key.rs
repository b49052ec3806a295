//! The API key that a new installation begins with.

use casemate_auth::{KeySecret, NewKey, issue};
use casemate_mcp::names::RoleName;
use casemate_policy::Builtin;
use casemate_store::Store;

use crate::clock;
use crate::wiring::recorder::Log;

/// Makes a key when the installation never had one, not even one that was revoked. It has to be shown, once.
pub async fn make(store: &Store, log: &Log) -> anyhow::Result<Option<KeySecret>> {
    if !store.keys().list().await?.is_empty() {
        return Ok(None);
    }
    let role = RoleName::parse(Builtin::User.as_str())?;
    let (secret, record) =
        issue(NewKey { name: "first".to_owned(), role, scope: None, expires: None }, clock::unix_seconds())?;
    log.key_created(&record).map_err(anyhow::Error::msg)?;
    store.keys().insert(record).await?;
    Ok(Some(secret))
}
