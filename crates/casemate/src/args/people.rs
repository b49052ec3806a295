//! Sessions of clients, and questions to people.

use clap::Subcommand;

/// `casemate sessions`
#[derive(Debug, clap::Args)]
pub struct Sessions {
    /// What to do; the sessions are listed when nothing is said.
    #[command(subcommand)]
    pub action: Option<SessionsAction>,
}

/// What can be done with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsAction {
    /// List the open sessions of older clients
    List,
    /// End one session, or all of a subject; a client whose key is good opens a new one
    Revoke(Revoke),
}

/// `casemate sessions revoke`
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Revoke {
    /// Id of the session, as `casemate sessions` shows it
    pub id: Option<String>,
    /// End all sessions of this subject, for example key:3fd1a2
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<String>,
}

/// `casemate approvals`
#[derive(Debug, clap::Args)]
pub struct Approvals {
    /// What to do; questions and approvals are listed when nothing is said.
    #[command(subcommand)]
    pub action: Option<ApprovalsAction>,
}

/// What can be done with questions and approvals.
#[derive(Debug, Subcommand)]
pub enum ApprovalsAction {
    /// List what waits for an answer, and what was approved
    List,
    /// Show one question, with the whole arguments of the call
    Show(Named),
    /// Approve of the call, with exactly these arguments
    Allow(Allow),
    /// Say no, or withdraw an approval
    Deny(Named),
}

/// One question or approval.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Its name, as `casemate approvals` shows it
    pub id: String,
}

/// `casemate approvals allow`
#[derive(Debug, clap::Args)]
pub struct Allow {
    /// Its name, as `casemate approvals` shows it
    pub id: String,
    /// For how long.
    #[command(flatten)]
    pub span: Span,
}

/// For how long a call is approved.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Span {
    /// For one call
    #[arg(long)]
    pub once: bool,
    /// In the client's session; where it has none, until the question would expire
    #[arg(long)]
    pub session: bool,
    /// Until it is withdrawn with `casemate approvals deny`
    #[arg(long)]
    pub always: bool,
}
