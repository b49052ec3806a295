//! Judges outside of the gateway: what each is asked about, how long it may take, and what counts when it says nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::json::Raw;
use casemate_mcp::names::ServerName;
use http::{HeaderMap, Uri};

use super::Missing;
use crate::catalog::fits;

/// All judges that are asked, in the order in which they are.
#[derive(Debug, Clone, Default)]
pub struct Interceptors {
    ordered: Vec<Arc<Interceptor>>,
    servers: BTreeSet<ServerName>,
}

impl Interceptors {
    /// Those that change come before those that only judge, so that what passes on is what was judged; then by
    /// [`Interceptor::order`], then by name.
    #[must_use]
    pub fn new(mut all: Vec<Interceptor>) -> Interceptors {
        all.sort_by(|one, other| {
            (one.kind, one.order, &one.name).cmp(&(other.kind, other.order, &other.name))
        });
        let servers = all.iter().filter_map(|interceptor| match &interceptor.way {
            Way::Server { server, .. } => Some(server.clone()),
            Way::Http(_) => None,
        });
        Interceptors { servers: servers.collect(), ordered: all.into_iter().map(Arc::new).collect() }
    }

    /// Whether nobody is asked about anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Interceptor>> {
        self.ordered.iter()
    }

    /// Whether a server is there to judge: then no client sees it.
    #[must_use]
    pub fn has_server(&self, server: &ServerName) -> bool {
        self.servers.contains(server)
    }

    /// Those that are asked about this.
    #[must_use]
    pub fn about(&self, matter: &Matter<'_>) -> Vec<Arc<Interceptor>> {
        self.ordered.iter().filter(|interceptor| interceptor.concerns(matter)).cloned().collect()
    }
}

/// What passes through.
#[derive(Debug, Clone, Copy)]
pub struct Matter<'a> {
    /// What happens.
    pub event: Event,
    /// On the way there, or back.
    pub phase: Phase,
    /// The server that it concerns.
    pub server: &'a ServerName,
    /// The tool, where one is known.
    pub tool: Option<&'a str>,
}

/// One judge outside of the gateway.
#[derive(Debug, Clone)]
pub struct Interceptor {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// What it may do.
    pub kind: InterceptorKind,
    /// How it is asked.
    pub way: Way,
    /// What it is asked about.
    pub events: BTreeSet<Event>,
    /// On which way.
    pub phases: BTreeSet<Phase>,
    /// About which servers; about all when absent.
    pub servers: Option<BTreeSet<ServerName>>,
    /// About which tools, by patterns over their servers' own names for them; about all when absent.
    pub tools: Option<Vec<String>>,
    /// How long it may take. The start of its server counts apart.
    pub time_max: Duration,
    /// Whether what it says counts.
    pub mode: Mode,
    /// What counts when it says nothing, or nothing that can be understood.
    pub unheard: Unheard,
    /// Lower ones are asked first.
    pub order: u64,
    /// The largest payload that it is sent, and the largest answer that it may give, in bytes.
    pub bytes_max: usize,
    /// What it sees of results.
    pub sight: Sight,
    /// What it is told besides, at each question.
    pub config: Option<Raw>,
}

impl Interceptor {
    fn concerns(&self, matter: &Matter<'_>) -> bool {
        let is_tool =
            |tool: &str| self.tools.as_ref().is_none_or(|all| all.iter().any(|one| fits(one, tool)));
        self.events.contains(&matter.event)
            && self.phases.contains(&matter.phase)
            && self.servers.as_ref().is_none_or(|servers| servers.contains(matter.server))
            // What cannot be named could be any of them.
            && matter.tool.is_none_or(is_tool)
    }
}

/// What a judge may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterceptorKind {
    /// Change what passes, and nothing else.
    Mutator,
    /// Say yes or no, and nothing else.
    Validator,
}

impl InterceptorKind {
    /// The word of the draft SEP-2624.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            InterceptorKind::Mutator => "mutation",
            InterceptorKind::Validator => "validation",
        }
    }
}

/// How a judge is asked.
#[derive(Debug, Clone)]
pub enum Way {
    /// By a post to an address.
    Http(Box<HttpJudge>),
    /// As a server of the configuration.
    Server {
        /// Which.
        server: ServerName,
        /// What it calls this judge.
        interceptor: Box<str>,
    },
}

/// A judge that is asked by a post.
#[derive(Debug, Clone)]
pub struct HttpJudge {
    /// Where.
    pub url: Uri,
    /// What is sent with each question. The values are secrets, and marked as such.
    pub headers: HeaderMap,
    /// Whether addresses of a private network may be reached.
    pub network: JudgeNetwork,
    /// A secret that there is not, without which nobody is asked.
    pub missing: Option<Missing>,
}

/// Which addresses a judge may have, besides this machine where its address says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JudgeNetwork {
    /// Public ones.
    Public,
    /// Those of private networks as well.
    Private,
}

/// What can happen that a judge is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A tool is called.
    ToolsCall,
    /// A prompt is fetched.
    PromptsGet,
    /// A resource is read.
    ResourcesRead,
    /// A server asks the client's model.
    Sampling,
    /// A server asks the person.
    Elicitation,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 5] =
        [Event::ToolsCall, Event::PromptsGet, Event::ResourcesRead, Event::Sampling, Event::Elicitation];

    /// The method that it is named after.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Event::ToolsCall => "tools/call",
            Event::PromptsGet => "prompts/get",
            Event::ResourcesRead => "resources/read",
            Event::Sampling => "sampling/createMessage",
            Event::Elicitation => "elicitation/create",
        }
    }

    /// The event of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Event> {
        Event::ALL.into_iter().find(|event| event.as_str() == name)
    }
}

/// On which way something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// To who is asked.
    Request,
    /// Back to who asked.
    Response,
}

impl Phase {
    /// The word of the draft SEP-2624.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Request => "request",
            Phase::Response => "response",
        }
    }
}

/// Whether what a judge says counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Active,
    /// It is written down. Nobody waits for it.
    Audit,
}

/// What counts when a judge says nothing that can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// No.
    Closed,
    /// Yes.
    Open,
}

/// What a judge sees of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What the client would see: hidden text removed, secrets masked.
    Cleared,
    /// What the server sent, secrets included.
    Everything,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, kind: InterceptorKind, order: u64) -> Interceptor {
        Interceptor {
            name: name.into(),
            kind,
            way: Way::Server { server: ServerName::parse("judge").unwrap(), interceptor: name.into() },
            events: [Event::ToolsCall].into(),
            phases: [Phase::Request].into(),
            servers: Some([ServerName::parse("files").unwrap()].into()),
            tools: Some(vec!["write_*".into()]),
            time_max: Duration::from_secs(1),
            mode: Mode::Active,
            unheard: Unheard::Closed,
            order,
            bytes_max: 1000,
            sight: Sight::Cleared,
            config: None,
        }
    }

    #[test]
    fn who_changes_comes_first_and_then_the_lower_order() {
        let (mutator, validator) = (InterceptorKind::Mutator, InterceptorKind::Validator);
        let all = Interceptors::new(vec![
            one("b", validator, 1),
            one("a", validator, 1),
            one("first", validator, 0),
            one("late", mutator, 9),
            one("early", mutator, 2),
        ]);
        let names: Vec<&str> = all.iter().map(|one| &*one.name).collect();
        assert_eq!(names, ["early", "late", "first", "a", "b"]);
        assert!(all.has_server(&ServerName::parse("judge").unwrap()));
    }

    #[test]
    fn a_judge_is_asked_about_what_its_entry_names_and_about_what_could_be_that() {
        let all = Interceptors::new(vec![one("a", InterceptorKind::Validator, 0)]);
        let (files, mail) = (ServerName::parse("files").unwrap(), ServerName::parse("mail").unwrap());
        let asked =
            |event, phase, server, tool| !all.about(&Matter { event, phase, server, tool }).is_empty();
        assert!(asked(Event::ToolsCall, Phase::Request, &files, Some("write_file")));
        assert!(asked(Event::ToolsCall, Phase::Request, &files, None));
        assert!(!asked(Event::ToolsCall, Phase::Request, &files, Some("read_file")));
        assert!(!asked(Event::ToolsCall, Phase::Request, &mail, Some("write_file")));
        assert!(!asked(Event::ToolsCall, Phase::Response, &files, Some("write_file")));
        assert!(!asked(Event::PromptsGet, Phase::Request, &files, None));
    }
}
