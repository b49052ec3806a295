//! The key of a setting as it is written: a path of names.

use std::fmt;

/// A path of names, such as `servers.git.timeout.call`. Displays as TOML writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<String>);

impl Key {
    /// Reads a dotted key; a name with other characters than letters, digits, `-` and `_` is quoted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Key> {
        let parts = toml_edit::Key::parse(text).ok()?;
        Some(Key(parts.iter().map(|part| part.get().to_owned()).collect()))
    }

    /// The key below this one that a dotted path of plain names leads to.
    pub(crate) fn below(&self, path: &str) -> Key {
        let names = path.split('.').map(str::to_owned);
        Key(self.0.iter().cloned().chain(names).collect())
    }

    /// The key of a member of this one.
    pub(crate) fn child(&self, name: &str) -> Key {
        Key(self.0.iter().cloned().chain([name.to_owned()]).collect())
    }

    /// The names on the path.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The name that follows this path in a longer key.
    pub(crate) fn next_in<'k>(&self, longer: &'k Key) -> Option<&'k str> {
        longer.0.strip_prefix(self.0.as_slice())?.first().map(String::as_str)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(
                f,
                "{dot}{}",
                toml_edit::Key::new(name.as_str()).default_repr().as_raw().as_str().unwrap_or(name)
            )?;
        }
        Ok(())
    }
}
