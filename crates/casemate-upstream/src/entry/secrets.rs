//! The secrets of one entry.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// The secrets of one entry.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// What the server is given.
    pub exposed: Exposed,
    /// What the entry names, and there is not. Until there is, the server is not started.
    pub missing: Vec<Missing>,
}

/// A secret that an entry names, and that there is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The setting that names it, such as `servers.git.env.TOKEN`.
    pub setting: String,
    /// What the secret is called.
    pub secret: String,
    /// Why it cannot be had, for a person: it is not set, or it cannot be opened.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} names the secret {}: {}", self.setting, self.secret, self.why)
    }
}

/// The secret values that one server is given, so that they can be found in what it answers.
#[derive(Clone, Default)]
pub struct Exposed(Vec<SecretString>);

impl Exposed {
    /// Adds a value, once.
    pub fn add(&mut self, value: &SecretString) {
        let known = self.0.iter().any(|known| known.expose_secret() == value.expose_secret());
        if !known && !value.expose_secret().is_empty() {
            self.0.push(value.clone());
        }
    }

    /// The values as they were given; and, of a header such as `Bearer x`, also what follows the scheme, which is
    /// the secret proper.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|value| {
            let value = value.expose_secret();
            let proper = value.split_once(' ').filter(|(scheme, _)| SCHEMES.contains(scheme));
            [Some(value), proper.map(|(_, proper)| proper)].into_iter().flatten()
        })
    }
}

/// The schemes that stand before a secret in a header.
const SCHEMES: [&str; 4] = ["Bearer", "Basic", "Token", "ApiKey"];

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exposed({} values, not shown)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposed_values_are_there_to_be_found_and_are_never_printed() {
        let mut exposed = Exposed::default();
        for value in ["hunter2hunter2", "Bearer precious", "hunter2hunter2", ""] {
            exposed.add(&SecretString::from(value));
        }
        assert_eq!(exposed.values().collect::<Vec<_>>(), ["hunter2hunter2", "Bearer precious", "precious"]);
        assert_eq!(format!("{exposed:?}"), "Exposed(2 values, not shown)");
    }
}
