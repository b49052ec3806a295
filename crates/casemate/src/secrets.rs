//! The secrets of this installation, for whoever compiles a configuration.

use std::sync::Arc;

use anyhow::Context as _;
use casemate_auth::{Protection, SecretName, Secrets, Vault};
use casemate_store::Store;
use secrecy::SecretString;

use crate::context::Context;
use crate::environment::CASEMATE_PASSPHRASE_FILE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keyring::{self, Fault};
use crate::terminal;

/// The largest file of a passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

/// The secrets that a configuration may refer to.
#[derive(Debug)]
pub enum Held {
    /// Nobody refers to any, so nobody looked.
    Unasked,
    /// Those of the vault.
    Vault(Secrets),
    /// Why there are none.
    Unavailable(String),
}

impl Held {
    /// The secret of that name, or why it cannot be had.
    pub fn find(&self, name: &SecretName) -> Result<SecretString, String> {
        match self {
            Held::Unasked => Err(NOT_SET.to_owned()),
            Held::Unavailable(why) => Err(why.clone()),
            Held::Vault(secrets) => match secrets.find(name.as_str()) {
                Ok(found) => found.ok_or_else(|| NOT_SET.to_owned()),
                Err(fault) => Err(fault.to_string()),
            },
        }
    }

    /// The secrets of a vault as they are now.
    pub async fn of(vault: &Arc<Vault>) -> Held {
        match vault.secrets().await {
            Ok(secrets) => Held::Vault(secrets),
            Err(fault) => Held::Unavailable(fault.to_string()),
        }
    }

    /// The secrets, if the text of a configuration refers to any; looking creates nothing and asks nobody.
    pub fn for_text(context: &Context, text: &str) -> Held {
        if !text.contains("secret:") || !context.paths.data().exists() {
            return Held::Unasked;
        }
        let held = || -> anyhow::Result<Held> {
            let vault = vault(context, open(context)?)?;
            Ok(context.small_runtime()?.block_on(Held::of(&vault)))
        };
        held().unwrap_or_else(|error| Held::Unavailable(format!("{error:#}")))
    }
}

const NOT_SET: &str = "it is not set";

/// The store of this installation.
pub fn open(context: &Context) -> anyhow::Result<Store> {
    context.paths.prepare_data()?;
    Ok(Store::open(context.paths.data())?)
}

/// The vault of this installation, opened if its passphrase is in a file; nobody is asked.
pub fn vault(context: &Context, store: Store) -> anyhow::Result<Arc<Vault>> {
    let vault = Vault::new(store, context.paths.data())?;
    match vault.protection()? {
        Some(Protection::Passphrase) => {
            if let Some(passphrase) = from_file(context)? {
                vault.unlock(passphrase)?;
            }
        }
        Some(Protection::Keyring) => drop(unlock_by_keyring(context, &vault)?),
        Some(Protection::File) | None => {}
    }
    Ok(Arc::new(vault))
}

/// Opens the vault with what the keyring of the system has, or leaves it locked and says why.
fn unlock_by_keyring(context: &Context, vault: &Vault) -> anyhow::Result<Option<Fault>> {
    let found = context.small_runtime()?.block_on(keyring::passphrase(context, vault))?;
    match found {
        Ok(passphrase) => vault.unlock(passphrase).map(|()| None).map_err(Into::into),
        Err(fault) => {
            vault.stays_locked(fault.to_string());
            Ok(Some(fault))
        }
    }
}

/// As [`vault`], and a person is asked where there is one, or told what is missing. Without a passphrase it stays locked.
pub fn vault_asking(context: &Context, store: Store) -> anyhow::Result<Arc<Vault>> {
    let vault = Vault::new(store, context.paths.data())?;
    let protection = vault.protection()?;
    if protection == Some(Protection::Keyring)
        && let Some(fault) = unlock_by_keyring(context, &vault)?
    {
        context.output.warn(&format!("the secrets stay locked: their passphrase {fault}"));
        context.output.hint(fault.hint());
    }
    if protection == Some(Protection::Passphrase) {
        let passphrase = match from_file(context)? {
            Some(passphrase) => Some(passphrase),
            None => terminal::ask_hidden("Passphrase of the secrets").context("no passphrase")?,
        };
        match passphrase {
            Some(passphrase) => vault.unlock(passphrase)?,
            None => {
                context
                    .output
                    .warn("the secrets stay locked: there is no terminal to ask for the passphrase on");
                context.output.hint(&format!("name a file that holds it in {CASEMATE_PASSPHRASE_FILE}"));
            }
        }
    }
    Ok(Arc::new(vault))
}

/// A passphrase for a new key: from the file, or asked for twice.
pub fn new_passphrase(context: &Context) -> anyhow::Result<SecretString> {
    use secrecy::ExposeSecret;
    if let Some(passphrase) = from_file(context)? {
        return Ok(passphrase);
    }
    let nowhere = || {
        Failure::new(Exit::Usage, "there is no terminal to ask for the passphrase on")
            .hint(format!("name a file that holds it in {CASEMATE_PASSPHRASE_FILE}"))
    };
    let ask = |prompt| terminal::ask_hidden(prompt).context("no passphrase")?.ok_or_else(|| nowhere().into());
    let first: SecretString = ask("New passphrase of the secrets")?;
    let second: anyhow::Result<SecretString> = ask("The same again");
    match (first.expose_secret(), second?.expose_secret()) {
        ("", _) => Err(Failure::new(Exit::Usage, "an empty passphrase protects nothing").into()),
        (first, second) if first != second => {
            Err(Failure::new(Exit::Usage, "the two passphrases differ").hint("nothing was changed").into())
        }
        (passphrase, _) => Ok(passphrase.to_owned().into()),
    }
}

/// The first line of the file that the environment names.
fn from_file(context: &Context) -> anyhow::Result<Option<SecretString>> {
    use std::io::Read;
    let Some(path) = context.environment.get(CASEMATE_PASSPHRASE_FILE) else { return Ok(None) };
    let unreadable = || {
        let message = format!("the passphrase cannot be read from {}", path.display());
        Failure::new(Exit::Configuration, message).hint(format!("{CASEMATE_PASSPHRASE_FILE} names that file"))
    };
    let mut text = secrecy::zeroize::Zeroizing::new(String::new());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    file.take(PASSPHRASE_BYTES_MAX).read_to_string(&mut text).with_context(unreadable)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Some(line.to_owned().into())),
        _ => Err(anyhow::Error::msg("its first line is empty").context(unreadable())),
    }
}
