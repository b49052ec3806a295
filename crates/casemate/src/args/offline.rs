//! What needs neither gateway nor configuration.

use std::path::PathBuf;

use clap::Subcommand;
use clap_complete::Shell;

/// What needs no installation, and so no home either.
#[derive(Debug, Subcommand)]
pub enum Offline {
    /// Explain an error code, for example CM1401
    Explain(Explain),
    /// Print shell completions
    Completions(Completions),
    /// Print the manual page
    Man(Man),
    /// Print the help of a command
    #[command(hide = true)]
    Help(Help),
}

/// `casemate help`
#[derive(Debug, clap::Args)]
pub struct Help {
    /// The command; all of them when absent
    pub command: Vec<String>,
}

/// `casemate doctor`
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Also look for what must not be so where others rely on it: HTTPS, headers, keys, cells, records, limits
    #[arg(long)]
    pub production: bool,
}

/// `casemate explain`
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The code, for example CM1401; all codes when absent
    pub code: Option<String>,
}

/// `casemate completions`
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell that reads them
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `casemate man`
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Write one page per command into this folder instead of printing the first
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// `casemate toolkit`
#[derive(Debug, clap::Args)]
pub struct Toolkit {
    /// Name of the built-in server
    pub name: String,
}
