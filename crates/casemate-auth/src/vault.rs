//! Secrets at rest: values of the store that only this installation's key opens.
//!
//! ```text
//! sealed value = 1, key's name (8), version (8), salt (32), ChaCha20-Poly1305 ciphertext and tag
//! ```
//! Every value has a key of its own, which HKDF-SHA256 makes from the installation's key and the value's salt, so
//! that no nonce can repeat. Its kind, name and version are bound to it: a ciphertext that was moved to another
//! name, or given another version, does not open.
//!
//! The installation's key is in a private file of its own ([`keyring`]), as it is or sealed with a passphrase. It
//! is made when the first value is set.

mod keyring;
mod name;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use casemate_store::{Entry, FolderFault, PrivateFile, Store, StoreFault, Written};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::key::EntropyFault;
pub use keyring::Protection;
use keyring::{Keyring, KeyringFault};
pub use name::{SecretName, SecretNameFault};
use seal::Label;

/// The file of the installation's key, in the data folder.
const FILE: &str = "secrets.key";

/// Longest value, in bytes. Tokens with many claims reach a few KiB.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// What a sealed value is. The name is its namespace in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A secret that a person set.
    Secret,
    /// What an authorization server gave us for a subject and a server.
    Token,
    /// What an authorization server knows us by.
    Registration,
}

impl Kind {
    const ALL: &[&str] = &["secret", "token", "registration"];

    fn as_str(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::Token => "token",
            Kind::Registration => "registration",
        }
    }
}

/// Why a secret cannot be had or kept.
#[derive(Debug, Error)]
pub enum VaultFault {
    /// The key is sealed with a passphrase that was not given.
    #[error("the secrets are locked with a passphrase, which {why}")]
    Locked {
        /// Why not, as the end of a sentence.
        why: String,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open {path}")]
    Passphrase {
        /// The file of the key.
        path: PathBuf,
    },
    /// The file of the key is not one that this program wrote.
    #[error("{path} is not a file of keys: {why}; hint: restore it from a backup")]
    Damaged {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A value does not open: it was changed, or its key is gone.
    #[error("the {kind} {name} cannot be opened: {why}")]
    Sealed {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// The value is too long, or empty.
    #[error("a secret has 1 to {SECRET_BYTES_MAX} bytes, and no NUL character")]
    Value,
    /// The file of the key cannot be trusted, read or written.
    #[error(transparent)]
    File(#[from] FolderFault),
    /// The store does not do its part.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFault),
}

/// A value that is kept, without the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// How often it was set.
    pub version: u64,
    /// When it was last set, in milliseconds since 1970.
    pub set: u64,
}

/// The sealed values of an installation and, once it is needed, the key to them. Several processes may have one.
#[derive(Debug)]
pub struct Vault {
    store: Store,
    file: PrivateFile,
    passphrase: Mutex<Option<SecretString>>,
    /// Why there is no passphrase, where somebody tried to get it.
    why_locked: Mutex<Option<String>>,
    keyring: Mutex<Option<Arc<Keyring>>>,
}

impl Vault {
    /// The vault of the installation whose data folder this is. Nothing is created.
    ///
    /// # Errors
    /// The folder is open to others.
    pub fn new(store: Store, folder: &Path) -> Result<Vault, VaultFault> {
        let file = PrivateFile::new(folder, FILE)?;
        Ok(Vault {
            store,
            file,
            passphrase: Mutex::default(),
            why_locked: Mutex::default(),
            keyring: Mutex::default(),
        })
    }

    /// How the key is kept; `None` while there is none.
    ///
    /// # Errors
    /// The file cannot be trusted or read.
    pub fn protection(&self) -> Result<Option<Protection>, VaultFault> {
        Ok(self.kept()?.map(|(protection, _)| protection))
    }

    /// The name under which the passphrase is in the system's keyring, when it is there.
    ///
    /// # Errors
    /// The file cannot be trusted or read.
    pub fn keyring_item(&self) -> Result<Option<String>, VaultFault> {
        Ok(self.kept()?.and_then(|(_, item)| item))
    }

    fn kept(&self) -> Result<Option<(Protection, Option<String>)>, VaultFault> {
        let Some(text) = self.file.read()? else { return Ok(None) };
        keyring::protection(&text).map(Some).map_err(|fault| self.explain(fault))
    }

    /// Notes why nobody could give the passphrase, as the end of a sentence ("is in a keyring that is locked"), for those
    /// who find the secrets locked.
    pub fn stays_locked(&self, why: String) {
        *guard(&self.why_locked) = Some(why);
    }

    /// Opens the key with a passphrase, and remembers it for when the key is replaced. Takes about a tenth of a
    /// second, on purpose.
    ///
    /// # Errors
    /// [`VaultFault::Passphrase`], or the file cannot be trusted or read.
    pub fn unlock(&self, passphrase: SecretString) -> Result<(), VaultFault> {
        *guard(&self.passphrase) = Some(passphrase);
        let opened = self.reload();
        if opened.is_err() {
            *guard(&self.passphrase) = None;
        }
        opened.map(drop)
    }

    /// Keeps a value under a name, in place of the one that was there.
    ///
    /// # Errors
    /// [`VaultFault`].
    pub async fn set(&self, kind: Kind, name: &str, value: &SecretString) -> Result<(), VaultFault> {
        let length = value.expose_secret().len();
        if length == 0 || length > SECRET_BYTES_MAX || value.expose_secret().contains('\0') {
            return Err(VaultFault::Value);
        }
        // A second time when somebody replaced the key since we read it.
        for keyring in [Self::keyring, Self::reload] {
            let keyring = match keyring(self)? {
                Some(keyring) => keyring,
                None => self.first()?,
            };
            let salt = seal::salt()?;
            let (own, value) = (name.to_owned(), value.clone());
            let sealed = self.store.sealed();
            let put = sealed.put(kind.as_str(), name, move |before| {
                let key = match before.key {
                    Some(name) => keyring.find(name)?,
                    None => keyring.newest()?,
                };
                let version = before.value.and_then(seal::version).unwrap_or(0).saturating_add(1);
                let label = Label { kind: kind.as_str(), name: &own, version };
                let value = seal::seal(key, &label, (salt, value.expose_secret().as_bytes()))?;
                Some(Written { key: key.name().to_vec(), value })
            });
            if put.await?.is_some() {
                return Ok(());
            }
        }
        Err(VaultFault::Sealed { kind: kind.as_str(), name: name.to_owned(), why: LOST })
    }

    /// A value.
    ///
    /// # Errors
    /// [`VaultFault`].
    pub async fn get(&self, kind: Kind, name: &str) -> Result<Option<SecretString>, VaultFault> {
        let Some(entry) = self.store.sealed().get(kind.as_str(), name).await? else { return Ok(None) };
        self.open(kind, &entry).map(Some)
    }

    /// What is kept, in order of the names.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn list(&self, kind: Kind) -> Result<Vec<Kept>, VaultFault> {
        let kept = |entry: Entry| Kept {
            version: seal::version(&entry.value).unwrap_or(0),
            name: entry.key,
            set: entry.updated,
        };
        Ok(self.store.sealed().list(kind.as_str()).await?.into_iter().map(kept).collect())
    }

    /// Removes a value. False when there was none.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn remove(&self, kind: Kind, name: &str) -> Result<bool, VaultFault> {
        Ok(self.store.sealed().remove(kind.as_str(), name).await?)
    }

    /// All secrets as they are now, each of which is opened when it is asked for.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn secrets(self: &Arc<Self>) -> Result<Secrets, VaultFault> {
        let entries = self.store.sealed().list(Kind::Secret.as_str()).await?;
        let entries = entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        Ok(Secrets { vault: Arc::clone(self), entries })
    }

    /// Replaces the key and seals every value with the new one; returns how many. `protection` says how the new
    /// key is kept, as before when absent. Whatever moment this is broken off at, every value can still be opened.
    ///
    /// # Errors
    /// [`VaultFault`]; then the old key is still in force.
    pub async fn rotate(&self, protection: Option<NewProtection>) -> Result<usize, VaultFault> {
        let writing = self.file.lock()?;
        let old = match self.reload()? {
            Some(keyring) => keyring,
            None => Arc::new(Keyring::default()),
        };
        let (passphrase, item) = match protection {
            Some(NewProtection::File) => (None, None),
            Some(NewProtection::Passphrase(passphrase)) => (Some(passphrase), None),
            Some(NewProtection::Keyring { item, passphrase }) => (Some(passphrase), Some(item)),
            None => {
                let known = guard(&self.passphrase).clone().filter(|_| old.is_wrapped());
                (known, old.item().map(str::to_owned))
            }
        };
        let both = old.with_new()?.under(item);
        // Both keys are on disk before the first value is under the new one, and until the last one is.
        writing.replace(both.to_text(passphrase.as_ref())?.as_bytes())?;
        let newest = both.newest().map(|key| key.name().to_vec()).unwrap_or_default();
        let ring = Arc::new(both);
        let resealing = Arc::clone(&ring);
        let reseal = move |kind: &str, name: &str, value: &[u8]| {
            resealing.reseal(kind, name, value).map_err(str::to_owned)
        };
        let count = self.store.sealed().reseal(Kind::ALL, (newest, Box::new(reseal))).await?;
        let only = ring.newest_only(passphrase.as_ref());
        writing.replace(only.to_text(passphrase.as_ref())?.as_bytes())?;
        *guard(&self.passphrase) = passphrase;
        *guard(&self.keyring) = Some(Arc::new(only));
        Ok(count)
    }

    fn open(&self, kind: Kind, entry: &Entry) -> Result<SecretString, VaultFault> {
        let mut why = LOST;
        for keyring in [Self::keyring, Self::reload] {
            let Some(keyring) = keyring(self)? else { continue };
            match keyring.open(kind.as_str(), &entry.key, &entry.value) {
                Ok(value) => return Ok(value),
                Err(fault) => why = fault,
            }
        }
        Err(VaultFault::Sealed { kind: kind.as_str(), name: entry.key.clone(), why })
    }

    /// The keys that were read, or are read now.
    fn keyring(&self) -> Result<Option<Arc<Keyring>>, VaultFault> {
        let known = guard(&self.keyring).clone();
        if known.is_some() { Ok(known) } else { self.reload() }
    }

    fn reload(&self) -> Result<Option<Arc<Keyring>>, VaultFault> {
        let Some(text) = self.file.read()? else { return Ok(None) };
        let passphrase = guard(&self.passphrase).clone();
        let keyring = Keyring::parse(&text, passphrase.as_ref()).map_err(|fault| self.explain(fault))?;
        let keyring = Arc::new(keyring);
        *guard(&self.keyring) = Some(Arc::clone(&keyring));
        Ok(Some(keyring))
    }

    /// Makes the first key, unless another process was faster.
    fn first(&self) -> Result<Arc<Keyring>, VaultFault> {
        let writing = self.file.lock()?;
        if let Some(keyring) = self.reload()? {
            return Ok(keyring);
        }
        let keyring = Arc::new(Keyring::default().with_new()?);
        writing.replace(keyring.to_text(None)?.as_bytes())?;
        *guard(&self.keyring) = Some(Arc::clone(&keyring));
        Ok(keyring)
    }

    fn explain(&self, fault: KeyringFault) -> VaultFault {
        let path = self.file.path();
        match fault {
            KeyringFault::Locked => {
                let why = guard(&self.why_locked).clone();
                VaultFault::Locked { why: why.unwrap_or_else(|| NOT_GIVEN.to_owned()) }
            }
            KeyringFault::Passphrase => VaultFault::Passphrase { path },
            KeyringFault::Damaged(why) => VaultFault::Damaged { path, why },
            KeyringFault::Entropy(fault) => VaultFault::Entropy(fault),
        }
    }
}

/// Why a value does not open when nothing is wrong with it.
const LOST: &str = "its key is not among those of this installation";

/// Why secrets are locked when nobody tried to open them.
const NOT_GIVEN: &str = "was not given";

/// How a new key is to be kept.
#[derive(Debug)]
pub enum NewProtection {
    /// As it is, in a file that only our user reads.
    File,
    /// Sealed with this passphrase.
    Passphrase(SecretString),
    /// Sealed with this passphrase, which the caller has put into the keyring of the system under this name.
    Keyring {
        /// The name, of at most 64 bytes. It is no secret.
        item: String,
        /// The passphrase.
        passphrase: SecretString,
    },
}

/// The secrets of a vault at one moment. Each is opened when it is asked for.
#[derive(Debug)]
pub struct Secrets {
    vault: Arc<Vault>,
    entries: BTreeMap<String, Entry>,
}

impl Secrets {
    /// The secret of that name; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn find(&self, name: &str) -> Result<Option<SecretString>, VaultFault> {
        self.entries.get(name).map(|entry| self.vault.open(Kind::Secret, entry)).transpose()
    }
}

impl From<KeyringFault> for VaultFault {
    fn from(fault: KeyringFault) -> VaultFault {
        match fault {
            KeyringFault::Entropy(fault) => VaultFault::Entropy(fault),
            // Only reading meets the others, and reading names the file.
            _ => VaultFault::Locked { why: NOT_GIVEN.to_owned() },
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
