//! Who may do what.

use std::path::PathBuf;

use casemate_mcp::names::RoleName;
use clap::Subcommand;

/// `casemate policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Report every mistake in roles, policy files and their examples, with its line
    Check,
    /// Judge one request and name the rules
    #[command(long_about = "Judge one request and name the rules.\n\n\
        The request is written like the examples of policy files: an action (list, call, read, get, complete, \
        subscribe, view, administer), what it is done to (server/tool, server/prompt:NAME, server/resource:URI, \
        server, gateway, keys, records), and where it matters the arguments as JSON, `from ADDRESS`, `at TIME` and \
        `by key|token|certificate|local`.\n\n\
        casemate policy explain --role reader call git/git_push '{\"branch\": \"main\"}'")]
    Explain(Explain),
    /// Run the examples of the policy files
    Test,
    /// Judge recorded calls anew, and show what would change
    #[command(long_about = "Judge recorded calls anew, and show what would change.\n\n\
        Records hold who called what, and of the arguments a digest only: calls whose outcome hangs on arguments are \
        counted as unknown. Roles are those that the subject has now.")]
    Simulate(Simulate),
}

/// `casemate policy explain`
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// A role of whoever asks; may be given several times
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = RoleName::parse)]
    pub roles: Vec<RoleName>,
    /// The request
    #[arg(value_name = "REQUEST", required = true, trailing_var_arg = true, num_args = 1..)]
    pub request: Vec<String>,
}

/// `casemate policy simulate`
#[derive(Debug, clap::Args)]
pub struct Simulate {
    /// Another casemate.toml to judge by, with the folder policy/ beside it [default: the one in force]
    #[arg(long, value_name = "FILE")]
    pub candidate: Option<PathBuf>,
}
