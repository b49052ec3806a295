//! Where the tokens for remote servers come from. A client's own credential never does.

use std::fmt::Debug;
use std::pin::Pin;

use casemate_policy::SubjectId;
use http::StatusCode;
use secrecy::SecretString;

use crate::entry::ServerEntry;

/// An answer that is being fetched.
pub type Fetching<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// For which server, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// The server.
    pub entry: &'a ServerEntry,
    /// The subject; nobody when everyone shares the instance.
    pub subject: Option<&'a SubjectId>,
}

/// What a server said when it refused a request for want of a login.
#[derive(Debug)]
pub struct Rejection<'a> {
    /// 401, or 403 when the token does not allow enough.
    pub status: StatusCode,
    /// The values of `WWW-Authenticate`. They are a stranger's text.
    pub challenges: Vec<String>,
    /// The token that was sent, if any.
    pub sent: Option<&'a SecretString>,
}

/// What can be done about it.
#[derive(Debug)]
pub enum Remedy {
    /// Here is another token.
    Token(SecretString),
    /// A person has to log in.
    Login,
    /// Nothing; why, for the log.
    Nothing(String),
}

/// Where the tokens for remote servers come from.
pub trait Credentials: Debug + Send + Sync {
    /// The token to send with a request, when there is one.
    fn token<'a>(&'a self, errand: Errand<'a>) -> Fetching<'a, Option<SecretString>>;

    /// What can be done when a server refused a request.
    fn refused<'a>(&'a self, errand: Errand<'a>, rejection: Rejection<'a>) -> Fetching<'a, Remedy>;

    /// Begins a login for a person who sits at this machine; `None` when there can be none.
    fn invite<'a>(&'a self, errand: Errand<'a>) -> Fetching<'a, Option<Invitation>>;

    /// Takes note of what a caller presented, for servers whose entry has it exchanged. It is never sent to them.
    fn present(&self, subject: &SubjectId, credential: &str);
}

/// A login that waits for a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// What it is called.
    pub id: String,
    /// What the person has to open. It holds nothing that a stranger could use without the answer to it.
    pub url: String,
    /// Who will ask the person, to recognize it by.
    pub issuer: String,
}

impl Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invitation({}, at {})", self.id, self.issuer)
    }
}

/// No tokens at all: for programs without a memory.
#[derive(Debug, Clone, Copy)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn token<'a>(&'a self, _: Errand<'a>) -> Fetching<'a, Option<SecretString>> {
        Box::pin(std::future::ready(None))
    }

    fn refused<'a>(&'a self, _: Errand<'a>, _: Rejection<'a>) -> Fetching<'a, Remedy> {
        Box::pin(std::future::ready(Remedy::Nothing("there are no logins here".to_owned())))
    }

    fn invite<'a>(&'a self, _: Errand<'a>) -> Fetching<'a, Option<Invitation>> {
        Box::pin(std::future::ready(None))
    }

    fn present(&self, _: &SubjectId, _: &str) {}
}
