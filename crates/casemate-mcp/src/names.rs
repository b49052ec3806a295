//! Names of servers, tools, profiles and roles, and the one place that joins and splits them.
//!
//! A joined name is `server__tool`. It has to match `^[A-Za-z0-9_-]{1,64}$`, which the model vendors' APIs
//! require, and stay within [`JOINED_MAX`] characters, since clients prefix it once more. A pair that cannot
//! be written that way is shortened with a stable hash. Joined names are never parsed back: who needs the
//! pair looks the joined name up in the table it was made for, so no delimiter can be ambiguous.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Longest joined name, in characters.
pub const JOINED_MAX: usize = 48;

/// What joins a server's name and a tool's name.
pub const SEPARATOR: &str = "__";

/// Longest name of a server, profile or role, in characters.
const SHORT_MAX: usize = 32;

/// Longest name of a tool or prompt that is accepted from a server, in bytes.
const TOOL_MAX: usize = 256;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameFault {
    /// Nothing was given.
    #[error("a {kind} name cannot be empty")]
    Empty {
        /// What was being named.
        kind: &'static str,
    },
    /// More characters than allowed.
    #[error("a {kind} name has at most {max} characters, this one has {len}")]
    TooLong {
        /// What was being named.
        kind: &'static str,
        /// The most that is allowed.
        max: usize,
        /// What was given.
        len: usize,
    },
    /// A character that is not allowed where it stands.
    #[error("a {kind} name cannot have {found:?} at position {at}: use letters, digits, `-` and single `_`")]
    Character {
        /// What was being named.
        kind: &'static str,
        /// The character.
        found: char,
        /// Its position, in characters from 0.
        at: usize,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text and makes it a name.
            ///
            /// # Errors
            /// A [`NameFault`] that says what is wrong and where.
            pub fn parse(text: &str) -> Result<Self, NameFault> {
                $check($kind, text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// An upstream server: 1 to 32 letters, digits, `-` and single `_`, starting with a letter or digit.
    ServerName, "server", short
}
name! {
    /// A further endpoint; written like a server's name.
    ProfileName, "profile", short
}
name! {
    /// A role; written like a server's name.
    RoleName, "role", short
}
name! {
    /// A tool or prompt as its server calls it: 1 to 256 bytes without control characters. The protocol
    /// recommends `[A-Za-z0-9_.-]{1,128}`; servers in the field use more, so we accept more and shorten on joining.
    ToolName, "tool", tool
}

/// The name under which the joined endpoint shows a server's tool or prompt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedName(Arc<str>);

impl QualifiedName {
    /// Joins the two. Pure and stable: the same pair always gives the same name, on every machine.
    #[must_use]
    pub fn join(server: &ServerName, tool: &str) -> Self {
        let plain = format!("{server}{SEPARATOR}{tool}");
        // A tool that itself contains the separator (or a server that ends in `_`) could be read two ways by a
        // person, and two pairs could collide; the hash of the true pair tells them apart.
        let readable = tool.bytes().all(legal) && !tool.contains(SEPARATOR) && !tool.starts_with('_');
        if readable && plain.len() <= JOINED_MAX {
            return Self(plain.into());
        }
        let digest =
            Sha256::new().chain_update(server.as_str()).chain_update([0]).chain_update(tool).finalize();
        let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let keep = JOINED_MAX - SEPARATOR.len() - hash.len();
        let head: String =
            plain.bytes().map(|byte| if legal(byte) { char::from(byte) } else { '-' }).take(keep).collect();
        Self(format!("{head}{SEPARATOR}{hash}").into())
    }

    /// The joined name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for QualifiedName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the model vendors' APIs take in a tool's name.
fn legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn short(kind: &'static str, text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty { kind });
    }
    let len = text.chars().count();
    if len > SHORT_MAX {
        return Err(NameFault::TooLong { kind, max: SHORT_MAX, len });
    }
    let mut before = '_';
    for (at, found) in text.chars().enumerate() {
        let fine = found.is_ascii_alphanumeric() || found == '-' && at > 0 || found == '_' && before != '_';
        if !fine {
            return Err(NameFault::Character { kind, found, at });
        }
        before = found;
    }
    if before == '_' { Err(NameFault::Character { kind, found: '_', at: len - 1 }) } else { Ok(()) }
}

fn tool(kind: &'static str, text: &str) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty { kind });
    }
    if text.len() > TOOL_MAX {
        return Err(NameFault::TooLong { kind, max: TOOL_MAX, len: text.len() });
    }
    match text.chars().enumerate().find(|(_, found)| found.is_control()) {
        Some((at, found)) => Err(NameFault::Character { kind, found, at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn server_names_that_would_make_joined_names_ambiguous_are_refused() {
        for bad in ["", "_a", "a_", "a__b", "-a", "a b", "ä", "a/b", "a.b", &"x".repeat(33)] {
            assert!(ServerName::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "A1", "my-server", "my_server", "0", &"x".repeat(32)] {
            assert!(ServerName::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn readable_pairs_are_joined_readably() {
        let git = ServerName::parse("git").unwrap();
        assert_eq!(QualifiedName::join(&git, "git_status").as_str(), "git__git_status");
        let dotted = QualifiedName::join(&git, "git.status");
        assert!(dotted.as_str().starts_with("git__git-status__"), "{dotted}");
    }

    proptest! {
        #[test]
        fn joined_names_are_legal_and_different_pairs_stay_different(
            pairs in proptest::collection::hash_set(("[a-z0-9][a-z0-9-]{0,31}", "[ -~]{1,80}|[a-c_]{1,6}|\\PC{1,40}"), 1..40)
        ) {
            let mut seen = HashMap::new();
            for (server, tool) in pairs {
                let joined = QualifiedName::join(&ServerName::parse(&server).unwrap(), &tool);
                prop_assert!(joined.as_str().len() <= JOINED_MAX && joined.as_str().bytes().all(legal));
                let other = seen.insert(joined.clone(), (server.clone(), tool.clone()));
                prop_assert!(other.is_none(), "{joined}: {other:?} and {server} {tool}");
            }
        }
    }
}
