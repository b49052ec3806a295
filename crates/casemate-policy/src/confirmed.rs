//! What is confirmed to change nothing: by the configuration, or by a person who approved of the definition that says so;
//! never by a server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use casemate_mcp::names::ServerName;

use crate::pattern::{PatternFault, Selection};
use crate::request::{Resource, Thing};
use crate::uri;

/// What the configuration says of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerDef {
    /// Whether all that is not confirmed to change nothing is denied.
    pub read_only: bool,
    /// What a person has confirmed to change nothing: tools, `prompt:NAME` and `resource:URI`, with stars; what
    /// a pattern has after its slash.
    pub confirmed: Vec<String>,
}

impl ServerDef {
    /// Whether a text can stand among the confirmations.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(text: &str) -> Result<(), PatternFault> {
        match text {
            "" => Err(PatternFault::Empty { part: "tool name" }),
            text => Selection::parse(text).map(drop),
        }
    }
}

/// The confirmations of all servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Confirmed {
    written: Arc<BTreeMap<ServerName, Vec<Selection>>>,
    approved: Approved,
}

/// Tools of which a person approved as they are, and that say that they change nothing: by server and exact name.
pub type Approved = BTreeMap<ServerName, BTreeSet<Box<str>>>;

impl Confirmed {
    /// Adds one; `Err` when it cannot be read.
    pub(crate) fn add(&mut self, server: &ServerName, text: &str) -> Result<(), PatternFault> {
        ServerDef::check(text)?;
        let selection = Selection::parse(text)?;
        Arc::make_mut(&mut self.written).entry(server.clone()).or_default().push(selection);
        Ok(())
    }

    /// The same, with other approvals.
    pub(crate) fn approving(&self, approved: Approved) -> Confirmed {
        Confirmed { written: Arc::clone(&self.written), approved }
    }

    pub(crate) fn approved(&self) -> &Approved {
        &self.approved
    }

    /// Whether anything of the server is confirmed.
    pub(crate) fn any(&self, server: &ServerName) -> bool {
        self.written.contains_key(server) || self.approved.contains_key(server)
    }

    /// Whether the resource is confirmed, in each of its spellings.
    pub(crate) fn holds(&self, resource: &Resource<'_>) -> bool {
        let Some((server, thing, name)) = resource.thing() else { return false };
        if thing == Thing::Tool && self.approved.get(server).is_some_and(|tools| tools.contains(name)) {
            return true;
        }
        let Some(selections) = self.written.get(server) else { return false };
        let spelled = |name: &str| selections.iter().any(|selection| selection.has(thing, name));
        spelled(name) && (!matches!(resource, Resource::Resource(..)) || spelled(&uri::plain(name)))
    }
}
