//! What a credential may be used for, beyond what its holder's roles allow.

use std::fmt;
use std::sync::Arc;

use casemate_mcp::names::ServerName;
use thiserror::Error;

use crate::pattern::{Pattern, PatternFault};
use crate::request::Resource;

/// Most patterns in one scope. Each is compared at every call, and nobody reads more.
const PATTERNS_MAX: usize = 256;

/// A list of patterns that narrows: what none of them speaks of cannot be done with the credential, whatever roles
/// its holder has. It never widens, and what is no part of a server (the gateway, keys, records, and how servers are
/// administered) is beyond every scope. An empty scope holds nothing. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope(Arc<[Pattern]>);

/// Why texts are not a scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScopeFault {
    /// One of them is no pattern.
    #[error("scope `{pattern}`: {why}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        why: PatternFault,
    },
    /// More of them than allowed.
    #[error("a scope has at most {PATTERNS_MAX} patterns")]
    TooMany,
}

impl Scope {
    /// Reads a scope: patterns as roles have them.
    ///
    /// # Errors
    /// The first [`ScopeFault`], in the order given.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, ScopeFault> {
        let mut patterns = Vec::new();
        for text in texts {
            let text = text.as_ref();
            if patterns.len() == PATTERNS_MAX {
                return Err(ScopeFault::TooMany);
            }
            let refused = |why| ScopeFault::Pattern { pattern: text.to_owned(), why };
            patterns.push(Pattern::parse(text).map_err(refused)?);
        }
        Ok(Scope(patterns.into()))
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Pattern::as_str)
    }

    /// True when something of the server is within the scope, so that the server may be seen.
    pub(crate) fn touches(&self, server: &ServerName) -> bool {
        self.0.iter().any(|pattern| pattern.server().is_none_or(|own| own == server))
    }

    /// True when the resource is within the scope.
    pub(crate) fn holds(&self, resource: &Resource<'_>) -> bool {
        self.0.iter().any(|pattern| pattern.matches(resource))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<&str> = self.patterns().collect();
        f.write_str(&patterns.join(" "))
    }
}
