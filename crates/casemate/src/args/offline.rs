//! What needs neither gateway nor configuration.

use std::path::PathBuf;

use clap_complete::Shell;

/// `casemate explain`
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The code, for example CM1207; all codes when absent
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
