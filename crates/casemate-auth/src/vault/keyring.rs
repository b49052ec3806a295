//! The keys of an installation and the file that they are in.
//!
//! The file is JSON: the keys, the newest first, each with its name. As a rule there is one; while keys are
//! rotated there are two. With a passphrase the keys are sealed with a key that Argon2id makes from it.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::seal::{self, Label, MasterKey};
use crate::key::EntropyFault;

/// How the keys are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// As they are, in a file that only our user reads.
    File,
    /// Sealed with a passphrase.
    Passphrase,
    /// Sealed with a passphrase that lies in the keyring of the system, under a name that the file has.
    Keyring,
}

/// Why the file gives no keys.
#[derive(Debug)]
pub(super) enum KeyringFault {
    Locked,
    Passphrase,
    Damaged(&'static str),
    Entropy(EntropyFault),
}

impl From<EntropyFault> for KeyringFault {
    fn from(fault: EntropyFault) -> KeyringFault {
        KeyringFault::Entropy(fault)
    }
}

/// Most keys that a file may have. A rotation that is broken off leaves one more.
const KEYS_MAX: usize = 64;
/// What Argon2id takes: 64 MiB and three passes, the second recommendation of RFC 9106.
const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3 };
/// The most that a file may ask for, so that a file cannot make us use up the machine.
const COST_MAX: Cost = Cost { memory_kib: 1 << 20, passes: 16 };

/// Longest name of a passphrase in the system's keyring, in bytes.
const ITEM_BYTES_MAX: usize = 64;

/// The keys, the newest first.
#[derive(Default)]
pub(super) struct Keyring {
    keys: Vec<MasterKey>,
    is_wrapped: bool,
    item: Option<String>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} keys, not shown)", self.keys.len())
    }
}

impl Keyring {
    /// Reads what [`Keyring::to_text`] wrote.
    pub(super) fn parse(text: &[u8], passphrase: Option<&SecretString>) -> Result<Keyring, KeyringFault> {
        let file = File::parse(text)?;
        let wrap = match &file.argon2id {
            None => None,
            Some(wrapping) => Some(wrapping.key(passphrase.ok_or(KeyringFault::Locked)?)?),
        };
        let key = |kept: &KeptKey| {
            let name = name(&kept.name)?;
            let bytes = decode(&kept.key)?;
            let bytes = match &wrap {
                None => bytes,
                Some(wrap) => seal::open(wrap, WRAPPED, &bytes).map_err(|_| KeyringFault::Passphrase)?,
            };
            let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| WRONG_KEY)?;
            Ok(MasterKey::from_parts(name, Zeroizing::new(bytes)))
        };
        let keys = file.keys.iter().map(key).collect::<Result<Vec<_>, KeyringFault>>()?;
        Ok(Keyring { keys, is_wrapped: wrap.is_some(), item: file.keyring })
    }

    /// The file's content.
    pub(super) fn to_text(
        &self,
        passphrase: Option<&SecretString>,
    ) -> Result<Zeroizing<String>, KeyringFault> {
        let wrapping = passphrase.map(|_| Wrapping::new()).transpose()?;
        let wrap = match (&wrapping, passphrase) {
            (Some(wrapping), Some(passphrase)) => Some(wrapping.key(passphrase)?),
            _ => None,
        };
        let kept = |key: &MasterKey| {
            let bytes = match &wrap {
                None => Zeroizing::new(key.bytes().to_vec()),
                Some(wrap) => {
                    let label = Label { kind: WRAPPED.0, name: WRAPPED.1, version: 1 };
                    let sealed = seal::seal(wrap, &label, (seal::salt()?, key.bytes()));
                    Zeroizing::new(sealed.ok_or(WRONG_KEY)?)
                }
            };
            Ok(KeptKey {
                name: STANDARD_NO_PAD.encode(key.name()),
                key: Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes)),
            })
        };
        let keys = self.keys.iter().map(kept).collect::<Result<_, KeyringFault>>()?;
        let keyring = self.item.clone().filter(|_| wrapping.is_some());
        let file = File { casemate_keys: 1, keyring, argon2id: wrapping, keys };
        let text = serde_json::to_string_pretty(&file).map_err(|_| WRONG_KEY)?;
        Ok(Zeroizing::new(text))
    }

    pub(super) fn is_wrapped(&self) -> bool {
        self.is_wrapped
    }

    /// The name of the passphrase in the system's keyring, if it is there.
    pub(super) fn item(&self) -> Option<&str> {
        self.item.as_deref()
    }

    /// These keys, with a passphrase that is in the system's keyring under this name, or is not there.
    pub(super) fn under(self, item: Option<String>) -> Keyring {
        Keyring { item, ..self }
    }

    pub(super) fn newest(&self) -> Option<&MasterKey> {
        self.keys.first()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&MasterKey> {
        self.keys.iter().find(|key| key.name() == name)
    }

    /// These keys and a new one before them.
    pub(super) fn with_new(&self) -> Result<Keyring, EntropyFault> {
        let copy = |key: &MasterKey| MasterKey::from_parts(*key.name(), Zeroizing::new(*key.bytes()));
        let keys = std::iter::once(MasterKey::generate()?).chain(self.keys.iter().map(copy)).collect();
        Ok(Keyring { keys, is_wrapped: self.is_wrapped, item: self.item.clone() })
    }

    /// The newest alone, sealed with a passphrase if there is one.
    pub(super) fn newest_only(&self, passphrase: Option<&SecretString>) -> Keyring {
        let copy = |key: &MasterKey| MasterKey::from_parts(*key.name(), Zeroizing::new(*key.bytes()));
        let keys = self.newest().map(copy).into_iter().collect();
        Keyring { keys, is_wrapped: passphrase.is_some(), item: self.item.clone() }
    }

    #[cfg(test)]
    pub(super) fn keys_count(&self) -> usize {
        self.keys.len()
    }

    /// Opens a value with the key that it names.
    pub(super) fn open(&self, kind: &str, name: &str, sealed: &[u8]) -> Result<SecretString, &'static str> {
        let key = seal::key_name(sealed).and_then(|key| self.find(key)).ok_or(super::LOST)?;
        let bytes = seal::open(key, (kind, name), sealed)?;
        let text = str::from_utf8(&bytes).map_err(|_| "it is no text")?;
        Ok(SecretString::from(text.to_owned()))
    }

    /// Seals a value with the newest key, as the version that it is.
    pub(super) fn reseal(&self, kind: &str, name: &str, sealed: &[u8]) -> Result<Vec<u8>, &'static str> {
        let value = self.open(kind, name, sealed)?;
        let key = self.newest().ok_or(super::LOST)?;
        let version = seal::version(sealed).unwrap_or(1);
        let salt = seal::salt().map_err(|_| "the system gives no random bytes")?;
        let bytes = value.expose_secret().as_bytes();
        seal::seal(key, &Label { kind, name, version }, (salt, bytes)).ok_or("it is too long")
    }
}

/// How the file's keys are kept, which everybody may know who may read the file.
pub(super) fn protection(text: &[u8]) -> Result<(Protection, Option<String>), KeyringFault> {
    let file = File::parse(text)?;
    Ok(match (file.argon2id, file.keyring) {
        (None, _) => (Protection::File, None),
        (Some(_), None) => (Protection::Passphrase, None),
        (Some(_), item) => (Protection::Keyring, item),
    })
}

const WRONG_KEY: KeyringFault = KeyringFault::Damaged("a key in it is none");
/// What a sealed key is bound to.
const WRAPPED: (&str, &str) = ("key", "of this installation");

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The version of the format.
    casemate_keys: u32,
    /// The name of the passphrase in the system's keyring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyring: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argon2id: Option<Wrapping>,
    keys: Vec<KeptKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptKey {
    name: String,
    #[serde(with = "wiped")]
    key: Zeroizing<String>,
}

/// What makes a key from a passphrase.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapping {
    memory_kib: u32,
    passes: u32,
    salt: String,
}

struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl File {
    fn parse(text: &[u8]) -> Result<File, KeyringFault> {
        let file: File =
            serde_json::from_slice(text).map_err(|_| KeyringFault::Damaged("it is not of the right form"))?;
        let item = file.keyring.as_deref().unwrap_or("-");
        match file.keys.len() {
            _ if !(1..=ITEM_BYTES_MAX).contains(&item.len()) => {
                Err(KeyringFault::Damaged("the name of its passphrase is none"))
            }
            _ if file.casemate_keys != 1 => Err(KeyringFault::Damaged("a newer casemate wrote it")),
            1..=KEYS_MAX => Ok(file),
            _ => Err(KeyringFault::Damaged("it has no keys, or too many")),
        }
    }
}

impl Wrapping {
    fn new() -> Result<Wrapping, EntropyFault> {
        let Cost { memory_kib, passes } = COST;
        Ok(Wrapping { memory_kib, passes, salt: STANDARD_NO_PAD.encode(seal::salt()?) })
    }

    fn key(&self, passphrase: &SecretString) -> Result<MasterKey, KeyringFault> {
        const WRONG: KeyringFault = KeyringFault::Damaged("its Argon2id settings are out of bounds");
        if self.memory_kib > COST_MAX.memory_kib || self.passes > COST_MAX.passes {
            return Err(WRONG);
        }
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).map_err(|_| WRONG)?;
        let mut memory = vec![Block::default(); params.block_count()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut key = Zeroizing::new([0; 32]);
        let salt = decode(&self.salt)?;
        let passphrase = passphrase.expose_secret().as_bytes();
        let made = argon2.hash_password_into_with_memory(passphrase, &salt, key.as_mut_slice(), &mut memory);
        made.map_err(|_| WRONG)?;
        Ok(MasterKey::from_parts([0; 8], key))
    }
}

fn name(text: &str) -> Result<[u8; 8], KeyringFault> {
    let wrong = KeyringFault::Damaged("a key's name in it is none");
    STANDARD_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(wrong)
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyringFault> {
    STANDARD_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| WRONG_KEY)
}

/// A text whose memory is wiped.
mod wiped {
    use secrecy::zeroize::Zeroizing;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(from).map(Zeroizing::new)
    }
}
