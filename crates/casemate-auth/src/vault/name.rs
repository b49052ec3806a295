//! What a secret is called.

use std::fmt;

use thiserror::Error;

/// Longest name, in characters.
const CHARS_MAX: usize = 64;

/// The name of a secret, as `secret:NAME` refers to it. It is no secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

/// A text is not the name of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the name of a secret has 1 to {CHARS_MAX} letters, digits, `-`, `_` and `.`, and begins with a letter or digit"
)]
pub struct SecretNameFault;

impl SecretName {
    /// Checks a text and makes it a name.
    ///
    /// # Errors
    /// [`SecretNameFault`]; the text is not quoted, since it may be the secret itself.
    pub fn parse(text: &str) -> Result<SecretName, SecretNameFault> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let good = (1..=CHARS_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(legal);
        good.then(|| SecretName(text.to_owned())).ok_or(SecretNameFault)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "GITHUB_TOKEN", "wiki.prod-2", "0"] {
            assert_eq!(SecretName::parse(good).unwrap().as_str(), good);
        }
        for wrong in ["", "-a", ".", "a b", "a/b", "a:b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(SecretName::parse(wrong), Err(SecretNameFault), "{wrong:?}");
        }
    }
}
