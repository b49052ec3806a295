//! `private_key_jwt` (RFC 7523): who we are, signed with a key that is never sent.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::OAuthFault;
use crate::key::EntropyFault;

/// How long an assertion is good, in seconds. It is used at once.
const TIME_S: u64 = 60;

/// Signs that we are the client, for an audience.
pub(super) fn sign(
    pem: &SecretString,
    (client_id, audience): (&str, &str),
    now_unix_s: u64,
) -> Result<Zeroizing<String>, OAuthFault> {
    let key = Signer::read(pem)?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(EntropyFault)?;
    let header = json!({ "alg": key.algorithm(), "typ": "JWT" });
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now_unix_s,
        "exp": now_unix_s.saturating_add(TIME_S),
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes())?);
    Ok(Zeroizing::new(format!("{text}.{signature}")))
}

enum Signer {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn read(pem: &SecretString) -> Result<Signer, OAuthFault> {
        let wrong = OAuthFault::Key("it is not a PKCS #8 key in PEM (-----BEGIN PRIVATE KEY-----)");
        let text = pem.expose_secret();
        let inner =
            text.split_once("-----BEGIN PRIVATE KEY-----").and_then(|(_, rest)| rest.split_once("-----END"));
        let Some((inner, _)) = inner else { return Err(wrong) };
        let inner = Zeroizing::new(inner.split_whitespace().collect::<String>());
        let der = STANDARD.decode(&*inner).map(Zeroizing::new).map_err(|_| wrong)?;
        let random = SystemRandom::new();
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random) {
            return Ok(Signer::P256(key));
        }
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
            .map(Signer::Ed25519)
            .map_err(|_| OAuthFault::Key("it is neither a P-256 nor an Ed25519 key"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Signer::P256(_) => "ES256",
            Signer::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, OAuthFault> {
        match self {
            Signer::P256(key) => key
                .sign(&SystemRandom::new(), text)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| OAuthFault::Key("it does not sign")),
            Signer::Ed25519(key) => Ok(key.sign(text).as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, KeyPair, UnparsedPublicKey, VerificationAlgorithm,
    };

    use super::*;

    fn pem(der: &[u8]) -> SecretString {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n").into()
    }

    fn verified(token: &str, algorithm: &'static dyn VerificationAlgorithm, key: &[u8]) -> serde_json::Value {
        let parts: Vec<&str> = token.split('.').collect();
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        let signed = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(algorithm, key).verify(signed.as_bytes(), &signature).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_is_signed_short_lived_and_for_one_audience() {
        let random = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let public =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &random).unwrap();
        let token = sign(&pem(p256.as_ref()), ("me", "https://as.example"), 1000).unwrap();
        let claims = verified(&token, &ECDSA_P256_SHA256_FIXED, public.public_key().as_ref());
        assert_eq!(
            (&claims["iss"], &claims["sub"], &claims["aud"]),
            (&json!("me"), &json!("me"), &json!("https://as.example"))
        );
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1000), &json!(1060)));

        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let public = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap();
        let other = sign(&pem(ed.as_ref()), ("me", "https://as.example"), 1000).unwrap();
        let second = verified(&other, &ED25519, public.public_key().as_ref());
        assert_ne!(claims["jti"], second["jti"]);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for wrong in [
            "",
            "hunter2",
            "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----",
        ] {
            let fault = sign(&wrong.to_owned().into(), ("me", "x"), 0).unwrap_err().to_string();
            assert!(!fault.contains("hunter"), "{fault}");
        }
    }
}
