//! The API key that a new installation begins with.

use casemate_auth::{KeySecret, NewKey, issue};
use casemate_mcp::names::RoleName;
use casemate_policy::Builtin;
use casemate_store::Store;

use crate::clock;

/// A key that was just made and has to be shown, once.
#[derive(Debug)]
pub struct FirstKey {
    /// The key.
    pub secret: KeySecret,
    /// Its public id.
    pub id: String,
}

/// Makes a key when the installation never had one, not even one that was revoked.
pub async fn make(store: &Store) -> anyhow::Result<Option<FirstKey>> {
    if !store.keys().list().await?.is_empty() {
        return Ok(None);
    }
    let role = RoleName::parse(Builtin::User.as_str())?;
    let (secret, record) = issue(NewKey { name: "first".to_owned(), role, expires: None }, clock::unix_seconds())?;
    let id = record.id.clone();
    store.keys().insert(record).await?;
    Ok(Some(FirstKey { secret, id }))
}
