//! What may flow within a conversation, as a person wrote it down.

use std::collections::BTreeMap;
use std::time::Duration;

use casemate_mcp::names::ServerName;
use casemate_policy::{Answerer, Labels};

/// What happens to a call that goes out once private data and untrusted text have both been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: flows are not followed.
    Pass,
    /// A person has to approve of exactly this call.
    Ask(Answerer),
    /// It is refused.
    Deny,
}

/// What counts as one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// A session or connection; where there is none, all that the subject asks.
    Session,
    /// All that the subject asks, through whatever it asks.
    Subject,
}

/// The labels of one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerLabels {
    /// Those of everything that it offers.
    pub own: Labels,
    /// Those of single tools, in place of its own, by its own names for them.
    pub tools: BTreeMap<Box<str>, Labels>,
}

/// What is followed, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flows {
    /// What happens. Default: an operator is asked.
    pub verdict: Verdict,
    /// What counts as one conversation. Default: a session.
    pub follow: Follow,
    /// How long what was seen counts. Default 1 h.
    pub window: Duration,
    /// The servers with labels.
    pub servers: BTreeMap<ServerName, ServerLabels>,
}

impl Default for Flows {
    fn default() -> Self {
        Flows {
            verdict: Verdict::Ask(Answerer::Operator),
            follow: Follow::Session,
            window: Duration::from_secs(3600),
            servers: BTreeMap::new(),
        }
    }
}

impl Flows {
    /// The labels of a tool, or of what else a server is asked for. Nothing has any that nobody gave some.
    #[must_use]
    pub fn labels(&self, server: &ServerName, tool: Option<&str>) -> Labels {
        if self.servers.is_empty() {
            return Labels::NONE;
        }
        let Some(labels) = self.servers.get(server) else { return Labels::NONE };
        tool.and_then(|tool| labels.tools.get(tool)).copied().unwrap_or(labels.own)
    }
}
