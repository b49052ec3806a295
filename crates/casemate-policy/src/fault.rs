//! What is wrong with written roles and policies, and where.

use std::fmt;

use casemate_mcp::names::{RoleName, ServerName};

/// Where a mistake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultPlace {
    /// In a role.
    Role(RoleName),
    /// In what is said of a server.
    Server(ServerName),
    /// In a policy file.
    File {
        /// Its name, as it was given.
        name: String,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
    },
    /// In all of it together.
    Everything,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    /// Where.
    pub place: FaultPlace,
    /// What.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl PolicyFault {
    pub(crate) fn new(place: FaultPlace, what: impl Into<String>) -> Self {
        PolicyFault { place, what: what.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        PolicyFault { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            FaultPlace::Role(role) => write!(f, "role `{role}`: ")?,
            FaultPlace::Server(server) => write!(f, "server `{server}`: ")?,
            FaultPlace::File { name, line, column } => write!(f, "{name}:{line}:{column}: ")?,
            FaultPlace::Everything => {}
        }
        f.write_str(&self.what)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for PolicyFault {}

/// The place of a byte offset in a policy file.
pub(crate) fn place_in(name: &str, text: &str, offset: usize) -> FaultPlace {
    let before = text.get(..offset).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    FaultPlace::File { name: name.to_owned(), line: before.matches('\n').count() + 1, column }
}
