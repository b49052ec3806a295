//! What may be asked for: an action on a resource.

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

/// A request that makes sense. The pairs of action and resource that make none (to call a prompt, to read a
/// key) have no form here, so that no rule can ever allow them by accident.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question<'a> {
    /// May the subject know that the server is there?
    See(&'a ServerName),
    /// May the subject use the thing of that name?
    Use(&'a ServerName, Thing, &'a str),
    /// May the subject view or administer the place?
    Govern(Action, Place),
}

/// What servers offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    Tool,
    Prompt,
    /// A resource, by its URI as it came.
    Resource,
    /// A resource, by the plain spelling of its URI.
    PlainResource,
}

/// What is administered. Administration is granted by kind, never by name: only built-in roles hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Servers,
    Gateway,
    Keys,
    Records,
}

impl Place {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Place::Servers => "servers",
            Place::Gateway => "gateway",
            Place::Keys => "keys",
            Place::Records => "records",
        }
    }
}

impl<'a> Question<'a> {
    /// The request as a question that rules can answer. To list a thing and to use it are one question, which
    /// is why a listed tool can be called and a tool that can be called is listed.
    pub(crate) fn of(action: Action, resource: Resource<'a>) -> Option<Self> {
        use Action::{Administer, Call, Complete, Get, List, Read, Subscribe, View};
        match (action, resource) {
            (List, Resource::Server(server)) => Some(Question::See(server)),
            (List | Call, Resource::Tool(server, name)) => Some(Question::Use(server, Thing::Tool, name)),
            (List | Get | Complete, Resource::Prompt(server, name)) => {
                Some(Question::Use(server, Thing::Prompt, name))
            }
            (List | Read | Subscribe | Complete, Resource::Resource(server, uri)) => {
                Some(Question::Use(server, Thing::Resource, uri))
            }
            (View | Administer, Resource::Server(_)) => Some(Question::Govern(action, Place::Servers)),
            (View | Administer, Resource::Gateway) => Some(Question::Govern(action, Place::Gateway)),
            (View | Administer, Resource::Keys) => Some(Question::Govern(action, Place::Keys)),
            (View | Administer, Resource::Records) => Some(Question::Govern(action, Place::Records)),
            _ => None,
        }
    }
}
