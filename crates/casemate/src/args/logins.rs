//! Logins at remote servers.

use casemate_mcp::names::ServerName;

/// Whose login at which server: `casemate logout`
#[derive(Debug, clap::Args)]
pub struct Login {
    /// Name of the server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: ServerName,
    /// For whom, as `casemate key list` or the records name them, such as key:3fd1a2 [default: you]
    #[arg(long = "for", value_name = "SUBJECT")]
    pub subject: Option<String>,
}

/// `casemate login`
#[derive(Debug, clap::Args)]
#[command(long_about = "Log in at a remote server that wants it.\n\n\
    Opens the address in the browser of this machine where there is a desktop, prints it otherwise, and waits until the \
    login there is done, for ten minutes at most. With a browser on another machine, --paste has the answer arrive at \
    gateway.public_url, whose page shows a line to paste here. The token is kept sealed, is renewed by itself, and is sent \
    to that server alone.")]
pub struct Begin {
    /// Whose login, and where
    #[command(flatten)]
    pub login: Login,
    /// Print the address only
    #[arg(long)]
    pub no_browser: bool,
    /// Log in with a browser anywhere, and paste the line that it shows at the end
    #[arg(long)]
    pub paste: bool,
}
