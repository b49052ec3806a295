//! Cells: running a command in one, and what can be said about them.

use std::path::PathBuf;

use clap::Subcommand;

/// `casemate run`
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "casemate run [OPTIONS] -- <COMMAND> [ARGS]...",
    after_help = "Examples:\n  \
        casemate run -- npx -y @modelcontextprotocol/server-everything@2026.8.31\n  \
        casemate run --write ~/notes -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 ~/notes\n  \
        casemate run --raw --read . -- python3 build.py"
)]
pub struct Run {
    /// The command alone, without the gateway: its streams are ours, and so are its exit code and our signals
    #[arg(long)]
    pub raw: bool,
    /// What the command gets to see.
    #[command(flatten)]
    pub room: Room,
    /// Program to run, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What a command gets to see and may use: the words of a server's entry in the configuration.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What it may see and use")]
pub struct Room {
    /// Let it read a file or folder
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// Let it read and change a file or folder
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// Give it a variable: NAME passes on ours, NAME=VALUE sets one
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = Variable::parse)]
    pub env: Vec<Variable>,
    /// A light cell: for hosts that forbid user namespaces; no network, and the host's files have names
    #[arg(long)]
    pub light: bool,
    /// No cell: it may do everything that you may
    #[arg(long, conflicts_with_all = ["read", "write", "light"])]
    pub allow_unsandboxed: bool,
}

/// A variable for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; ours when absent.
    pub value: Option<String>,
}

impl Variable {
    fn parse(text: &str) -> Result<Variable, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("expected NAME or NAME=VALUE".to_owned());
        }
        Ok(Variable { name: name.to_owned(), value })
    }
}

/// `casemate sandbox`
#[derive(Debug, Subcommand)]
pub enum Sandbox {
    /// Show what this host can enforce, and what to change
    #[command(long_about = "Show what this host can enforce, and what to change.\n\n\
            Cells of both kinds are really made, which takes some milliseconds and leaves nothing behind. \
            Exits with 0 when full cells can be had, and with 1 when only light ones can, or none.")]
    Probe,
}

/// `casemate service`
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Write a systemd unit that keeps the gateway running
    #[command(long_about = "Write a systemd unit that keeps the gateway running.\n\n\
            The unit is the user's own, unless --system is given, and delegates a subtree of control groups: with it, \
            limits of memory, processor time and processes hold for each server as a whole. Nothing is started; the \
            commands for that are printed.")]
    Install(Install),
    /// Remove the unit that `install` has written
    Uninstall(Whose),
    /// Show whether the unit is there, and whether the gateway runs
    Status(Whose),
}

/// `casemate service install`
#[derive(Debug, clap::Args)]
pub struct Install {
    /// Whose unit.
    #[command(flatten)]
    pub whose: Whose,
    /// Print the unit and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Whose service manager is meant.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Whose {
    /// The machine's service manager instead of the user's; the gateway then runs as root, in /var/lib/casemate
    #[arg(long)]
    pub system: bool,
}
