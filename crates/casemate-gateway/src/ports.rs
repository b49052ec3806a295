//! What the gateway needs from outside and does not know how to do itself. The program wires these.

mod results;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::json::Raw;
use casemate_mcp::names::ServerName;
use casemate_policy::{Approved, Subject, SubjectId};

use crate::approvals;
use crate::endpoint::Endpoint;
use crate::front::PublicUrl;
use crate::quarantine;
use crate::snapshot::{Approval, HttpJudge};
use crate::upstream::Soon;

pub use results::{KeptResult, NotKept, NotThere, ResultId, ResultPart, Results};

/// Tells who a credential belongs to. The program swaps whole tables behind it when keys are made or revoked.
///
/// Every way of proving who one is ends here, and the body of a request is not read before it did.
pub trait Identities: Send + Sync + Debug {
    /// The subject that a bearer credential stands for: an API key, or a token of a configured issuer.
    ///
    /// # Errors
    /// [`Rejection`].
    fn bearer(&self, presented: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection>;

    /// Waits for what can make a credential good that was [`Rejection::Unsettled`]: the newest keys of its issuer, for a
    /// few seconds at most. Then the credential is judged once more, and no third time.
    fn settled<'a>(&'a self, presented: &'a str) -> Settling<'a> {
        let _ = presented;
        Box::pin(std::future::ready(()))
    }

    /// The subject that a client's certificate stands for. The transport has verified it: its chain, its dates, and that
    /// the client has the private key. `der` is the certificate itself.
    ///
    /// # Errors
    /// A private reason: no entry of the configuration speaks of it.
    fn certificate(&self, der: &[u8], now_unix_s: u64) -> Result<Arc<Subject>, String> {
        let _ = (der, now_unix_s);
        Err("certificates of clients are of no use here".to_owned())
    }

    /// The subject of that id as it is now; `None` when its credential was withdrawn or has expired. For what lasts
    /// longer than a request: streams and sessions.
    fn current(&self, id: &SubjectId, now_unix_s: u64) -> Option<Arc<Subject>>;

    /// The subject that a local user stands for, by the uid that the kernel reports; `None` for strangers.
    fn local(&self, uid: u32) -> Option<Arc<Subject>>;
}

/// Ends when there is nothing more to wait for.
pub type Settling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// For what, and when, a credential is presented.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The endpoint that is called.
    pub endpoint: &'a Endpoint,
    /// Where the gateway is reached, if that is known: the audience of tokens begins with it.
    pub base: Option<&'a PublicUrl>,
    /// The time, in seconds since 1970.
    pub now_unix_s: u64,
}

/// Why a credential is not accepted. The caller is told one and the same thing about the first two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It is not, for this private reason.
    Refused(String),
    /// It is not as things stand, and may be after [`Identities::settled`].
    Unsettled(String),
    /// It is good, and lacks scopes; these are all that are needed.
    Scopes(Vec<String>),
}

/// Knows which definitions were approved, and remembers what servers declare for a person to look at.
pub trait Pins: Send + Sync + Debug {
    /// Where each definition stands that a server declares now, in the order given. What is new and what has changed is
    /// remembered; nothing that has changed is ever approved by this.
    fn judge(&self, server: &ServerName, approval: Approval, declared: &[Declared<'_>]) -> Vec<Standing>;

    /// What a server listed the last time, from before it was started: as [`Pins::remember`] was given it.
    fn remembered(&self, server: &ServerName) -> Option<Bytes> {
        let _ = server;
        None
    }

    /// Keeps what a server lists over restarts. Does not wait: soon is soon enough.
    fn remember(&self, server: &ServerName, listed: Bytes) {
        let _ = (server, listed);
    }

    /// The tools of which a person approved and whose approved definitions say that they change nothing. That somebody
    /// was the first to use a tool is no approval of a person.
    fn confirmed(&self) -> Approved {
        Approved::new()
    }
}

/// A definition that a server declares now.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// What it defines.
    pub kind: Pinned,
    /// The server's own name or URI for it; empty for instructions.
    pub name: &'a str,
    /// The definition as it came.
    pub definition: &'a Raw,
}

/// What is pinned. A resource is none of it: there may be millions, and they come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pinned {
    /// What a server says of itself, which goes to the model as it is.
    Instructions,
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
}

/// Where a definition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what was approved.
    Approved,
    /// It was never approved.
    New,
    /// Another definition of that name was approved.
    Changed,
    /// The gateway is held to a lock file, and it is not in it.
    Unlocked,
}

/// Writes down what is about to be done and how it ended.
pub trait Recorder: Send + Sync + Debug {
    /// Written before anything is sent to a server. When this fails the call is not made.
    ///
    /// # Errors
    /// A private reason.
    fn intent(&self, intent: &Intent<'_>) -> Result<(), String>;

    /// Written when a person was asked, and before what they answered counts.
    ///
    /// # Errors
    /// A private reason; the answer does not count then.
    fn approval(&self, event: &ApprovalEvent<'_>) -> Result<(), String>;

    /// Written when the call has ended, in whatever way. A failure is for the recorder to raise an alarm about.
    fn outcome(&self, outcome: &Outcome<'_>);

    /// Written for what was refused before it was a call: a line for each address and minute. A failure is for the
    /// recorder to raise an alarm about.
    fn turned_away(&self, away: &TurnedAway<'_>);

    /// Written for what a judge outside said of a call. A failure is for the recorder to raise an alarm about.
    fn judged(&self, judgement: &Judgement<'_>) {
        let _ = judgement;
    }
}

/// What a judge outside of the gateway said, or that it said nothing.
#[derive(Debug, Clone)]
pub struct Judgement<'a> {
    /// The call that it was asked about.
    pub call: CallId,
    /// Which judge, by its name in the configuration.
    pub interceptor: &'a str,
    /// About what.
    pub event: &'a str,
    /// `request` or `response`.
    pub phase: &'a str,
    /// Whether what it says counts: `active` or `audit`.
    pub mode: &'a str,
    /// `valid`, `invalid`, `unchanged`, `changed`, or `unheard`.
    pub verdict: &'a str,
    /// How bad it says that is: `info`, `warn`, `error`; empty when it does not.
    pub severity: &'a str,
    /// What it said, or why it said nothing.
    pub detail: &'a str,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// Asks judges that are reached over HTTP. What is asked may be asked twice.
pub trait Judges: Send + Sync + Debug {
    /// Posts a question, and gives the body of an answer of success, of at most so many bytes. The caller bounds the time.
    ///
    /// # Errors
    /// Why there is no answer, without secrets; for the record.
    fn ask<'a>(
        &'a self,
        judge: &'a HttpJudge,
        question: Bytes,
        bytes_max: usize,
    ) -> Soon<'a, Result<Bytes, String>>;
}

/// What one address was refused in one minute, before any of it was a call.
#[derive(Debug, Clone)]
pub struct TurnedAway<'a> {
    /// An address, a network of IPv6 (`2001:db8::/64`), `unix`, or `others` when there were too many to name.
    pub from: &'a str,
    /// How many requests.
    pub count: u64,
    /// When the first was refused, in milliseconds since 1970, and the id that its answer quoted.
    pub first: (u64, CallId),
    /// The same of the last.
    pub last: (u64, CallId),
    /// What for, each with its number: `CM1101: 3`, `CM1001 unknown host: 1`.
    pub reasons: &'a [String],
}

/// Keeps questions and approvals over restarts.
pub trait Desk: Send + Sync + Debug {
    /// Keeps a text under a name, in place of the one before. It is on disk when this ends.
    fn put<'a>(&'a self, id: &'a str, text: Vec<u8>) -> Soon<'a, Result<(), String>>;

    /// Forgets what is kept under a name. It is gone from the disk when this ends.
    fn remove<'a>(&'a self, id: &'a str) -> Soon<'a, Result<(), String>>;
}

/// Keeps over restarts what rules put in quarantine. What people put in comes from outside and is kept there.
pub trait Wards: Send + Sync + Debug {
    /// Something was put in and is in force already: to be recorded now and kept soon. Does not wait.
    fn keep(&self, entry: &quarantine::Entry);

    /// Something happened that nobody honest does, whatever comes of it: to be recorded now. Does not wait.
    fn alarm(&self, object: &str, what: &str);
}

/// A question was asked or answered.
#[derive(Debug)]
pub struct ApprovalEvent<'a> {
    /// Which.
    pub approval: &'a approvals::Approval,
    /// `asked`, or the answer: `once`, `session`, `always`, `deny`.
    pub answer: &'a str,
    /// Who: a subject, or `operator`.
    pub by: &'a str,
}

/// Remembers what was used of daily budgets.
pub trait Ledger: Send + Sync + Debug {
    /// Writes down what counts as used, in place of what was written before. Does not wait: soon is soon enough, and
    /// of two for one name the later counts.
    fn write(&self, spent: Spent);
}

/// What counts as used of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Whose: `subject key:3fd1a2`, `tool git/log`.
    pub name: Box<str>,
    /// On which day, counted from 1970-01-01 in UTC.
    pub day: u64,
    /// How much.
    pub count: u64,
}

/// What is about to be done.
#[derive(Debug, Clone)]
pub struct Intent<'a> {
    /// Ties the outcome to it; unique in the installation.
    pub call: CallId,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// For whom.
    pub subject: &'a str,
    /// From where: an address or `unix`.
    pub peer: &'a str,
    /// Through which endpoint.
    pub endpoint: &'a str,
    /// To which server; empty when the gateway answers by itself.
    pub server: &'a str,
    /// What is asked.
    pub method: &'a str,
    /// Which tool, prompt or resource, by the server's own name for it.
    pub name: &'a str,
    /// The caller's revision.
    pub revision: &'a str,
    /// What was decided.
    pub effect: &'static str,
    /// The rules that led to it.
    pub rules: &'a [casemate_policy::RuleId],
    /// SHA-256 of the params as they came.
    pub params_sha256: [u8; 32],
    /// Size of the params in bytes.
    pub params_bytes: usize,
    /// Version of the snapshot that the call was judged by.
    pub snapshot: u64,
}

/// How it ended.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// The call that it belongs to.
    pub call: CallId,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// How.
    pub ending: Ending,
    /// The refusal's code, if it was refused.
    pub code: &'a str,
    /// What nobody but the reader of the records may see.
    pub detail: &'a str,
    /// Size of the answer in bytes.
    pub bytes: usize,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// The ways in which a call can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result.
    Ok,
    /// With an error of the server, or a tool result that says it failed.
    Error,
    /// Refused by us.
    Refused,
    /// The caller went away, or we were stopped.
    Abandoned,
}

impl Ending {
    /// The word in the record.
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

/// Names one call in the records and, in messages, for support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    /// Random for each run of the gateway.
    pub run: u64,
    /// Counts the calls of the run.
    pub number: u64,
}

impl std::fmt::Display for CallId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.number)
    }
}
