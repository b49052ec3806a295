//! The log of records: what was asked, what was decided, and how it ended; which servers were started in which cells, and
//! what they tried to reach.
//!
//! A log is a folder of segments, files of lines. A line is one record: a JSON object in canonical form (see
//! [`canonical`]), written by a single `write` to a file that was opened for appending, so that a process that
//! is killed leaves whole lines. Records are numbered from 1 without gaps (`seq`), across segments and
//! restarts, so a missing line shows. Any number of processes write one log, in turns of one record
//! (docs/decisions/0012-run.md), and any number may read it meanwhile.
//!
//! **Torn lines.** After a power cut, or when the disk filled up, the last line can be incomplete. On opening,
//! such bytes are cut off and a record of kind `torn` tells how many they were; the number that the torn line
//! would have had goes to that record. Lines are not synced one by one: a power cut can cost the last seconds,
//! the end of a process costs nothing.
//!
//! **Members** are sorted, absent ones are left out, and unknown ones are to be expected by readers: later
//! versions add some (a hash chain, for one). Texts longer than [`TEXT_MAX`] bytes are cut and end in `…`, so
//! that no caller decides how long a line gets; arguments appear only as digest and size.

mod approval;
mod canonical;
mod cell;
mod line;
mod log;
mod reader;
mod segment;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

pub use approval::Approval;
pub use canonical::{CanonicalFault, canonical};
pub use cell::{CellEnd, CellStart, Network, Traffic};
pub use line::TEXT_MAX;
pub use log::{LogLimits, RecordLog};
pub use reader::{Finding, Reader, tail};

use crate::folder::FolderFault;

/// What is written before a call is made, or instead of making it.
#[derive(Debug, Clone, Copy)]
pub struct Intent<'a> {
    /// The call's id; the outcome carries the same.
    pub call: &'a str,
    /// Who it is for: `local:1000`, `key:3fd1a2`.
    pub subject: &'a str,
    /// The client's address, absent for local sockets.
    pub peer: Option<&'a str>,
    /// The endpoint that was asked: `/mcp`, `/servers/git/mcp`.
    pub endpoint: &'a str,
    /// The protocol's revision as the client spoke it.
    pub revision: &'a str,
    /// The method: `tools/call`.
    pub method: &'a str,
    /// The server it goes to, absent when the name led nowhere.
    pub server: Option<&'a str>,
    /// The tool, prompt or URI, where the method has one.
    pub name: Option<&'a str>,
    /// `allow`, `deny` or `ask`.
    pub effect: &'a str,
    /// The ids of the rules that led to the effect.
    pub rules: &'a [&'a str],
    /// The arguments, where there are any.
    pub arguments: Option<Arguments>,
    /// The version of the snapshot that it was judged by.
    pub snapshot: u64,
}

/// What is recorded of a call's arguments, which may hold anything and so are never written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments {
    /// SHA-256 of their bytes as they came.
    pub sha256: [u8; 32],
    /// How many bytes they are.
    pub bytes: u64,
}

/// What is written when a call has ended.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// The call's id.
    pub call: &'a str,
    /// How it ended.
    pub result: Ending,
    /// The refusal's code, for a refused call.
    pub code: Option<&'a str>,
    /// What only the reader of the records may know of a refusal: the fault behind it, as our parts and servers tell it.
    pub detail: Option<&'a str>,
    /// The size of the answer, in bytes.
    pub bytes: u64,
    /// From intent to end, in microseconds.
    pub micros: u64,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The server answered with a result.
    Ok,
    /// The server answered with an error, or a tool's result said that it failed.
    Error,
    /// We answered with a refusal.
    Refused,
    /// Nobody waited for the answer any more.
    Abandoned,
}

impl Ending {
    /// The ending as a record spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Ok => "ok",
            Ending::Error => "error",
            Ending::Refused => "refused",
            Ending::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one address was refused in one minute, before any of it was a call.
#[derive(Debug, Clone, Copy)]
pub struct TurnedAway<'a> {
    /// An address, a network of IPv6, `unix`, or `others` when there were too many to name.
    pub from: &'a str,
    /// How many requests.
    pub count: u64,
    /// The id that the answer to the first quoted, and when it was refused, in milliseconds since 1970.
    pub first: (&'a str, u64),
    /// The same of the last.
    pub last: (&'a str, u64),
    /// What for, each with its number.
    pub reasons: &'a [&'a str],
}

/// What a judge outside of the gateway said of a call, or that it said nothing.
#[derive(Debug, Clone, Copy)]
pub struct Judgement<'a> {
    /// The call.
    pub call: &'a str,
    /// Which judge, by its name in the configuration.
    pub interceptor: &'a str,
    /// About what: `tools/call`.
    pub event: &'a str,
    /// `request` or `response`.
    pub phase: &'a str,
    /// Whether what it says counts: `active` or `audit`.
    pub mode: &'a str,
    /// `valid`, `invalid`, `unchanged`, `changed`, or `unheard`.
    pub verdict: &'a str,
    /// How bad it says that is.
    pub severity: Option<&'a str>,
    /// What it said, or why it said nothing.
    pub detail: Option<&'a str>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// What a person did to the installation.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// Who: `local:1000`.
    pub by: &'a str,
    /// What: `pin approve`.
    pub act: &'a str,
    /// To what: `git/tool:push`.
    pub object: &'a str,
    /// More about it, such as a fingerprint.
    pub detail: Option<&'a str>,
}

/// Anything that is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// Before the call.
    Intent(&'a Intent<'a>),
    /// After it.
    Outcome(&'a Outcome<'a>),
    /// A server was started.
    CellStart(&'a CellStart<'a>),
    /// A server has ended.
    CellEnd(&'a CellEnd<'a>),
    /// A person was asked, or answered.
    Approval(&'a Approval<'a>),
    /// A server tried to reach something.
    Network(&'a Network<'a>),
    /// Requests were refused before they were calls.
    TurnedAway(&'a TurnedAway<'a>),
    /// A judge outside of the gateway was asked.
    Judgement(&'a Judgement<'a>),
    /// A person did something to the installation.
    Act(&'a Act<'a>),
    /// An incomplete line was found and cut off.
    Torn {
        /// How many bytes were cut off.
        bytes: u64,
    },
}

/// Why the log cannot be opened, written or read.
#[derive(Debug, Error)]
pub enum LogFault {
    /// The folder or a file in it is missing, unreadable or open to others.
    #[error(transparent)]
    Folder(#[from] FolderFault),
    /// Another process holds the log and does not let go of it.
    #[error(
        "another process holds the records in {path} for too long; hint: look for a casemate that was stopped (`T` in `ps`)"
    )]
    Busy {
        /// The log's folder.
        path: PathBuf,
    },
    /// A record could not be written whole. Nothing of it is in the log.
    #[error("a record could not be written; hint: look whether the disk is full")]
    Write(#[source] std::io::Error),
}
