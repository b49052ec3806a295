//! The keys of an issuer (RFC 7517).

use std::fmt::{self, Debug};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use casemate_mcp::json::{Limits, Members};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use thiserror::Error;

use super::{Algorithm, TokenFault};

/// Bytes of a set of keys. The largest public issuers have some 20 KiB.
pub(crate) const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// How many keys are kept of a set. Issuers have two to ten, more while they rotate.
const KEYS_MAX: usize = 64;

/// The largest modulus of RSA, in bytes: 4096 bits. A larger one costs us time with each token and the issuer nothing.
const MODULUS_BYTES_MAX: usize = 512;

/// The smallest, which is `ring`'s too: 2048 bits.
const MODULUS_BYTES_MIN: usize = 256;

/// The longest name of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 256;

/// The public keys of one issuer that can sign tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeySetFault {
    /// It is not the JSON that it has to be.
    #[error("it is no set of keys: {0}")]
    Malformed(String),
    /// It has more keys than any issuer needs.
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
    /// It has no key that can sign tokens by an algorithm that is known here.
    #[error("it has no key for signatures by RS256, PS256, ES256, ES384 or EdDSA")]
    Empty,
}

/// One public key, and what it may be used for.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    id: Option<String>,
    material: Material,
    algorithms: Vec<Algorithm>,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Point(Vec<u8>),
}

impl KeySet {
    /// Reads a set. Keys of other kinds, for other uses, and such as are malformed or weak are passed over: a set serves
    /// many readers, and one odd key must not lock out everybody. A symmetric key is never taken.
    ///
    /// # Errors
    /// [`KeySetFault`].
    pub fn read(text: &Bytes) -> Result<KeySet, KeySetFault> {
        let limits = Limits { bytes_max: KEY_SET_BYTES_MAX, depth_max: 16, values_max: 20_000 };
        let set = Members::check(text.clone(), &limits)
            .map_err(|fault| KeySetFault::Malformed(fault.to_string()))?;
        let keys = set.get("keys").and_then(|keys| keys.elements());
        let keys = keys.ok_or_else(|| KeySetFault::Malformed("there is no list `keys`".to_owned()))?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetFault::TooMany);
        }
        let keys = keys.iter().filter_map(|key| PublicKey::read(&key.members()?)).collect::<Vec<_>>();
        if keys.is_empty() { Err(KeySetFault::Empty) } else { Ok(KeySet { keys }) }
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether it has all keys of another set.
    pub(crate) fn includes(&self, other: &KeySet) -> bool {
        other.keys.iter().all(|key| self.keys.contains(key))
    }

    /// The one key that a token can be signed by. A token that names none is judged only where there is no choice, so
    /// that each token costs one verification at most.
    pub(super) fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Result<&PublicKey, TokenFault> {
        let named = |key: &&PublicKey| id.is_none() || key.id.as_deref() == id;
        let mut fitting = self.keys.iter().filter(|key| key.algorithms.contains(&algorithm)).filter(named);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(TokenFault::UnknownKey),
            (Some(_), Some(_)) if id.is_none() => {
                Err(TokenFault::of("it names no key, and its issuer has more than one"))
            }
            (Some(_), Some(_)) => Err(TokenFault::of("its issuer has several keys of that name")),
        }
    }
}

impl PublicKey {
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm.of_point()) {
            (Material::Rsa { n, e }, None) => {
                let key = RsaPublicKeyComponents { n, e };
                let parameters = if algorithm == Algorithm::Ps256 {
                    &RSA_PSS_2048_8192_SHA256
                } else {
                    &RSA_PKCS1_2048_8192_SHA256
                };
                key.verify(parameters, signed, signature).is_ok()
            }
            (Material::Point(point), Some(verification)) => {
                UnparsedPublicKey::new(verification, point).verify(signed, signature).is_ok()
            }
            (Material::Rsa { .. }, Some(_)) | (Material::Point(_), None) => false,
        }
    }

    fn read(key: &Members) -> Option<PublicKey> {
        let is_for_signatures = key.get("use").is_none_or(|usage| usage.string().as_deref() == Some("sig"));
        let may_verify = key.get("key_ops").is_none_or(|operations| {
            let operations = operations.elements().unwrap_or_default();
            operations.iter().any(|operation| operation.string().as_deref() == Some("verify"))
        });
        if !is_for_signatures || !may_verify {
            return None;
        }
        let id = match key.get("kid") {
            None => None,
            Some(id) => Some(id.string().filter(|id| id.len() <= KEY_ID_BYTES_MAX)?.into_owned()),
        };
        let (material, possible) = material(key)?;
        let algorithms = match key.get("alg") {
            None => possible,
            Some(named) => {
                let named = Algorithm::find(&named.string()?)?;
                possible.contains(&named).then(|| vec![named])?
            }
        };
        Some(PublicKey { id, material, algorithms })
    }
}

impl Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// What a key is made of, and which algorithms that is for.
fn material(key: &Members) -> Option<(Material, Vec<Algorithm>)> {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(key.string(name)?).ok();
    match (key.string("kty")?.as_str(), key.string("crv").as_deref()) {
        ("RSA", _) => {
            let (mut n, e) = (number("n")?, number("e")?);
            let zeros = n.iter().take_while(|byte| **byte == 0).count();
            n.drain(..zeros);
            let is_sound =
                (MODULUS_BYTES_MIN..=MODULUS_BYTES_MAX).contains(&n.len()) && (1..=4).contains(&e.len());
            is_sound.then(|| (Material::Rsa { n, e }, vec![Algorithm::Rs256, Algorithm::Ps256]))
        }
        ("EC", Some(curve)) => {
            let (algorithm, size) = match curve {
                "P-256" => (Algorithm::Es256, 32),
                "P-384" => (Algorithm::Es384, 48),
                _ => return None,
            };
            let (x, y) = (number("x")?, number("y")?);
            let is_sound = x.len() == size && y.len() == size;
            // The uncompressed form of a point (SEC 1 section 2.3.3).
            is_sound.then(|| (Material::Point([vec![4], x, y].concat()), vec![algorithm]))
        }
        ("OKP", Some("Ed25519")) => {
            let x = number("x").filter(|x| x.len() == 32)?;
            Some((Material::Point(x), vec![Algorithm::EdDsa]))
        }
        _ => None,
    }
}
