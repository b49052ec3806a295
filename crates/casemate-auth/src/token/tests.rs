//! Tokens made by real keys, good ones and all the others.

mod bad;
mod good;
mod sets;

use std::sync::LazyLock;

use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};

use super::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const RESOURCE: &str = "https://gateway.example/mcp";
/// What time it is.
pub(crate) const NOW: u64 = 1_500;
/// A token's body that is in order.
pub(crate) const CLAIMS: &str = r#"{"iss":"https://issuer.example","sub":"alice","aud":"https://gateway.example/mcp","exp":2000,"nbf":1000,"iat":1000,"scope":"mcp:read mcp:write","groups":["staff","odd"]}"#;

/// The keys of an issuer, with their private halves.
pub(crate) struct Signer {
    rsa: rsa::KeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

/// The issuer's own.
pub(crate) fn signer() -> &'static Signer {
    &SIGNER
}

impl Signer {
    /// New keys, except for RSA, which takes seconds to make.
    pub(crate) fn new() -> Signer {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| {
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
            EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key")
        };
        let document = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        Signer {
            rsa: rsa_key(),
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed25519: Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key"),
        }
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(padding, &random, signed, &mut signature).expect("a signature");
            signature
        };
        match algorithm {
            Algorithm::Rs256 => rsa(&RSA_PKCS1_SHA256),
            Algorithm::Ps256 => rsa(&RSA_PSS_SHA256),
            Algorithm::Es256 => self.p256.sign(&random, signed).expect("a signature").as_ref().to_vec(),
            Algorithm::Es384 => self.p384.sign(&random, signed).expect("a signature").as_ref().to_vec(),
            Algorithm::EdDsa => self.ed25519.sign(signed).as_ref().to_vec(),
        }
    }

    /// A token of these two texts.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = encoded(&self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// One key as a set has it.
    pub(crate) fn jwk(&self, algorithm: Algorithm, rest: &str) -> String {
        let point = |public: &[u8], curve: &str| {
            let (x, y) = public[1..].split_at((public.len() - 1) / 2);
            format!(r#"{{"kty":"EC","crv":"{curve}","x":"{}","y":"{}"{rest}}}"#, encoded(x), encoded(y))
        };
        match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
                format!(r#"{{"kty":"RSA","n":"{}","e":"{}"{rest}}}"#, encoded(&public.n), encoded(&public.e))
            }
            Algorithm::Es256 => point(self.p256.public_key().as_ref(), "P-256"),
            Algorithm::Es384 => point(self.p384.public_key().as_ref(), "P-384"),
            Algorithm::EdDsa => {
                let x = encoded(self.ed25519.public_key().as_ref());
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{rest}}}"#)
            }
        }
    }

    /// All keys, each named for its algorithm in lower case, and RSA as one key for both of its algorithms.
    pub(crate) fn set(&self) -> String {
        let named = |algorithm: Algorithm, name: &str| {
            self.jwk(algorithm, &format!(r#","kid":"{name}","use":"sig""#))
        };
        let keys = [
            named(Algorithm::Rs256, "rsa"),
            named(Algorithm::Es256, "es256"),
            named(Algorithm::Es384, "es384"),
            named(Algorithm::EdDsa, "eddsa"),
        ];
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    pub(crate) fn keys(&self) -> KeySet {
        KeySet::read(&Bytes::from(self.set())).expect("a set")
    }
}

/// A key that was made for these tests and is of no other use.
fn rsa_key() -> rsa::KeyPair {
    let text = include_str!("tests/rsa.txt").replace('\n', "");
    rsa::KeyPair::from_pkcs8(&STANDARD.decode(text).expect("base64")).expect("a key")
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The header of a token that is in order.
pub(crate) fn header(algorithm: Algorithm) -> String {
    let key = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 => "rsa".to_owned(),
        other => other.as_str().to_ascii_lowercase(),
    };
    format!(r#"{{"alg":"{algorithm}","kid":"{key}","typ":"at+jwt"}}"#)
}

pub(crate) fn role(name: &str) -> RoleName {
    RoleName::parse(name).expect("a role")
}

pub(crate) fn rules() -> Rules {
    Rules {
        issuer: ISSUER.to_owned(),
        audiences: Vec::new(),
        algorithms: Algorithm::ALL.to_vec(),
        subject_claim: "sub".to_owned(),
        roles_claim: vec!["groups".to_owned()],
        roles: BTreeMap::from([("staff".to_owned(), role("user"))]),
        everyone: Vec::new(),
        required_scopes: Vec::new(),
        leeway_s: 0,
    }
}

/// Judges a token under the rules, at [`NOW`].
pub(crate) fn judged(rules: &Rules, token: &str) -> Result<Verified, TokenFault> {
    rules.judge(&Jws::read(token)?, &signer().keys(), (RESOURCE, NOW))
}
