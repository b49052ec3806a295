//! A token taken apart (RFC 7515 section 7.1), before anything in it is believed.

use std::fmt::{self, Debug};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use casemate_mcp::json::{Limits, Members};

use super::{Algorithm, TokenFault};

/// The longest token, in bytes. Tokens with hundreds of groups have some 10 KiB.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The longest signature, in bytes: RSA with 4096 bits.
const SIGNATURE_BYTES_MAX: usize = 512;

/// The longest name of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 256;

/// What a token may call itself (RFC 7519 section 5.1, RFC 9068 section 2.1). Others are no access tokens.
const TYPES: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

/// Headers that lead to a key of the sender's choice, or change what the rest means.
const FORBIDDEN: [&str; 10] = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty", "epk"];

/// A token taken apart. Nothing in it is to be believed before its signature was verified.
pub struct Jws<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    issuer: String,
    claims: Members,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Whether a text has the outer form of a token, so that it is judged as one and not as a key of ours.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.contains('.')
    }

    /// Takes a token apart.
    ///
    /// # Errors
    /// [`TokenFault::Refused`].
    pub fn read(text: &'a str) -> Result<Jws<'a>, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::of("it is too long"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenFault::of("it does not have three parts"));
        };
        let signed = text.get(..header.len() + 1 + claims.len()).unwrap_or_default().as_bytes();
        let header = members(header, "its header")?;
        for name in FORBIDDEN {
            if header.has(name) {
                return Err(TokenFault::of(format!("its header has `{name}`")));
            }
        }
        let algorithm = header.string("alg").as_deref().and_then(Algorithm::find);
        let algorithm = algorithm.ok_or(TokenFault::of("its algorithm is none that counts here"))?;
        if let Some(kind) = header.get("typ") {
            let kind = kind.string().unwrap_or_default().to_ascii_lowercase();
            if !TYPES.contains(&kind.as_str()) {
                return Err(TokenFault::of("its type is not that of an access token"));
            }
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(id) => match id.string() {
                Some(id) if id.len() <= KEY_ID_BYTES_MAX => Some(id.into_owned()),
                _ => return Err(TokenFault::of("its `kid` is no name of a key")),
            },
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).ok();
        let signature = signature.filter(|signature| (1..=SIGNATURE_BYTES_MAX).contains(&signature.len()));
        let signature = signature.ok_or(TokenFault::of("its signature is malformed"))?;
        let claims = members(claims, "its body")?;
        let issuer = claims.string("iss").ok_or(TokenFault::of("it names no issuer"))?;
        Ok(Jws { algorithm, key_id, issuer, claims, signed, signature })
    }

    /// The issuer that it names, for choosing whose keys to judge it by.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    pub(super) fn claims(&self) -> &Members {
        &self.claims
    }

    pub(super) fn signed(&self) -> &[u8] {
        self.signed
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

impl Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A part that has to be an object, without doubled members at any depth.
fn members(part: &str, what: &str) -> Result<Members, TokenFault> {
    let limits = Limits { bytes_max: TOKEN_BYTES_MAX, depth_max: 16, values_max: 4096 };
    let bytes =
        URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::of(format!("{what} is no base64url")))?;
    Members::check(Bytes::from(bytes), &limits).map_err(|fault| TokenFault::of(format!("{what}: {fault}")))
}
