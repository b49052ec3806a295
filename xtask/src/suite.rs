//! `cargo xtask check` and `cargo xtask test`: the steps, in the order in which they are cheap to fail.

mod conformance;
mod kills;
mod readme;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::cache::Cache;
use crate::steps::Steps;
use crate::{bench, environment, process, target, tidy};

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Formatting.
    Fmt,
    /// Lints, warnings included.
    Clippy,
    /// The house rules.
    Tidy,
    /// Licenses, banned and duplicate dependencies, sources.
    Deny,
    /// Real servers and clients from npm and PyPI, into the cache folder.
    Packages,
    /// Unit, journey and end-to-end tests.
    Tests,
    /// The commands of README.md.
    Readme,
    /// The official conformance suite.
    Conformance,
    /// Starting and stopping cells.
    Cells,
    /// Killing the gateway while calls run.
    Kills,
    /// Load for many minutes; only with --soak, or when named.
    Endurance,
}

/// What is quick enough to run before every commit.
const CHECK: &[Step] = &[Step::Fmt, Step::Clippy, Step::Tidy];

/// Everything.
const TEST: &[Step] = &[
    Step::Fmt,
    Step::Clippy,
    Step::Tidy,
    Step::Deny,
    Step::Packages,
    Step::Tests,
    Step::Readme,
    Step::Conformance,
    Step::Cells,
    Step::Kills,
];

impl Step {
    fn about(self) -> &'static str {
        match self {
            Step::Fmt => "formatting",
            Step::Clippy => "lints; a warning is an error",
            Step::Tidy => "the house rules (docs/style.md)",
            Step::Deny => "licenses, banned and duplicate dependencies, sources",
            Step::Packages => "real servers and clients from npm and PyPI, pinned, into the cache folder",
            Step::Tests => "unit, journey and end-to-end tests",
            Step::Readme => "the commands of README.md, in a fresh home",
            Step::Conformance => "the official conformance suite, directly and through the gateway",
            Step::Cells => "cells that start and end leave nothing behind",
            Step::Kills => "killing the gateway while calls run leaves no process behind",
            Step::Endurance => "memory and descriptors under load for many minutes",
        }
    }

    fn run(self, options: &Options) -> Result<()> {
        match self {
            Step::Fmt => process::run(process::cargo().args(["fmt", "--all", "--check"])),
            Step::Clippy => process::run(process::cargo().args(CLIPPY)),
            Step::Tidy => tidy::run(),
            Step::Deny => deny(&Cache::open()?),
            Step::Packages => packages(&Cache::open()?),
            Step::Tests => tests(&Cache::open()?),
            Step::Readme => readme::run(&Cache::open()?),
            Step::Conformance => conformance::run(&Cache::open()?),
            Step::Cells => cells(options),
            Step::Kills => kills::run(&Cache::open()?, options.kills()),
            Step::Endurance => bench::endure(Duration::from_secs(60 * options.minutes)),
        }
    }
}

const CLIPPY: [&str; 8] =
    ["clippy", "--locked", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"];

/// What to test.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Only these steps
    #[arg(value_enum)]
    steps: Vec<Step>,
    /// The long runs too
    #[arg(long)]
    soak: bool,
    /// How often the gateway is killed [default: 3, with --soak 50]
    #[arg(long, value_name = "NUMBER")]
    kills: Option<usize>,
    /// How many cells are started and ended [default: 300, with --soak 10000]
    #[arg(long, value_name = "NUMBER")]
    cycles: Option<usize>,
    /// How many minutes the load of --soak lasts
    #[arg(long, value_name = "NUMBER", default_value_t = 30)]
    minutes: u64,
}

impl Options {
    fn kills(&self) -> usize {
        self.kills.unwrap_or(if self.soak { 50 } else { 3 })
    }

    fn cycles(&self) -> usize {
        self.cycles.unwrap_or(if self.soak { 10_000 } else { 300 })
    }
}

/// The checks of the conformance suite that are let fail.
pub(crate) fn wordless() -> &'static [conformance::wordless::Wordless] {
    conformance::wordless::MODERN_ON_LEGACY
}

/// The client that the conformance suite judges.
pub(crate) fn conformance_client(url: &str) -> Result<()> {
    conformance::client::be(url)
}

/// `cargo xtask check`
pub(crate) fn check() -> Result<()> {
    run("cargo xtask check", CHECK, &Options::default())
}

/// `cargo xtask test`
pub(crate) fn test(options: &Options) -> Result<()> {
    let mut steps = if options.steps.is_empty() { TEST.to_vec() } else { options.steps.clone() };
    if options.soak && options.steps.is_empty() {
        steps.push(Step::Endurance);
    }
    run("cargo xtask test", &steps, options)
}

fn run(command: &str, list: &[Step], options: &Options) -> Result<()> {
    let mut steps = Steps::start(command);
    for step in list {
        let name = step.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        steps.step(&name, step.about(), || step.run(options));
    }
    steps.finish()
}

fn deny(cache: &Cache) -> Result<()> {
    // Started as cargo's own subcommand, it looks for the lock file and deny.toml at the root by itself.
    let mut deny = process::command(cache.deny()?);
    let options = ["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"];
    process::run(deny.current_dir(environment::root()).args(options))
}

fn packages(cache: &Cache) -> Result<()> {
    cache.node()?;
    cache.python()?;
    Ok(())
}

fn tests(cache: &Cache) -> Result<()> {
    // The end-to-end tests start the fixture and the forwarder beside the program itself.
    target::build()?;
    process::run(
        process::cargo()
            .args(["test", "--locked", "--workspace", "--no-fail-fast"])
            .env("CASEMATE_TEST_CACHE", cache.folder()),
    )
}

/// The escape suite has modes for that: cells are made of the program that asks for them. In its tests, some of the system
/// calls of a start are made to fail; with --soak all of them are.
fn cells(options: &Options) -> Result<()> {
    let escapes = |mode: [&str; 2]| {
        let test = ["test", "--locked", "--quiet", "--workspace", "--test", "escapes", "--"];
        process::run(process::cargo().args(test).args(mode))
    };
    escapes(["--cycles", &options.cycles().to_string()])?;
    if options.soak { escapes(["--faults", "1"]) } else { Ok(()) }
}
