//! Signatures of lock files: Ed25519 over the text as it is, with keys as `openssl genpkey -algorithm ed25519` makes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

use super::LockFault;

/// What stands before an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The signature of a text, in base64.
///
/// # Errors
/// The key is no private Ed25519 key in PEM.
pub fn sign(text: &str, private_pem: &str) -> Result<String, LockFault> {
    let der = pem(private_pem, "PRIVATE KEY")?;
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        .map_err(|_| LockFault("the key is no private Ed25519 key".to_owned()))?;
    Ok(format!("{}\n", STANDARD.encode(key.sign(text.as_bytes()))))
}

/// Whether a text was signed with the key whose public half this is.
///
/// # Errors
/// It was not, or one of the two cannot be read.
pub fn verify(text: &str, signature: &str, public_pem: &str) -> Result<(), LockFault> {
    let der = pem(public_pem, "PUBLIC KEY")?;
    let key =
        der.strip_prefix(&PUBLIC).ok_or_else(|| LockFault("the key is no public Ed25519 key".to_owned()))?;
    let signature =
        STANDARD.decode(signature.trim()).map_err(|_| LockFault("the signature is no base64".to_owned()))?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(text.as_bytes(), &signature)
        .map_err(|_| LockFault("the signature is not of this text and key".to_owned()))
}

/// The bytes of the first block of that kind.
fn pem(text: &str, kind: &str) -> Result<Vec<u8>, LockFault> {
    let none = || LockFault(format!("there is no {kind} in PEM"));
    let (_, rest) = text.split_once(&format!("-----BEGIN {kind}-----")).ok_or_else(none)?;
    let (block, _) = rest.split_once(&format!("-----END {kind}-----")).ok_or_else(none)?;
    let block: String = block.split_whitespace().collect();
    STANDARD.decode(block).map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::KeyPair;

    use super::*;

    fn block(kind: &str, der: &[u8]) -> String {
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
    }

    fn keys() -> (String, String) {
        let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(private.as_ref()).unwrap();
        let public = [&PUBLIC[..], pair.public_key().as_ref()].concat();
        (block("PRIVATE KEY", private.as_ref()), block("PUBLIC KEY", &public))
    }

    #[test]
    fn a_signature_is_of_one_text_and_one_key() {
        let ((private, public), (_, other)) = (keys(), keys());
        let signature = sign("text", &private).unwrap();
        assert_eq!(verify("text", &signature, &public), Ok(()));
        assert!(verify("text ", &signature, &public).is_err());
        assert!(verify("text", &signature, &other).is_err());
        assert!(verify("text", "", &public).is_err());
        assert!(verify("text", &signature, &private).is_err());
        assert!(sign("text", &public).is_err());
    }

    /// RFC 8032, section 7.1, test 2, in the two forms in which OpenSSL writes keys.
    #[test]
    fn it_is_the_signature_that_others_make() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let private = [&hex("302e020100300506032b657004220420")[..], &seed].concat();
        let expected = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        let signature = sign("r", &block("PRIVATE KEY", &private)).unwrap();
        assert_eq!(STANDARD.decode(signature.trim()).unwrap(), expected);
        let public = block("PUBLIC KEY", &[&PUBLIC[..], &public].concat());
        assert_eq!(verify("r", &signature, &public), Ok(()));
    }
}
