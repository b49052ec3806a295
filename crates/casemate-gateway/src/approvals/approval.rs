//! One question, and its answer.

use std::fmt::Write;

use casemate_auth::session::SessionNumber;
use casemate_mcp::json::Raw;
use casemate_policy::{Answerer, SubjectId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Largest arguments that a person is asked about, in bytes.
pub(super) const ARGUMENTS_MAX: usize = 64 * 1024;

/// Letters and digits of names that people type: none that looks like another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The call that is asked about.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who would make it.
    pub subject: SubjectId,
    /// At which server.
    pub server: Box<str>,
    /// What.
    pub method: Box<str>,
    /// Which tool, prompt or resource, by the server's own name.
    pub name: Box<str>,
    /// What of its params is asked about.
    pub extent: Extent,
    /// The arguments, or the whole params, as the server would get them.
    pub arguments: Raw,
    /// In which session; `None` where there is none.
    pub session: Option<SessionNumber>,
}

/// What of a call's params a person is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The arguments: there is nothing else in the params but the name.
    Arguments,
    /// All of them.
    Params,
}

impl Extent {
    fn as_str(self) -> &'static str {
        match self {
            Extent::Arguments => "arguments",
            Extent::Params => "params",
        }
    }
}

impl Claim {
    /// SHA-256 of what is asked for, to the last byte; of everything but the subject.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Arguments that look like whole params are not taken for them.
        hash.update(self.extent.as_str());
        for part in
            [self.server.as_bytes(), self.method.as_bytes(), self.name.as_bytes(), self.arguments.as_bytes()]
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// How a question stands. In the order in which they count: a "no" stands above everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// A person said no.
    Denied,
    /// Approved for these arguments, until it is withdrawn.
    Always,
    /// Approved for these arguments in this session.
    Session,
    /// Approved for one call.
    Once,
    /// Nobody answered yet.
    Open,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Denied => "denied",
            Standing::Always => "always",
            Standing::Session => "session",
            Standing::Once => "once",
            Standing::Open => "open",
        }
    }
}

/// What a person can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// This call.
    Once,
    /// This call with these arguments, in this session; without a session, until the question expires.
    Session,
    /// This call with these arguments, until it is withdrawn.
    Always,
    /// No.
    Deny,
}

impl Answer {
    /// All of them.
    pub const ALL: [Answer; 4] = [Answer::Once, Answer::Session, Answer::Always, Answer::Deny];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Once => "once",
            Answer::Session => "session",
            Answer::Always => "always",
            Answer::Deny => "deny",
        }
    }

    /// The answer of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Answer> {
        Answer::ALL.into_iter().find(|own| own.as_str() == name)
    }

    pub(super) fn standing(self) -> Standing {
        match self {
            Answer::Once => Standing::Once,
            Answer::Session => Standing::Session,
            Answer::Always => Standing::Always,
            Answer::Deny => Standing::Denied,
        }
    }
}

/// A question as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// By what people name it: eight letters and digits.
    pub id: Box<str>,
    /// Who would make the call.
    pub subject: Box<str>,
    /// At which server.
    pub server: Box<str>,
    /// What.
    pub method: Box<str>,
    /// Which tool, prompt or resource.
    pub name: Box<str>,
    /// The arguments, as JSON text.
    pub arguments: Box<str>,
    /// Digest of the call, in hexadecimal.
    pub digest: Box<str>,
    /// Session of the call, in hexadecimal, where there is one.
    pub session: Option<Box<str>>,
    /// `subject` or `operator`.
    pub answerer: Box<str>,
    /// The rules that asked.
    pub rules: Vec<String>,
    /// When it was asked, in seconds since 1970.
    pub asked: u64,
    /// When it is over; what is approved for always is never.
    pub expires: u64,
    /// How it stands.
    pub standing: Standing,
}

impl Approval {
    /// A new question; `None` when it is too large for a person, or there is no randomness for a name.
    pub(super) fn open(
        claim: &Claim,
        (answerer, rules): (Answerer, Vec<String>),
        (asked, expires): (u64, u64),
    ) -> Option<Approval> {
        let arguments = claim.arguments.as_str();
        if arguments.len() > ARGUMENTS_MAX || claim.name.len() > ARGUMENTS_MAX {
            return None;
        }
        Some(Approval {
            id: new_id()?,
            subject: claim.subject.as_str().into(),
            server: claim.server.clone(),
            method: claim.method.clone(),
            name: claim.name.clone(),
            arguments: arguments.into(),
            digest: hexadecimal(&claim.digest()),
            session: claim.session.as_ref().map(|number| hexadecimal(number.as_bytes())),
            answerer: answerer.as_str().into(),
            rules,
            asked,
            expires,
            standing: Standing::Open,
        })
    }

    /// Whether it speaks of this very call; a session's answer of this very session.
    pub(super) fn is_about(&self, claim: &Claim) -> bool {
        let session = || claim.session.as_ref().map(|number| hexadecimal(number.as_bytes()));
        *self.subject == *claim.subject.as_str()
            && *self.name == *claim.name
            && *self.digest == *hexadecimal(&claim.digest())
            && (self.standing != Standing::Session || self.session == session())
    }

    pub(super) fn is_over(&self, now_unix_s: u64) -> bool {
        self.standing != Standing::Always && now_unix_s >= self.expires
    }
}

fn new_id() -> Option<Box<str>> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    let letter = |byte: u8| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from);
    bytes.into_iter().map(letter).collect::<Option<String>>().map(String::into_boxed_str)
}

fn hexadecimal(bytes: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        _ = write!(text, "{byte:02x}");
    }
    text.into_boxed_str()
}
