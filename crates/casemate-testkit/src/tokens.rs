//! An issuer of tokens for tests: its keys, the set that it publishes, and whatever it is made to sign. Algorithms are named as
//! tokens name them, so that this knows nothing of the types of whoever judges.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test whose issuer cannot sign has nothing else to do than to fail"
)]

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The keys of an issuer, with their private halves.
pub struct Signer {
    rsa: rsa::KeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Default for Signer {
    fn default() -> Signer {
        Signer::new()
    }
}

impl Signer {
    /// New keys, except for RSA, which takes seconds to make.
    ///
    /// # Panics
    /// Without randomness.
    #[must_use]
    pub fn new() -> Signer {
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

    /// A signature of these bytes.
    ///
    /// # Panics
    /// For an algorithm that has no key here.
    #[must_use]
    pub fn sign(&self, algorithm: impl Display, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(padding, &random, signed, &mut signature).expect("a signature");
            signature
        };
        match algorithm.to_string().as_str() {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "ES256" => self.p256.sign(&random, signed).expect("a signature").as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, signed).expect("a signature").as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(signed).as_ref().to_vec(),
            other => panic!("no key for {other}"),
        }
    }

    /// A token of these two texts.
    #[must_use]
    pub fn token(&self, algorithm: impl Display, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = encoded(&self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// One key as a set has it, with further members.
    ///
    /// # Panics
    /// For an algorithm that has no key here.
    #[must_use]
    pub fn jwk(&self, algorithm: impl Display, rest: &str) -> String {
        let point = |public: &[u8], curve: &str| {
            let (x, y) = public[1..].split_at((public.len() - 1) / 2);
            format!(r#"{{"kty":"EC","crv":"{curve}","x":"{}","y":"{}"{rest}}}"#, encoded(x), encoded(y))
        };
        match algorithm.to_string().as_str() {
            "RS256" | "PS256" => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
                format!(r#"{{"kty":"RSA","n":"{}","e":"{}"{rest}}}"#, encoded(&public.n), encoded(&public.e))
            }
            "ES256" => point(self.p256.public_key().as_ref(), "P-256"),
            "ES384" => point(self.p384.public_key().as_ref(), "P-384"),
            "EdDSA" => {
                let x = encoded(self.ed25519.public_key().as_ref());
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{rest}}}"#)
            }
            other => panic!("no key for {other}"),
        }
    }

    /// All keys, each named for its algorithm in lower case, and RSA as one key for both of its algorithms.
    #[must_use]
    pub fn set(&self) -> String {
        let named =
            |algorithm: &str, name: &str| self.jwk(algorithm, &format!(r#","kid":"{name}","use":"sig""#));
        let keys = [
            named("RS256", "rsa"),
            named("ES256", "es256"),
            named("ES384", "es384"),
            named("EdDSA", "eddsa"),
        ];
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }
}

/// By what name [`Signer::set`] lists the key of an algorithm.
#[must_use]
pub fn key_of(algorithm: impl Display) -> String {
    match algorithm.to_string().as_str() {
        "RS256" | "PS256" => "rsa".to_owned(),
        other => other.to_lowercase(),
    }
}

/// Gives a set of keys to whoever asks, on this machine, until the tasks are dropped.
///
/// # Errors
/// No port could be bound.
pub async fn publish(set: String) -> io::Result<(SocketAddr, JoinSet<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut served = JoinSet::new();
    served.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
            let answer = format!("{head} {}\r\n\r\n{set}", set.len());
            // Whoever asks and goes away again is no reason to stop.
            if stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    Ok((address, served))
}

/// Base64 as tokens have it.
#[must_use]
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that was made for these tests and is of no other use.
fn rsa_key() -> rsa::KeyPair {
    let text = include_str!("tokens/rsa.txt").replace('\n', "");
    rsa::KeyPair::from_pkcs8(&STANDARD.decode(text).expect("base64")).expect("a key")
}
