//! One sealed value.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use secrecy::zeroize::Zeroizing;

use crate::key::EntropyFault;

const FORMAT: u8 = 1;
const NAME_BYTES: usize = 8;
const SALT_BYTES: usize = 32;
/// What stands before the ciphertext.
const HEAD_BYTES: usize = 1 + NAME_BYTES + 8 + SALT_BYTES;

/// A key of the installation.
pub(super) struct MasterKey {
    name: [u8; NAME_BYTES],
    bytes: Zeroizing<[u8; 32]>,
}

/// What a value is bound to.
pub(super) struct Label<'a> {
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) version: u64,
}

impl MasterKey {
    pub(super) fn generate() -> Result<MasterKey, EntropyFault> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(EntropyFault)?;
        let mut name = [0; NAME_BYTES];
        getrandom::fill(&mut name).map_err(EntropyFault)?;
        Ok(MasterKey { name, bytes })
    }

    pub(super) fn from_parts(name: [u8; NAME_BYTES], bytes: Zeroizing<[u8; 32]>) -> MasterKey {
        MasterKey { name, bytes }
    }

    /// What a value calls it. It says nothing about the key.
    pub(super) fn name(&self) -> &[u8; NAME_BYTES] {
        &self.name
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key of one value.
    fn derive(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, salt).extract(self.bytes.as_slice());
        let key = secret.expand(&[b"casemate sealed value 1"], &CHACHA20_POLY1305).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

pub(super) fn salt() -> Result<[u8; SALT_BYTES], EntropyFault> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(EntropyFault)?;
    Ok(salt)
}

/// Seals a value. `None` only for one that is longer than any cipher takes.
pub(super) fn seal(
    key: &MasterKey,
    label: &Label<'_>,
    (salt, value): ([u8; SALT_BYTES], &[u8]),
) -> Option<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(value.len() + CHACHA20_POLY1305.tag_len()));
    text.extend_from_slice(value);
    // The key is this value's alone, so its one nonce cannot repeat.
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    key.derive(&salt)?.seal_in_place_append_tag(nonce, bound(key, label), &mut *text).ok()?;
    let version = label.version.to_be_bytes();
    Some([&[FORMAT], key.name.as_slice(), &version, &salt, &text].concat())
}

/// Opens a value. The version is the one that it says, and is what it was sealed with if it opens.
pub(super) fn open(
    key: &MasterKey,
    (kind, name): (&str, &str),
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    const CHANGED: &str = "it was changed after it was set";
    let version = version(sealed).ok_or("it is not of a form that this casemate knows")?;
    let (head, text) = sealed.split_at_checked(HEAD_BYTES).ok_or(CHANGED)?;
    let salt = head.get(HEAD_BYTES - SALT_BYTES..).ok_or(CHANGED)?;
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
    let own = key.derive(salt).ok_or(CHANGED)?;
    let label = Label { kind, name, version };
    let length = own.open_in_place(nonce, bound(key, &label), &mut text).map_err(|_| CHANGED)?.len();
    text.truncate(length);
    Ok(text)
}

/// Which key a value names.
pub(super) fn key_name(sealed: &[u8]) -> Option<&[u8]> {
    sealed.get(1..=NAME_BYTES).filter(|_| sealed.first() == Some(&FORMAT))
}

/// Which version a value says it is.
pub(super) fn version(sealed: &[u8]) -> Option<u64> {
    let bytes = sealed.get(1 + NAME_BYTES..1 + NAME_BYTES + 8)?;
    bytes.try_into().ok().map(u64::from_be_bytes).filter(|_| sealed.first() == Some(&FORMAT))
}

/// Every part with its length before it, so that no two labels read alike.
fn bound(key: &MasterKey, label: &Label<'_>) -> Aad<Vec<u8>> {
    let length = |text: &str| (text.len() as u64).to_be_bytes();
    Aad::from(
        [
            &[FORMAT],
            key.name.as_slice(),
            &length(label.kind),
            label.kind.as_bytes(),
            &length(label.name),
            label.name.as_bytes(),
            &label.version.to_be_bytes(),
        ]
        .concat(),
    )
}
