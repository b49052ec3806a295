//! What may be asked for: an action on a resource.

use std::net::IpAddr;

use casemate_mcp::json::{Members, Raw};
use casemate_mcp::names::ServerName;

/// What a subject wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See that something exists: a server, or one of its tools, prompts and resources.
    List,
    /// Call a tool.
    Call,
    /// Read a resource.
    Read,
    /// Get a prompt.
    Get,
    /// Ask for completions of an argument of a prompt or a resource template.
    Complete,
    /// Be told when a resource changes.
    Subscribe,
    /// Look at how something is administered, without changing it: status, logs, settings, records.
    View,
    /// Change how something is administered: start, stop, enable, create, revoke.
    Administer,
}

impl Action {
    /// Every action, in the order of the golden matrix.
    pub const ALL: [Action; 8] = [
        Action::List,
        Action::Call,
        Action::Read,
        Action::Get,
        Action::Complete,
        Action::Subscribe,
        Action::View,
        Action::Administer,
    ];

    /// The action's name in lower case, as rule ids and records spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Call => "call",
            Action::Read => "read",
            Action::Get => "get",
            Action::Complete => "complete",
            Action::Subscribe => "subscribe",
            Action::View => "view",
            Action::Administer => "administer",
        }
    }
}

/// What it is to be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource<'a> {
    /// An upstream server as a whole.
    Server(&'a ServerName),
    /// A tool, under the name that its server gives it.
    Tool(&'a ServerName, &'a str),
    /// A prompt, under the name that its server gives it.
    Prompt(&'a ServerName, &'a str),
    /// A resource or resource template, under the URI that its server gives it.
    Resource(&'a ServerName, &'a str),
    /// The gateway itself: its configuration, its life and its figures.
    Gateway,
    /// The API keys of the installation.
    Keys,
    /// The log of what was done.
    Records,
}

/// What is known of a call besides who makes it and what it is for. Policies may look at it, roles do not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The address that it came from; `None` for a local socket.
    pub address: Option<IpAddr>,
    /// What is given to the tool.
    pub arguments: Arguments<'a>,
    /// What the server declares of the tool; a claim, and nothing that it is trusted for.
    pub tool: Option<ToolFacts<'a>>,
}

/// The arguments of a call.
#[derive(Debug, Clone, Copy, Default)]
pub enum Arguments<'a> {
    /// There are none.
    #[default]
    None,
    /// These.
    Given(&'a Members),
    /// Nobody knows them any more: a record keeps their digest only. A policy that looks at them denies.
    Unknown,
}

/// What a server declares of a tool.
#[derive(Debug, Clone, Copy)]
pub struct ToolFacts<'a> {
    /// Its `inputSchema`.
    pub input_schema: Option<&'a Raw>,
    /// Its `annotations`.
    pub annotations: Option<&'a Raw>,
}

/// One request to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What is to be done.
    pub action: Action,
    /// What it is to be done to.
    pub resource: Resource<'a>,
    /// The circumstances.
    pub context: Context<'a>,
}

impl<'a> Request<'a> {
    /// A request of which no circumstances are known.
    #[must_use]
    pub fn new(action: Action, resource: Resource<'a>) -> Self {
        Request { action, resource, context: Context::default() }
    }

    /// The same request under these circumstances.
    #[must_use]
    pub fn under(self, context: Context<'a>) -> Self {
        Request { context, ..self }
    }
}

impl Action {
    /// What servers are used by. Whoever may do one of these to a thing may see it.
    pub const USES: [Action; 5] =
        [Action::Call, Action::Read, Action::Get, Action::Complete, Action::Subscribe];

    /// The action of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Action::ALL.into_iter().find(|own| own.as_str() == name)
    }

    pub(crate) fn is_use(self) -> bool {
        self.bit() & USE_BITS != 0
    }

    pub(crate) fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// All actions by which servers are used, as bits.
pub(crate) const USE_BITS: u8 = (1 << Action::Call as u8)
    | (1 << Action::Read as u8)
    | (1 << Action::Get as u8)
    | (1 << Action::Complete as u8)
    | (1 << Action::Subscribe as u8);

/// What servers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    Tool,
    Prompt,
    Resource,
}

impl Thing {
    /// The entity type of policies.
    pub(crate) fn entity(self) -> &'static str {
        match self {
            Thing::Tool => "Tool",
            Thing::Prompt => "Prompt",
            Thing::Resource => "Resource",
        }
    }
}

/// What is administered, by the names of the entities of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Servers,
    Gateway,
    Keys,
    Records,
}

impl Place {
    pub(crate) const ALL: [Place; 4] = [Place::Servers, Place::Gateway, Place::Keys, Place::Records];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Place::Servers => "servers",
            Place::Gateway => "gateway",
            Place::Keys => "keys",
            Place::Records => "records",
        }
    }
}

impl<'a> Resource<'a> {
    /// What it is when servers offer it.
    pub(crate) fn thing(self) -> Option<(&'a ServerName, Thing, &'a str)> {
        match self {
            Resource::Tool(server, name) => Some((server, Thing::Tool, name)),
            Resource::Prompt(server, name) => Some((server, Thing::Prompt, name)),
            Resource::Resource(server, uri) => Some((server, Thing::Resource, uri)),
            Resource::Server(_) | Resource::Gateway | Resource::Keys | Resource::Records => None,
        }
    }

    /// The actions that make sense for it. The pairs that make none (to call a prompt, to read a key) are denied
    /// before any policy is asked, so that no rule can ever allow them by accident.
    pub(crate) fn uses(self) -> &'static [Action] {
        match self {
            Resource::Tool(..) => &[Action::Call],
            Resource::Prompt(..) => &[Action::Get, Action::Complete],
            Resource::Resource(..) => &[Action::Read, Action::Subscribe, Action::Complete],
            Resource::Server(_) | Resource::Gateway | Resource::Keys | Resource::Records => {
                &[Action::View, Action::Administer]
            }
        }
    }
}
