//! The project's own tool: `cargo xtask …`. CONTRIBUTING.md says what each command is for.
//!
//! Knows: the repository, its house rules, and how to build, test and measure the program from outside.
//! Does not know: any of the product's crates. What it measures, it measures through the binary.

mod bench;
mod cache;
mod clock;
mod console;
mod environment;
mod installation;
mod process;
mod scorecard;
mod steps;
mod suite;
mod target;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The project's own tool.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Command {
    /// Check formatting, lints and the house rules: what is quick enough before every commit
    Check,
    /// Check and test everything; installs what that needs into the cache folder
    Test(suite::Options),
    /// Check the house rules: crate edges, sizes, names, documents in step
    Tidy,
    /// Measure what the gateway costs, beside the same work without it
    Bench(bench::Options),
    /// Count how often the rules of inspection are right
    Scorecard(scorecard::Options),
    /// Measure; run by `bench` with an optimized program
    #[command(hide = true)]
    BenchInside(bench::Options),
    /// The server that benchmarks call, over HTTP
    #[command(hide = true)]
    EchoHttp,
    /// The server that benchmarks call, over stdio
    #[command(hide = true)]
    EchoStdio,
    /// The server that benchmarks call from cells, over HTTPS
    #[command(hide = true)]
    HttpsServer {
        /// The folder with its certificate and key
        identity: std::path::PathBuf,
    },
    /// The client that measures how long that server takes
    #[command(hide = true)]
    HttpsClient {
        /// The folder with the server's certificate
        identity: std::path::PathBuf,
        /// The server's port
        port: u16,
        /// How often it asks
        times: usize,
    },
    /// The least that can stand between a client and a server
    #[command(hide = true)]
    Relay {
        /// Where everything goes
        to: std::net::SocketAddr,
    },
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Check => suite::check(),
        Command::Test(options) => suite::test(&options),
        Command::Tidy => tidy::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Scorecard(options) => scorecard::run(&options),
        Command::BenchInside(options) => bench::run_inside(&options),
        Command::EchoHttp => bench::serve_http(),
        Command::EchoStdio => bench::serve_stdio(),
        Command::HttpsServer { identity } => bench::serve_https(&identity),
        Command::HttpsClient { identity, port, times } => bench::ask_https(&identity, port, times),
        Command::Relay { to } => bench::serve_relay(to),
    }
}
