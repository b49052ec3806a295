//! What clients need to know to get a token for us, and what its scopes open (RFC 9728, RFC 6750).

use std::collections::BTreeMap;

use casemate_policy::Scope;

/// The issuers whose tokens are accepted, and the scopes that tokens can have here. Without issuers there are no tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authorization {
    /// The issuers' names for themselves.
    pub issuers: Vec<String>,
    /// The scopes by name. Where there is none, scopes mean nothing and the roles alone decide.
    pub scopes: BTreeMap<String, TokenScope>,
}

/// What a scope of a token means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// What it opens, as far as the subject's roles do.
    pub holds: Scope,
    /// Whether clients are told to ask for it at once, or only when they need it.
    pub asked: Asking,
}

/// When a client is told to ask for a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// With the first token.
    First,
    /// When something was refused for the lack of it.
    WhenNeeded,
}

impl Authorization {
    /// What a token with these scopes may be used for: all that they open together. `None` where scopes mean nothing.
    /// A scope that is not defined opens nothing.
    #[must_use]
    pub fn narrowed<T: AsRef<str>>(&self, granted: impl IntoIterator<Item = T>) -> Option<Scope> {
        if self.scopes.is_empty() {
            return None;
        }
        let held = granted.into_iter().filter_map(|name| self.scopes.get(name.as_ref()));
        let patterns = held.flat_map(|scope| scope.holds.patterns().map(str::to_owned).collect::<Vec<_>>());
        // Every pattern was read before; what could not be would open nothing.
        Some(Scope::parse(patterns).unwrap_or_else(|_| Scope::default()))
    }

    /// The scopes that a client without a token should ask for.
    pub fn first(&self) -> impl Iterator<Item = &str> {
        let is_first = |(_, scope): &(&String, &TokenScope)| scope.asked == Asking::First;
        self.scopes.iter().filter(is_first).map(|(name, _)| name.as_str())
    }
}
