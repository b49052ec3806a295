//! What crosses the room's border: who calls, what a server said it is, and what happens while a call runs.

use std::time::Duration;

use casemate_mcp::call::Notice;
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_mcp::question::Need;
use casemate_mcp::revision::Revision;
use casemate_policy::SubjectId;
use tokio::sync::oneshot;

/// Who a call is made for, and how.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For whom: instances are not shared between subjects unless the entry says so.
    pub subject: SubjectId,
    /// What the client can do for a server. Offered upstream, unless the instance is shared: then nothing is.
    pub capabilities: Members,
    /// Replaces the entry's `timeouts.call`.
    pub timeout: Option<Duration>,
    /// The call may be sent twice: a person confirmed that the tool reads only or is idempotent. Requests that
    /// only read by their nature (lists, reads, prompts, completion) are replayed without it.
    pub replay_safe: bool,
    /// `Mcp-Param-*` headers (full name, plain value) for modern HTTP servers; others do not get them.
    pub param_headers: Vec<(String, String)>,
}

/// What a server said it is and can do.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The revision that is spoken with it.
    pub revision: Revision,
    /// What it can do: an object.
    pub capabilities: Members,
    /// What it says it is. Unverified: never decide by it.
    pub server_info: Option<Raw>,
    /// How it wants to be used, as it wrote it.
    pub instructions: Option<Raw>,
    /// The whole result of `initialize` or `server/discover`.
    pub raw: Raw,
}

/// What happens while a call runs.
#[derive(Debug)]
pub enum Event {
    /// Progress or a log message of this call. `progressToken` is as we sent it: the caller replaces it.
    Notice(Notice),
    /// The server asks something. A dropped `answer` is answered with an error.
    Question {
        /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
        method: Method,
        /// Its params.
        params: Option<Members>,
        /// Takes the client's answer.
        answer: oneshot::Sender<Result<Raw, ErrorObject>>,
    },
    /// The server asked something that it was not offered, and was told so.
    Unoffered(Need),
}

/// What a server tells outside of any call: its lists or a watched resource changed.
#[derive(Debug, Clone)]
pub struct ServerNotice {
    /// Which server.
    pub server: ServerName,
    /// Whom it concerns; everyone when the instance is shared.
    pub subject: Option<SubjectId>,
    /// `notifications/*/list_changed`, `notifications/resources/updated` and the like. After a restart or a lost
    /// session the list changes are told by us, since nobody knows what changed meanwhile.
    pub notice: Notice,
}
