//! Logins at remote servers.

use casemate_mcp::names::ServerName;

/// `casemate login`
#[derive(Debug, clap::Args)]
#[command(long_about = "Log in at a remote server that wants it.\n\n\
    Prints the address to open in a browser of this machine, and waits until the login there is done, for ten minutes at \
    most. The token is kept sealed, is renewed by itself, and is sent to that server alone.")]
pub struct Login {
    /// Name of the server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: ServerName,
    /// For whom, as `casemate key list` or the records name them, such as key:3fd1a2 [default: you]
    #[arg(long = "for", value_name = "SUBJECT")]
    pub subject: Option<String>,
}
