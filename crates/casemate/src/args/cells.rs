//! Cells: running a command in one, and what can be said about them.

use std::path::PathBuf;

use casemate_mcp::names::ServerName;
use clap::Subcommand;

/// `casemate run`
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Run a command in a cell.\n\n\
        An MCP server is served on stdin and stdout as the gateway serves it: its calls are decided by your roles, \
        checked, limited and recorded in the same log, whether a gateway runs or not. Put `casemate run --` before the \
        server's command in any client's configuration.\n\n\
        The command sees its own program and the host's libraries, a /tmp of its own, and what is granted here: nothing \
        else of the disk, no network, and no variable but those that are named.",
    override_usage = "casemate run [OPTIONS] -- <COMMAND> [ARGS]...",
    after_help = "Examples:\n  \
        casemate run -- npx -y @modelcontextprotocol/server-everything@2026.8.31\n  \
        casemate run --write ~/notes -- npx -y @modelcontextprotocol/server-filesystem@2026.8.31 ~/notes\n  \
        casemate run --network api.github.com:443 --env GITHUB_TOKEN -- npx -y @example/github@1.2.3\n  \
        casemate run --raw --read . -- python3 build.py",
    mut_arg("command", |command| command.required(true))
)]
pub struct Run {
    /// The command alone, whatever it speaks: its streams are ours, and so are its exit code and our signals
    #[arg(long)]
    pub raw: bool,
    /// What is to be run.
    #[command(flatten)]
    pub typed: Typed,
}

/// A server that is typed instead of written into the configuration.
#[derive(Debug, Clone, clap::Args)]
pub struct Typed {
    /// What it is called in roles and records [default: the name of its package or program]
    #[arg(long, value_name = "NAME", value_parser = ServerName::parse)]
    pub name: Option<ServerName>,
    /// What it gets to see and may use.
    #[command(flatten)]
    pub room: Room,
    /// Program to run, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// What a command gets to see and may use: the words of a server's entry in the configuration.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "What it may see and use")]
pub struct Room {
    /// Let it reach a name, and nothing else; `*.example.org:443` is every name below that one
    #[arg(long, value_name = "HOST:PORT")]
    pub network: Vec<String>,
    /// Let it read a file or folder
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// Let it read and change a file or folder
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// Show it where programs and libraries lie; links stay links
    #[arg(long, value_name = "PATH")]
    pub runtime: Vec<PathBuf>,
    /// Give it a variable: NAME is ours, NAME=VALUE another; VALUE may be secret:NAME, env:NAME or file:PATH
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = Variable::parse)]
    pub env: Vec<Variable>,
    /// Most memory, for example 512MiB [default: 1GiB]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Most processors that it may keep busy, for example 0.5 [default: 2]
    #[arg(long, value_name = "NUMBER")]
    pub cpu: Option<f64>,
    /// Most processes and threads [default: 256]
    #[arg(long, value_name = "NUMBER")]
    pub processes: Option<u32>,
    /// Let its package run its install scripts, in a cell without network, when it is installed
    #[arg(long)]
    pub install_scripts: bool,
    /// Let it see figures of the whole host: memory, processors, disks, network
    #[arg(long)]
    pub host_stats: bool,
    /// A light cell, for hosts that forbid user namespaces: no network, and the host's files have names
    #[arg(long, conflicts_with = "network")]
    pub light: bool,
    /// No cell: it may do everything that you may
    #[arg(long, conflicts_with_all = ["network", "read", "write", "host_stats", "runtime", "memory", "cpu", "processes", "install_scripts", "light"])]
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
    /// Show the cell that a server gets, step by step
    #[command(
        long_about = "Show the cell that a server gets, step by step.\n\n\
            What it sees of the host and why, which variables it has (never their values), what it may reach and use, \
            and every layer of its cell with what is done for it. The server is a configured one, or a command that is \
            typed as for `casemate run`. Nothing is started; exits with 1 when there can be no such cell.",
        override_usage = "casemate sandbox explain [OPTIONS] <SERVER>\n       \
            casemate sandbox explain [OPTIONS] -- <COMMAND> [ARGS]..."
    )]
    Explain(Box<Which>),
    /// Watch a server at work, and tell what it should be granted
    #[command(
        long_about = "Watch a server at work, and tell what it should be granted.\n\n\
            It runs in a full cell that shows what you see of this host, but for keys, credentials, histories and the \
            like, and changes nothing that it was not granted; names that it may not reach are refused. Its streams are \
            ours: put `casemate sandbox learn --` before its command in a client's configuration and use it, or write to \
            it by hand. At its end, or at Ctrl-C, the smallest grants that would have done are told on standard error, as \
            lines of its entry and as options of `casemate run`; with --json as one object.",
        override_usage = "casemate sandbox learn [OPTIONS] <SERVER>\n       \
            casemate sandbox learn [OPTIONS] -- <COMMAND> [ARGS]..."
    )]
    Learn(Box<Learn>),
}

/// `casemate sandbox learn`
#[derive(Debug, clap::Args)]
pub struct Learn {
    /// Write what was learned into a file as well; clients hide what a server says
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Who is watched.
    #[command(flatten)]
    pub which: Which,
}

/// A configured server, or one that is typed.
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("which").required(true).args(["server", "command"])),
    mut_args(|arg| if TYPED.contains(&arg.get_id().as_str()) { arg.conflicts_with("server") } else { arg })
)]
pub struct Which {
    /// A configured server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: Option<ServerName>,
    /// Another one.
    #[command(flatten)]
    pub typed: Typed,
}

/// What says something about a typed server, and so nothing about a configured one.
const TYPED: [&str; 13] = [
    "host_stats",
    "name",
    "network",
    "read",
    "write",
    "runtime",
    "env",
    "memory",
    "cpu",
    "processes",
    "install_scripts",
    "light",
    "allow_unsandboxed",
];

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
