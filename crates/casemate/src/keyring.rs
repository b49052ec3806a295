//! The keyring of the system: the Secret Service of freedesktop.org, on the bus of the user's session.
//!
//! What lies there is the passphrase that the installation's key is sealed with, and nothing else. It travels the bus as it is
//! (the algorithm `plain`): who could listen there runs as the same user, and can ask the keyring itself.

#[cfg(feature = "keyring")]
mod bus;
#[cfg(not(feature = "keyring"))]
mod none;

use std::time::Duration;

use casemate_auth::Vault;
use secrecy::SecretString;
use thiserror::Error;

use crate::context::Context;

#[cfg(feature = "keyring")]
use bus::Service;
#[cfg(not(feature = "keyring"))]
use none::Service;

/// How long a keyring may take to answer. One that has to be started first takes a second or two.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Random bytes of a passphrase that nobody types.
const PASSPHRASE_BYTES: usize = 32;

/// Random bytes of the name that a passphrase has in a keyring.
const ITEM_BYTES: usize = 8;

/// Why a keyring does not do its part, as the end of a sentence on the passphrase.
#[derive(Debug, Error)]
pub enum Fault {
    /// There is no bus, or nobody on it keeps secrets.
    #[error("belongs in the keyring of the system, which is not there: {0}")]
    Absent(String),
    /// The keyring would have to be opened by a person first.
    #[error("belongs in the keyring of the system, which is locked")]
    Locked,
    /// There is no such item.
    #[error("is not in the keyring of the system any more")]
    Missing,
    /// It answers something else than it should, or too late.
    #[error("belongs in the keyring of the system, which does not work: {0}")]
    Broken(String),
}

impl Fault {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Fault::Absent(_) => {
                "log in to a desktop, or start a keyring on this session's bus (`gnome-keyring-daemon --unlock`)"
            }
            Fault::Locked => "unlock the default keyring, as logging in to the desktop does",
            Fault::Missing => {
                "the secrets cannot be opened without it; set them anew once secrets.key is moved away"
            }
            Fault::Broken(_) => "look whether `secret-tool search application casemate` answers",
        }
    }
}

/// The passphrase of a vault that has it in the keyring.
pub async fn passphrase(context: &Context, vault: &Vault) -> anyhow::Result<Result<SecretString, Fault>> {
    let Some(item) = vault.keyring_item()? else { return Ok(Err(Fault::Missing)) };
    Ok(within(async { open(context).await?.find(&item).await }).await)
}

/// A new passphrase that nobody knows, and its name. It is in the keyring when this returns.
pub async fn keep_new(context: &Context) -> anyhow::Result<Result<(String, SecretString), Fault>> {
    let item = random::<ITEM_BYTES>()?;
    let passphrase: SecretString = random::<PASSPHRASE_BYTES>()?.into();
    let kept = within(async { open(context).await?.keep(&item, &passphrase).await }).await;
    Ok(kept.map(|()| (item, passphrase)))
}

/// Removes what is not needed any more.
pub async fn forget(context: &Context, item: &str) -> Result<(), Fault> {
    within(async { open(context).await?.forget(item).await }).await
}

async fn open(context: &Context) -> Result<Service, Fault> {
    let address = context.environment.session_bus();
    Service::open(&address.ok_or_else(|| Fault::Absent("this session has no bus".to_owned()))?).await
}

async fn within<T>(asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = |_| Err(Fault::Broken(format!("it did not answer within {} s", TIME_MAX.as_secs())));
    tokio::time::timeout(TIME_MAX, asked).await.unwrap_or_else(late)
}

/// Random bytes in hexadecimal digits.
fn random<const BYTES: usize>() -> anyhow::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
