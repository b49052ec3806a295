//! Sessions, and questions to people.

use serde::{Deserialize, Serialize};

/// Which sessions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The one of this number.
    Session(String),
    /// All of this subject.
    Subject(String),
}

/// How many sessions were ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The number.
    pub ended: usize,
}

/// An open session of a client. What opens it is not shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// Its number.
    pub id: String,
    /// Whose it is.
    pub subject: String,
    /// Where it was opened.
    pub endpoint: String,
    /// Over what the client speaks: `http`, `websocket`, `sse`.
    #[serde(default)]
    pub over: String,
    /// What the client says it is, and in which version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The protocol revision that was agreed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it was opened, in seconds since 1970.
    pub opened: u64,
    /// When it was last used.
    pub used: u64,
    /// When it ends for good.
    pub ends: u64,
    /// Calls that are worked on.
    pub in_flight: usize,
}

/// A question to a person, or what a person approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalState {
    /// By what it is named.
    pub id: String,
    /// `open`, `once`, `session`, `always` or `denied`.
    pub standing: String,
    /// Who would make the call.
    pub subject: String,
    /// At which server.
    pub server: String,
    /// What.
    pub method: String,
    /// Which tool, prompt or resource.
    pub name: String,
    /// The whole arguments, as JSON text in which everything hidden is visible and secrets are masked.
    pub arguments: String,
    /// SHA-256 of the call, in hexadecimal: the same for the same arguments.
    pub digest: String,
    /// Who may answer: `subject` or `operator`.
    pub answerer: String,
    /// The rules that asked.
    pub rules: Vec<String>,
    /// When it was asked, in seconds since 1970.
    pub asked: u64,
    /// When it is over; absent for what is approved for always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}
