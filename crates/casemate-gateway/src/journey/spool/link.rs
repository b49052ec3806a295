//! The addresses of results that are kept: `casemate://_results/TOKEN/PART`.
//!
//! No server has a name that begins so, and so none can be joined at such an address. The token is sealed and bound to its
//! subject: whoever has it, or guesses it, and is somebody else, has nothing.

use casemate_auth::seal::{Bound, Purpose, SealFault};
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use serde_json::json;

use crate::clock;
use crate::gate::Gate;
use crate::ports::ResultId;

const PREFIX: &str = "casemate://_results/";

/// Where a result is kept that is being kept.
pub(super) struct Link {
    pub(super) id: ResultId,
    base: String,
}

impl Link {
    /// An address that nobody had before; `None` without randomness.
    pub(super) fn fresh(gate: &Gate, subject: &SubjectId, until: u64) -> Option<Link> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        let sealed = gate.seals().seal(Purpose::Result, &bound(subject), (&id, until)).ok()?;
        Some(Link { id, base: format!("{PREFIX}{sealed}/") })
    }

    /// The address of a part, counted from 1.
    pub(super) fn part(&self, number: usize) -> String {
        format!("{}{number}", self.base)
    }

    #[cfg(test)]
    pub(super) fn test() -> Link {
        Link { id: [0; 16], base: format!("{PREFIX}TOKEN/") }
    }
}

/// An address that a client came with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) id: ResultId,
    /// Counted from 0.
    pub(super) part: usize,
}

/// Whether an address has the form of such a link.
pub(super) fn is_one(uri: &str) -> bool {
    uri.starts_with(PREFIX)
}

/// What a link stands for, in the hands of this subject.
///
/// # Errors
/// [`SealFault`].
pub(super) fn open(gate: &Gate, subject: &SubjectId, uri: &str) -> Result<Opened, SealFault> {
    let rest = uri.strip_prefix(PREFIX).ok_or(SealFault::Malformed)?;
    let (token, number) = rest.split_once('/').ok_or(SealFault::Malformed)?;
    // One way to write a number, so that one part has one address.
    let part = number.parse::<usize>().ok().filter(|part| *part > 0 && part.to_string() == number);
    let part = part.ok_or(SealFault::Malformed)? - 1;
    let now = clock::unix_now().as_secs();
    let opened = gate.seals().open(Purpose::Result, &bound(subject), (token, now))?;
    let id = opened.payload.try_into().map_err(|_| SealFault::Malformed)?;
    Ok(Opened { id, part })
}

fn bound(subject: &SubjectId) -> Bound<'_> {
    Bound { method: "resources/read", ..Bound::to(subject.as_str()) }
}

/// Where a result came from: whoever reads it has to see that still.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) server: ServerName,
    /// The server's own name for the tool. Of a task, all those that it may be of, and none when nobody knows.
    pub(super) tools: Vec<Box<str>>,
}

impl Origin {
    /// As a label.
    pub(super) fn written(&self) -> Box<str> {
        format!("{}\n{}", self.server, json!(self.tools)).into()
    }

    /// From a label.
    pub(super) fn parse(label: &str) -> Option<Origin> {
        let (server, tools) = label.split_once('\n')?;
        Some(Origin { server: ServerName::parse(server).ok()?, tools: serde_json::from_str(tools).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_comes_back_as_it_was() {
        for tools in [&["read"][..], &[], &["with\na break", "[\"", ""]] {
            let tools = tools.iter().map(|tool| Box::from(*tool)).collect();
            let origin = Origin { server: ServerName::parse("files").unwrap(), tools };
            assert_eq!(Origin::parse(&origin.written()), Some(origin));
        }
        assert_eq!(Origin::parse("files"), None);
    }

    #[test]
    fn no_server_can_have_the_name_under_which_results_are_kept() {
        let host = PREFIX.trim_start_matches("casemate://").trim_end_matches('/');
        assert!(ServerName::parse(host).is_err());
        assert_eq!(crate::catalog::unwrap_uri(&format!("{PREFIX}token/1")), None);
    }
}
