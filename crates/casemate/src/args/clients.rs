//! The configurations of AI clients.

use std::path::PathBuf;

/// `casemate import`
#[derive(Debug, clap::Args)]
pub struct Import {
    /// A client's configuration: any JSON with `mcpServers` (or VS Code's `servers`); `-` reads stdin
    pub file: PathBuf,
    /// Replace servers of the same name
    #[arg(long)]
    pub replace: bool,
}

/// `casemate install` and `casemate uninstall`
#[derive(Debug, clap::Args)]
pub struct Client {
    /// claude-desktop, claude-code, cursor or vscode
    pub client: String,
    /// Edit this file instead of the client's usual one
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}
