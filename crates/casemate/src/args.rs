//! The command line as data: what can be typed, and what help says about it. Nothing here does anything.

use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use crate::environment::VARIABLES;
use crate::exit::Exit;
use crate::output::Color;

pub mod cells;
pub mod clients;
pub mod config;
pub mod gateway;
pub mod keys;
pub mod logins;
pub mod offline;
pub mod people;
pub mod pins;
pub mod policy;
pub mod quarantine;
pub mod secrets;
pub mod servers;

/// The whole command line, with the reference of exit codes and variables at the end of its long help.
pub fn command() -> clap::Command {
    let codes = Exit::ALL.iter().map(|exit| format!("  {}  {}", exit.code(), exit.about()));
    let variables = VARIABLES.iter().map(|variable| {
        format!("  {}\n      {} Default: {}.", variable.name, variable.about, variable.default)
    });
    let listed = |heading: &str, lines: Vec<String>| format!("{heading}:\n{}", lines.join("\n"));
    let reference =
        [START.to_owned(), listed("Exit codes", codes.collect()), listed("Environment", variables.collect())];
    Arguments::command().after_long_help(reference.join("\n\n"))
}

const START: &str = "Start here: `casemate up`, then `casemate install claude-code`.";

/// One guarded gate in front of all your MCP servers.
#[derive(Debug, Parser)]
#[command(
    name = "casemate",
    version,
    about,
    long_about = "One guarded gate in front of all your MCP servers.\n\n\
        `casemate up` runs the gateway; `casemate connect` is what an AI client starts to reach it. Each server \
        runs in a room of its own, and each call is checked, limited and recorded.",
    after_help = START,
    propagate_version = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Root folder of the installation [env: CASEMATE_HOME] [default: the XDG folders]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Configuration file [env: CASEMATE_CONFIG] [default: casemate.toml of the installation]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print data as JSON on stdout, and errors and warnings as JSON on stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more; twice for details, three times for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colors; NO_COLOR turns them off too
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub color: Color,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway until it is told to stop
    Up(gateway::Up),
    /// Stop the running gateway
    Down(gateway::Down),
    /// Speak MCP on stdin and stdout with the gateway, starting one when none runs
    #[command(
        long_about = "Speak MCP on stdin and stdout with the gateway, starting one when none runs.\n\n\
        This is what goes into a client's configuration; `casemate install` writes it for you."
    )]
    Connect(gateway::Connect),
    /// Add a server to the configuration
    Add(servers::Add),
    /// List the servers and how they are
    List,
    /// Show one server: its state, its tools, what is set for it
    Show(servers::Show),
    /// Remove a server from the configuration
    Remove(servers::Named),
    /// Let clients see a server again
    Enable(servers::Named),
    /// Keep a server in the configuration, but serve it to nobody
    Disable(servers::Named),
    /// Start a server now instead of at its first call
    Start(servers::Named),
    /// Stop a server; calls to it are refused until it is started again
    Stop(servers::Named),
    /// Stop a server's processes and start it anew
    Restart(servers::Named),
    /// Install the packages of servers ahead of time
    Prepare(servers::Prepare),
    /// Show what a server wrote to stderr
    Logs(servers::Logs),
    /// Call a tool and print its answer
    Call(servers::Call),
    /// Add the servers of any client's `mcpServers` JSON
    Import(clients::Import),
    /// Run a command in a cell: put `casemate run --` before any server's command
    Run(cells::Run),
    /// Show what cells can be had here
    #[command(subcommand)]
    Sandbox(cells::Sandbox),
    /// Keep the gateway running with systemd
    #[command(subcommand)]
    Service(cells::Service),
    /// Put Casemate into a client's configuration
    Install(clients::Client),
    /// Take Casemate out of a client's configuration
    Uninstall(clients::Client),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Key(keys::Key),
    /// Check, explain and try who may do what
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Log in at a remote server
    Login(logins::Begin),
    /// Forget a login at a remote server
    Logout(logins::Login),
    /// Approve of what servers declare, and see what changed
    #[command(subcommand)]
    Pin(pins::Pin),
    /// Keep secrets for servers, sealed at rest
    #[command(subcommand)]
    Secret(secrets::Secret),
    /// List and end the sessions of clients
    Sessions(people::Sessions),
    /// Answer what people are asked before a call is made
    Approvals(people::Approvals),
    /// Keep servers, tools and subjects from calls, at once
    Quarantine(quarantine::Quarantine),
    /// List the judges outside that are asked about calls and answers
    Interceptors,
    /// Check and explain the configuration
    #[command(subcommand)]
    Config(config::Config),
    /// Look for what could keep Casemate from working
    Doctor(offline::Doctor),
    /// What needs no installation.
    #[command(flatten)]
    Offline(offline::Offline),
    /// Run a built-in server on stdin and stdout
    #[command(hide = true)]
    Toolkit(offline::Toolkit),
}
