//! `cargo xtask bench`: what the gateway costs, measured beside the same work without it, in one run.
//!
//! The load generator and the upstream server are bound to one core and the gateway to another. Rounds
//! alternate between direct and through; medians are reported with their ranges. Every reply is checked, and a
//! failed call ends the run. The whole journey is on: key, role, schema check, limits, record.

mod bed;
mod cells;
mod client;
mod echo;
mod enclosed;
mod endurance;
mod host;
mod https;
mod load;
mod protocol;
mod relay;
mod report;
mod statistics;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::report::Row;
use crate::console::say;
use crate::{process, target};

/// What to measure, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per measurement and round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only the groups whose name contains this: calls, results, sessions, start, lists, stdio, cells
    #[arg(long)]
    only: Option<String>,
    /// Put the table into SPECIFICATION.md
    #[arg(long)]
    write: bool,
    /// Measure the program as it was last built
    #[arg(long)]
    no_build: bool,
}

/// Builds optimized programs and measures with them.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        build()?;
    }
    let seconds = options.seconds.to_string();
    let mut inside = process::command(target::program("release", "xtask")?);
    inside.args(["bench-inside", "--rounds", &options.rounds.to_string(), "--seconds", &seconds]);
    inside.args(options.only.iter().flat_map(|only| ["--only", only]));
    inside.args(options.write.then_some("--write"));
    process::run(&mut inside)
}

/// Keeps an optimized gateway under load for a time.
pub(crate) fn endure(time: Duration) -> Result<()> {
    build()?;
    endurance::run(&plan(1, Duration::ZERO)?, time)
}

/// Measures. This process has to be an optimized one.
pub(crate) fn run_inside(options: &Options) -> Result<()> {
    let plan = plan(options.rounds.max(1), Duration::from_secs_f64(options.seconds))?;
    let rows = cells::measure(&plan, options.only.as_deref())?;
    let text = shown(&rows, options)?;
    say(&text);
    if options.write && options.only.is_none() {
        report::write(&text)?;
        say("written into SPECIFICATION.md");
    }
    Ok(())
}

/// The echo server over HTTP.
pub(crate) fn serve_http() -> Result<()> {
    echo::serve_http()
}

/// The echo server over stdio.
pub(crate) fn serve_stdio() -> Result<()> {
    echo::serve_stdio()
}

/// The HTTPS server, with the identity in a folder.
pub(crate) fn serve_https(identity: &Path) -> Result<()> {
    https::serve(identity)
}

/// The HTTPS client.
pub(crate) fn ask_https(identity: &Path, port: u16, times: usize) -> Result<()> {
    https::ask(identity, port, times)
}

/// The relay that copies bytes.
pub(crate) fn serve_relay(to: std::net::SocketAddr) -> Result<()> {
    relay::serve(to)
}

fn build() -> Result<()> {
    let options = ["build", "--release", "--locked", "--package", "casemate", "--package", "xtask"];
    process::run(process::cargo().args(options))
}

fn plan(rounds: usize, time: Duration) -> Result<cells::Plan> {
    let (casemate, echo) = (target::program("release", "casemate")?, target::program("release", "xtask")?);
    Ok(cells::Plan { rounds, time, casemate, echo })
}

fn shown(rows: &[Row], options: &Options) -> Result<String> {
    let Options { rounds, seconds, .. } = options;
    let table = report::table(rows);
    let host = host::described()?;
    Ok(format!(
        "{host}.\n`cargo xtask bench --rounds {rounds} --seconds {seconds}`: medians of {rounds} rounds (lowest–highest); \
         the gateway on one core, generator and upstream server on another.\n\n{table}"
    ))
}
