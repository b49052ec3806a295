//! What is said of a server that is not there: most names are wrong by a letter.

use std::collections::BTreeMap;
use std::sync::Arc;

use casemate_config::nearest;
use casemate_gateway::snapshot::ServerEntry;
use casemate_mcp::names::ServerName;

use crate::control::wire::Fault;
use crate::exit::Exit;
use crate::failure::Failure;

/// A server that was asked for and cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// What is the matter.
    pub message: String,
    /// A next step.
    pub hint: String,
}

impl Absent {
    /// Works out why, from the servers that there are.
    pub fn of(typed: &str, servers: &BTreeMap<ServerName, Arc<ServerEntry>>) -> Absent {
        match servers.get(typed) {
            Some(entry) if !entry.enabled => Absent {
                message: format!("the server {typed} is disabled"),
                hint: format!("`casemate enable {typed}` lets clients see it again"),
            },
            _ => Absent::among(typed, servers.keys().map(ServerName::as_str)),
        }
    }

    fn among<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Absent {
        // Any name of a letter or two is near to any other.
        let near = if typed.len() > 2 { nearest(typed, names) } else { None };
        let hint = match near {
            Some(near) => format!("did you mean {near}? `casemate list` shows all of them"),
            None => "`casemate list` shows those that are".to_owned(),
        };
        Absent { message: format!("no server called {typed} is configured"), hint }
    }
}

impl From<Absent> for Failure {
    fn from(absent: Absent) -> Failure {
        Failure::new(Exit::Failure, absent.message).hint(absent.hint)
    }
}

impl From<Absent> for Fault {
    fn from(absent: Absent) -> Fault {
        Fault { message: absent.message, hint: Some(absent.hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_a_letter_was_a_riddle() {
        let hint = |typed| Absent::among(typed, ["everything", "time", "a"].into_iter()).hint;
        assert_eq!(hint("everthing"), "did you mean everything? `casemate list` shows all of them");
        for other in ["wiki", "b"] {
            assert_eq!(hint(other), "`casemate list` shows those that are");
        }
    }
}
