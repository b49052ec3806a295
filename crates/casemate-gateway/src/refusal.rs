//! The one public error type: what a client is told when something is not done.
//!
//! A [`Code`] is stable and has a page in `docs/errors/`; `casemate explain CODE` prints it. The public message says
//! what, where and what to do; the private detail goes to the record and the log alone.

mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::Raw;
use serde_json::{Value, json};

use crate::snapshot::ServerEntry;

use crate::ports::CallId;

pub use wire::Wire;

/// The member of `_meta` in which denials travel.
const DENIAL: &str = "io.modelcontextprotocol/authorization";

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The caller sent something wrong.
    Caller,
    /// The upstream server failed.
    Upstream,
    /// A rule forbids it.
    Policy,
    /// We failed.
    Us,
}

/// Whether sending the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will be refused again.
    Never,
    /// After so long it may work.
    After(Duration),
    /// It may have been done: look before sending it again.
    Check,
}

/// What a client can do about a denial, in the words of the draft SEP-2643.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remediation {
    /// Something can be done, and the message says what.
    Available,
    /// Nothing can.
    Unavailable,
    /// We do not say.
    Undisclosed,
}

impl Remediation {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Remediation::Available => "available",
            Remediation::Unavailable => "unavailable",
            Remediation::Undisclosed => "undisclosed",
        }
    }
}

/// What few refusals need, kept apart so that the others stay small.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    call: Option<CallId>,
    label: &'static str,
    allow: Allow,
}

/// The HTTP methods of a path, for whoever used another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allow {
    /// The refusal is about something else.
    #[default]
    Unsaid,
    /// There is something to get.
    Get,
    /// MCP in its modern dialect.
    Post,
    /// MCP with the sessions of its legacy dialect.
    Session,
    /// A WebSocket.
    Socket,
    /// A stream of events, and what is posted to it.
    Events,
}

impl Allow {
    /// The value of an `Allow` header; `None` when there is nothing to say.
    #[must_use]
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Allow::Unsaid => None,
            Allow::Get | Allow::Socket => Some("GET"),
            Allow::Events => Some("GET, POST"),
            Allow::Post => Some("POST"),
            Allow::Session => Some("POST, GET, DELETE"),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $party:ident;)*) => {
        /// The stable code of a refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// All codes, in their order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it is printed, `CM1207`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }

            /// Whose fault it is.
            #[must_use]
            pub fn party(self) -> Party {
                match self {
                    $(Code::$name => Party::$party,)*
                }
            }
        }
    };
}

codes! {
    /// The `Host` or `Origin` header is not in the allow-list.
    ForeignOrigin = "CM1001", Caller;
    /// A header is missing, doubled or malformed.
    BadHeader = "CM1002", Caller;
    /// There is nothing at this path.
    NoEndpoint = "CM1003", Caller;
    /// The HTTP method is not used here.
    BadHttpMethod = "CM1004", Caller;
    /// Too many connections.
    TooManyConnections = "CM1005", Us;
    /// The request came in plaintext, and the gateway is reached over HTTPS.
    Plaintext = "CM1006", Caller;
    /// There was no TLS to be had with the client.
    BadHandshake = "CM1007", Caller;
    /// The request asks for no WebSocket that could be opened.
    NoWebSocket = "CM1008", Caller;
    /// No credential came with the request.
    NoCredential = "CM1101", Caller;
    /// The credential is unknown, expired or revoked.
    BadCredential = "CM1102", Caller;
    /// Too many credentials from this address were not accepted.
    TooManyAttempts = "CM1104", Caller;
    /// The subject has too many calls in flight or sessions open.
    TooManyCalls = "CM1201", Policy;
    /// Too often within a short time.
    TooOften = "CM1202", Caller;
    /// All that may be used in a day is used.
    BudgetSpent = "CM1203", Caller;
    /// The body is larger than allowed.
    BodyTooLarge = "CM1301", Caller;
    /// The body took too long to arrive or broke off.
    BodyTooSlow = "CM1302", Caller;
    /// The body is no JSON that we accept.
    BadJson = "CM1303", Caller;
    /// The JSON is no message of the protocol.
    BadMessage = "CM1304", Caller;
    /// The protocol revision is unknown.
    UnknownRevision = "CM1305", Caller;
    /// A header and the body say different things.
    HeaderMismatch = "CM1306", Caller;
    /// The session is unknown or ended.
    NoSession = "CM1307", Caller;
    /// The `requestState` is none that we gave, or was changed.
    BadState = "CM1308", Caller;
    /// The `requestState` was given for another call.
    ForeignState = "CM1309", Caller;
    /// No such tool, prompt, resource or method: also the answer for what the subject may not see.
    Unknown = "CM1401", Caller;
    /// The params of the request are wrong.
    BadParams = "CM1402", Caller;
    /// The result that a link leads to is kept no longer.
    ResultGone = "CM1403", Caller;
    /// The arguments do not fit the tool's schema.
    BadArguments = "CM1501", Caller;
    /// The tool's schema cannot be used.
    BadSchema = "CM1502", Upstream;
    /// The arguments hold something that a rule keeps from passing.
    ArgumentsBlocked = "CM1503", Policy;
    /// The definition of what is called holds something that a rule keeps from passing.
    DefinitionBlocked = "CM1504", Upstream;
    /// The definition is new, or another than was approved, and waits for a person.
    Unapproved = "CM1505", Policy;
    /// The server or tool is in quarantine.
    Quarantined = "CM1506", Policy;
    /// The name of what is called stands for something else, or its server says that it is another.
    NameRefused = "CM1507", Upstream;
    /// An argument is not what a guard demands.
    Guarded = "CM1508", Policy;
    /// The definition is not in the lock file that the gateway is held to.
    Unlocked = "CM1509", Policy;
    /// A judge outside said no.
    Intercepted = "CM1510", Policy;
    /// A judge outside could not be heard, or changed something into what does not pass.
    Unjudged = "CM1511", Us;
    /// A rule forbids it.
    Denied = "CM1601", Policy;
    /// A person has to approve of it first.
    NeedsApproval = "CM1602", Policy;
    /// The token does not have the scope for it.
    InsufficientScope = "CM1603", Policy;
    /// A person was asked and did not approve.
    NotApproved = "CM1604", Policy;
    /// The subject, or the whole gateway, is in quarantine.
    SubjectQuarantined = "CM1606", Policy;
    /// Nothing may go out of a conversation in which private data and untrusted text have both been seen.
    FlowDenied = "CM1607", Policy;
    /// The server does not run and could not be started, or cannot be reached.
    ServerDown = "CM1701", Upstream;
    /// The server did not answer in time.
    Timeout = "CM1702", Upstream;
    /// The server's answer is larger than allowed.
    AnswerTooLarge = "CM1703", Upstream;
    /// The server failed too often and is left alone for a while.
    CircuitOpen = "CM1704", Upstream;
    /// The server does not keep to the protocol.
    BadAnswer = "CM1705", Upstream;
    /// The server went away while it worked on the call.
    CallLost = "CM1706", Upstream;
    /// The server asked something in mid-call that this client cannot be asked.
    CannotAsk = "CM1707", Upstream;
    /// The client gave the call up.
    Canceled = "CM1708", Caller;
    /// The server used more than it may and was ended.
    OverLimit = "CM1709", Upstream;
    /// The server's entry names a secret that there is not.
    NeedsSecret = "CM1710", Us;
    /// The server wants a login that a person has to make.
    NeedsLogin = "CM1711", Caller;
    /// The call that the `requestState` was given for waits no longer.
    NotWaiting = "CM1712", Caller;
    /// The call that the `requestState` was given for was resumed already.
    Resumed = "CM1713", Caller;
    /// There are too many questions: the server asks on and on, or too many calls wait for answers.
    TooManyQuestions = "CM1714", Upstream;
    /// The answer holds something that a rule keeps from passing.
    AnswerBlocked = "CM1801", Upstream;
    /// The result is not what the tool's output schema says.
    BadStructure = "CM1802", Upstream;
    /// The result lacks what the tool's output schema promises.
    NoStructure = "CM1803", Upstream;
    /// Something failed inside the gateway.
    Internal = "CM1901", Us;
    /// The gateway is stopping.
    Stopping = "CM1902", Us;
    /// The call could not be recorded, so it was not made.
    NotRecorded = "CM1903", Us;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something was not done.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What the caller may read.
    pub message: String,
    /// What only the record and the log hold.
    pub detail: Option<Box<str>>,
    /// Whether sending it again can help.
    pub retry: Retry,
    /// A JSON-RPC error that the protocol prescribes for this case and that is sent instead of the one which
    /// belongs to the code.
    pub prescribed: Option<Box<ErrorObject>>,
    /// Present where the client is told that it was not allowed, and not that there is nothing.
    pub denial: Option<Remediation>,
    /// The login that is missing, when that is it.
    pub login: Option<Box<LoginWanted>>,
    /// What the log and the records know it by, and what the answer says besides.
    pub(crate) note: Option<Box<Note>>,
    /// The question that it waits for, by the name that an operator knows.
    pub approval: Option<Box<str>>,
    /// The scopes that a token needs for it.
    pub scopes: Box<[String]>,
}

/// A login that a call failed for.
#[derive(Debug, Clone)]
pub struct LoginWanted {
    /// The server that wants it.
    pub entry: Arc<ServerEntry>,
    /// A question that is sent instead of the refusal, as the result that the modern dialect has for it.
    pub question: Option<Raw>,
}

impl Refusal {
    /// A refusal that would be the same if the call were sent again.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal {
            code,
            message: message.into(),
            detail: None,
            retry: Retry::Never,
            prescribed: None,
            denial: None,
            login: None,
            note: None,
            approval: None,
            scopes: Box::default(),
        }
    }

    /// Adds what only the record and the log may hold.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string().into());
        self
    }

    /// The id that the log and the records have it under, for the caller to quote.
    #[must_use]
    pub fn call(&self) -> Option<CallId> {
        self.note.as_ref()?.call
    }

    /// More precisely than the code, for the records: a word or two that no caller chose.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.note.as_ref().map_or("", |note| note.label)
    }

    /// The HTTP methods that would be right.
    #[must_use]
    pub fn allow(&self) -> Allow {
        self.note.as_ref().map_or(Allow::Unsaid, |note| note.allow)
    }

    fn note(&mut self) -> &mut Note {
        self.note.get_or_insert_default()
    }

    /// Names it; the first name stays.
    #[must_use]
    pub fn under(mut self, call: CallId) -> Self {
        self.note().call.get_or_insert(call);
        self
    }

    /// Says more precisely what it is, for the records.
    #[must_use]
    pub fn labelled(mut self, label: &'static str) -> Self {
        self.note().label = label;
        self
    }

    /// Says which HTTP methods would be right.
    #[must_use]
    pub fn allowing(mut self, methods: Allow) -> Self {
        self.note().allow = methods;
        self
    }

    /// The refusal of what needs a token with more scopes; these are all that it needs.
    #[must_use]
    pub fn insufficient(scopes: Vec<String>) -> Self {
        let message = "The token does not have the scope for this: ask its issuer for one that does.";
        Refusal { scopes: scopes.into(), ..Refusal::new(Code::InsufficientScope, message) }
    }

    /// Says whether sending it again can help.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Says in a form for programs that this is a denial. Only for what the subject may see.
    #[must_use]
    pub fn denying(mut self, remediation: Remediation) -> Self {
        self.denial = Some(remediation);
        self
    }

    /// The member of `_meta` that says so, in the form of the draft SEP-2643. The handle that a client may send back
    /// with its retry is the name of the question: it says which one, and opens nothing.
    #[must_use]
    pub fn denial_meta(&self) -> Option<Value> {
        let remediation = match self.code {
            Code::NeedsApproval | Code::InsufficientScope => Remediation::Available,
            Code::NotApproved => Remediation::Unavailable,
            _ => self.denial?,
        };
        let mut denial =
            json!({ "reason": "insufficient_authorization", "remediation": remediation.as_str() });
        if let (Some(question), Some(members)) = (&self.approval, denial.as_object_mut()) {
            members.insert("authorizationContextId".to_owned(), Value::from(&**question));
        }
        Some(json!({ DENIAL: denial }))
    }

    /// Says that a login at this server is what is missing.
    #[must_use]
    pub fn for_login(mut self, entry: &Arc<ServerEntry>) -> Self {
        self.login = Some(Box::new(LoginWanted { entry: Arc::clone(entry), question: None }));
        self
    }

    /// Sends the JSON-RPC error that the protocol prescribes.
    #[must_use]
    pub fn prescribed(mut self, error: ErrorObject) -> Self {
        self.prescribed = Some(Box::new(error));
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
