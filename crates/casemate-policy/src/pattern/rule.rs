//! What roles and scopes list: patterns, and one word.

use std::fmt;

use super::{Pattern, PatternFault};

/// The word for everything that is confirmed to change nothing.
const READ_ONLY: &str = "read-only";

/// An entry of a role's list. A server that is called `read-only` is reached by `read-only/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rule {
    /// `read-only`: whatever the configuration confirms to change nothing, on any server. What servers say of
    /// themselves does not count.
    ReadOnly,
    /// What a pattern names.
    Pattern(Pattern),
}

impl Rule {
    /// Reads an entry.
    ///
    /// # Errors
    /// A [`PatternFault`] for what is neither the word nor a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text == READ_ONLY { Ok(Rule::ReadOnly) } else { Pattern::parse(text).map(Rule::Pattern) }
    }

    /// The entry as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Rule::ReadOnly => READ_ONLY,
            Rule::Pattern(pattern) => pattern.as_str(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
