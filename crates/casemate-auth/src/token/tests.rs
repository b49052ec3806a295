//! Tokens made by real keys, good ones and all the others.

mod bad;
mod good;
mod sets;

use std::sync::LazyLock;

pub(crate) use casemate_testkit::tokens::{Signer, encoded, key_of};

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const RESOURCE: &str = "https://gateway.example/mcp";
/// What time it is.
pub(crate) const NOW: u64 = 1_500;
/// A token's body that is in order.
pub(crate) const CLAIMS: &str = r#"{"iss":"https://issuer.example","sub":"alice","aud":"https://gateway.example/mcp","exp":2000,"nbf":1000,"iat":1000,"scope":"mcp:read mcp:write","groups":["staff","odd"]}"#;

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

/// The issuer's own.
pub(crate) fn signer() -> &'static Signer {
    &SIGNER
}

/// The keys of an issuer, as we read them.
pub(crate) fn keys_of(signer: &Signer) -> KeySet {
    KeySet::read(&Bytes::from(signer.set())).expect("a set")
}

/// The header of a token that is in order.
pub(crate) fn header(algorithm: Algorithm) -> String {
    let key = key_of(algorithm);
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
    rules.judge(&Jws::read(token)?, &keys_of(signer()), (RESOURCE, NOW))
}
