//! Signed bearer tokens (JWT, RFC 7519 and RFC 9068), judged strictly.
//!
//! What decides is the issuer's entry in the configuration and never the token: which algorithms count, which keys,
//! which audience. A key counts for the algorithms of its own kind alone, so no public key is ever taken for a secret.
//! Headers that point to keys (`jku`, `x5u`, `jwk`, `x5c`) and those that change what is meant (`crit`, `b64`, `zip`,
//! `enc`, `cty`) are refused, and so is a token that is bound to a key its holder would have to prove (`cnf`).
//! Signatures are verified by `ring`; see docs/decisions/0014.

mod algorithm;
mod claims;
mod jws;
mod keys;
#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use casemate_mcp::names::RoleName;
use thiserror::Error;

pub use algorithm::Algorithm;
pub use jws::Jws;
pub use keys::{KeySet, KeySetFault};

/// How much later or earlier than the issuer our clock may be, at most, in seconds.
pub const LEEWAY_S_MAX: u64 = 60;

/// What tokens of an issuer have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The issuer's name for itself, compared exactly.
    pub issuer: String,
    /// For whom tokens may be made; exactly one of these, or else the address of the endpoint that is called.
    pub audiences: Vec<String>,
    /// The algorithms that count.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the subject.
    pub subject_claim: String,
    /// The claim that holds what roles are mapped from: its name, or the names that lead to it.
    pub roles_claim: Vec<String>,
    /// Which value of that claim is which role.
    pub roles: BTreeMap<String, RoleName>,
    /// The roles of every subject of this issuer.
    pub everyone: Vec<RoleName>,
    /// Scopes that a token must have, all of them.
    pub required_scopes: Vec<String>,
    /// How far the issuer's clock and ours may be apart, in seconds; never more than [`LEEWAY_S_MAX`].
    pub leeway_s: u64,
}

/// What a token says, once it is known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whom the issuer vouches for, by its own name for them.
    pub subject: String,
    /// The roles that its claims are mapped to, without duplicates.
    pub roles: Vec<RoleName>,
    /// The scopes that were granted.
    pub scopes: Vec<String>,
    /// For whom the token was made.
    pub audiences: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}

/// Why a token is not accepted. The caller is told one and the same thing about all of them, except that scopes are
/// missing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenFault {
    /// Something is wrong with it.
    #[error("the token is not accepted: {0}")]
    Refused(Cow<'static, str>),
    /// It is signed by a key that is not known, which may be a new one.
    #[error("the token is signed by a key that its issuer is not known to have")]
    UnknownKey,
    /// It is good, and not enough.
    #[error("the token does not have the scopes {}", .0.join(" "))]
    Scope(Vec<String>),
}

impl TokenFault {
    pub(crate) fn of(why: impl Into<Cow<'static, str>>) -> TokenFault {
        TokenFault::Refused(why.into())
    }
}

impl Rules {
    /// Judges a token that names this issuer, by the issuer's keys; `resource` is the address of the endpoint that is
    /// called.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn judge(
        &self,
        token: &Jws,
        keys: &KeySet,
        (resource, now_unix_s): (&str, u64),
    ) -> Result<Verified, TokenFault> {
        if token.issuer() != self.issuer {
            return Err(TokenFault::of("it is another issuer's"));
        }
        let algorithm = token.algorithm();
        if !self.algorithms.contains(&algorithm) {
            return Err(TokenFault::of(format!("the issuer's entry does not allow {algorithm}")));
        }
        let key = keys.find(algorithm, token.key_id())?;
        if !key.verifies(algorithm, token.signed(), token.signature()) {
            return Err(TokenFault::of("its signature is wrong"));
        }
        let verified = claims::read(self, token.claims(), now_unix_s)?;
        if !self.is_for(&verified.audiences, resource) {
            return Err(TokenFault::of("it was made for somebody else (its audience)"));
        }
        let missing = self.required_scopes.iter().filter(|scope| !verified.scopes.contains(scope));
        let missing = missing.cloned().collect::<Vec<_>>();
        if missing.is_empty() { Ok(verified) } else { Err(TokenFault::Scope(self.required_scopes.clone())) }
    }

    /// Whether a token for these audiences may be used at a resource.
    #[must_use]
    pub fn is_for(&self, audiences: &[String], resource: &str) -> bool {
        if self.audiences.is_empty() {
            return audiences.iter().any(|audience| audience == resource);
        }
        self.audiences.iter().any(|own| audiences.contains(own))
    }
}
