//! The written configuration.

use clap::Subcommand;

/// `casemate config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Report every mistake in the configuration, with its line
    Check,
    /// Show every setting in force, and where its value comes from
    Explain(Explain),
    /// Print the JSON Schema of casemate.toml
    Schema,
}

/// `casemate config explain`
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// A key such as `listen` or `servers.github`; all of them when absent
    pub key: Option<String>,
}
