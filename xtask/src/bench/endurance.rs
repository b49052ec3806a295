//! Load for a long time: what the gateway occupies must not grow with what it has done.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::bed::Bed;
use super::cells::{MANY, Plan};
use super::host;
use super::load::{self, Work};
use super::protocol::{Ask, Era};
use crate::clock::Moment;
use crate::console::say;
use crate::steps::shown;

/// How long each kind of work lasts before the next one.
const TURN: Duration = Duration::from_secs(10);
/// Memory may grow by this factor after the first turns, while caches and arenas settle.
const GROWTH_MAX: f64 = 1.25;
/// And by this many bytes, so that a small start does not make the factor strict.
const GROWTH_BYTES_MAX: f64 = 8e6;
/// Descriptors that may be open more than after the first turns: connections that idle.
const DESCRIPTORS_MORE_MAX: usize = 32;

/// Calls over HTTP and stdio and opens sessions until the time is over.
pub(crate) fn run(plan: &Plan, time: Duration) -> Result<()> {
    host::Core::Load.bind()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let program = toml_edit::Value::from(plan.echo.to_string_lossy().into_owned());
    let bed = Bed::start(plan, |echo| {
        format!(
            "[servers.dual]\nurl = \"http://{echo}/mcp\"\n[servers.legacy]\nurl = \"http://{echo}/legacy\"\n\
             [servers.pipe]\ncommand = [{program}, \"echo-stdio\"]\n"
        )
    })?;
    let turns = [
        (bed.through("/servers/dual/mcp", Era::Modern), Work::Call(Ask::Echo)),
        (bed.through("/servers/dual/mcp", Era::Modern), Work::Call(Ask::Blob(300_000))),
        (bed.through("/servers/legacy/mcp", Era::Legacy), Work::Session),
        (bed.through("/servers/pipe/mcp", Era::Legacy), Work::Call(Ask::Echo)),
        (bed.through("/mcp", Era::Modern), Work::List),
    ];
    let started = Moment::now();
    let mut first: Option<(f64, usize)> = None;
    let mut calls = 0;
    while first.is_none() || started.elapsed() < time {
        for (target, work) in &turns {
            calls += runtime.block_on(load::run(target, *work, MANY, TURN.min(time)))?.count;
        }
        let (memory, descriptors) = (bed.resident()?, bed.descriptors()?);
        let age = shown(started.elapsed());
        say(format_args!(
            "after {age} and {calls} calls: {:.1} MiB, {descriptors} descriptors",
            memory / 1048576.0
        ));
        let (memory_first, descriptors_first) = *first.get_or_insert((memory, descriptors));
        let allowed = (memory_first * GROWTH_MAX).max(memory_first + GROWTH_BYTES_MAX);
        ensure!(memory <= allowed, "memory grew from {memory_first} to {memory} bytes");
        let more = descriptors.saturating_sub(descriptors_first);
        ensure!(more <= DESCRIPTORS_MORE_MAX, "{more} more descriptors are open than after the first turns");
    }
    Ok(())
}
