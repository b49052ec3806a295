//! What is measured: the rows of the table, group by group.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;

use super::bed::{Bed, Cell, Ground};
use super::client::{Client, Target};
use super::echo::LISTED_TOOLS;
use super::host;
use super::load::{self, Outcome, Work};
use super::protocol::{Ask, Era};
use super::report::{Row, Verdict};
use super::statistics::Rounds;
use crate::clock::Moment;
use crate::console::say;

/// How much is measured, and with which programs.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How often.
    pub(crate) rounds: usize,
    /// How long each time.
    pub(crate) time: Duration,
    /// The program.
    pub(crate) casemate: PathBuf,
    /// This program, which is also the upstream server.
    pub(crate) echo: PathBuf,
}

type Group = fn(&Plan, &Runtime) -> Result<Vec<Row>>;

const GROUPS: &[(&str, Group)] = &[
    ("calls", calls),
    ("results", results),
    ("stdio", stdio),
    ("sessions", sessions),
    ("start", start),
    ("lists", lists),
    ("cells", super::enclosed::measure),
];

/// How many sessions are opened to see what one weighs.
const IDLE_SESSIONS: usize = 500;
/// How long sessions have been left alone when they are weighed: a connection gives its buffers back once nothing was asked
/// for 2 s, and looks every 2 s whether that is so.
const LEFT_ALONE: Duration = Duration::from_secs(6);
/// The clients of the loaded cells.
pub(crate) const MANY: usize = 16;
/// The clients of the cells whose answers are large.
const FEW: usize = 4;
/// The size of a large result, in bytes.
const LARGE: usize = 1_000_000;

/// Measures all groups, or those whose name contains `only`.
pub(crate) fn measure(plan: &Plan, only: Option<&str>) -> Result<Vec<Row>> {
    host::Core::Load.bind()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for (name, group) in GROUPS.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only))) {
        say(format_args!("measuring {name}"));
        rows.extend(group(plan, &runtime).with_context(|| format!("the group {name} failed"))?);
    }
    Ok(rows)
}

/// What a row is about: its unit, and the number of a round.
type Number = (&'static str, fn(&Outcome) -> f64);

const RATE: Number = ("1/s", |o| o.per_second);
const P50: Number = ("µs", |o| o.p50);
const P99: Number = ("µs", |o| o.p99);

fn calls(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let bed = Bed::start(plan, |echo| {
        format!(
            "[servers.dual]\nurl = \"http://{echo}/mcp\"\n[servers.legacy]\nurl = \"http://{echo}/legacy\"\n"
        )
    })?;
    let (_relay, relayed) = bed.relayed("/mcp", Era::Modern)?;
    let direct = Some(bed.direct("/mcp", Era::Modern));
    let floor = Cell { direct, through: relayed, work: Work::Call(Ask::Echo), clients: 1 };
    let floor = runtime.block_on(bed.series(&floor))?;
    let mut rows = vec![floor.row(
        "p50, 1 client, a relay in the gateway's place".to_owned(),
        P50,
        Verdict::Added(None),
    )];
    let eras = [(Era::Modern, "modern", "/mcp", "dual"), (Era::Legacy, "legacy", "/legacy", "legacy")];
    for (era, name, path, server) in eras {
        let cell = |clients| Cell {
            direct: Some(bed.direct(path, era)),
            through: bed.through(&format!("/servers/{server}/mcp"), era),
            work: Work::Call(Ask::Echo),
            clients,
        };
        let one = runtime.block_on(bed.series(&cell(1)))?;
        let many = runtime.block_on(bed.series(&cell(MANY)))?;
        rows.extend([
            one.row(format!("p50, 1 client, {name}"), P50, Verdict::Added(Some(120.0))),
            one.row(format!("p99, 1 client, {name}"), P99, Verdict::Added(None)),
            many.row(format!("calls, {MANY} clients, {name}"), RATE, Verdict::Part(Some(0.5))),
            many.row(format!("p50, {MANY} clients, {name}"), P50, Verdict::Added(None)),
            many.row(format!("p99, {MANY} clients, {name}"), P99, Verdict::Added(None)),
            many.cpu_row(format!("processor time per call, {name}"), Verdict::AtMost(40.0)),
            many.rate_row(format!("calls per second of processor time, {name}"), Verdict::Plain),
        ]);
    }
    Ok(rows)
}

fn results(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let unseen = "inspect = { hidden = \"off\", secrets = \"off\", arguments = \"off\", signals = \"off\" }";
    let bed = Bed::start(plan, |echo| {
        format!(
            "[servers.dual]\nurl = \"http://{echo}/mcp\"\n[servers.plain]\nurl = \"http://{echo}/mcp\"\n{unseen}\n"
        )
    })?;
    let mut rows = Vec::new();
    for (server, how, part) in [("dual", "inspected", 0.35), ("plain", "relayed, nothing looked for", 0.8)] {
        let cell = Cell {
            direct: Some(bed.direct("/mcp", Era::Modern)),
            through: bed.through(&format!("/servers/{server}/mcp"), Era::Modern),
            work: Work::Call(Ask::Blob(LARGE)),
            clients: FEW,
        };
        let series = runtime.block_on(bed.series(&cell))?;
        rows.push(series.row(
            format!("results of 1 MB, {FEW} clients, {how}"),
            RATE,
            Verdict::Part(Some(part)),
        ));
        rows.push(series.cpu_row(format!("processor time per result of 1 MB, {how}"), Verdict::Plain));
    }
    Ok(rows)
}

fn stdio(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let program = toml_edit::Value::from(plan.echo.to_string_lossy().into_owned());
    let bed = Bed::start(plan, |_| format!("[servers.pipe]\ncommand = [{program}, \"echo-stdio\"]\n"))?;
    let through = bed.through("/servers/pipe/mcp", Era::Modern);
    let cell =
        |clients| Cell { direct: None, through: Arc::clone(&through), work: Work::Call(Ask::Echo), clients };
    let one = runtime.block_on(bed.series(&cell(1)))?;
    let many = runtime.block_on(bed.series(&cell(MANY)))?;
    let rate = "calls per second of processor time, stdio server included".to_owned();
    Ok(vec![
        one.row("p50, 1 client, stdio server".to_owned(), P50, Verdict::Plain),
        many.row(format!("calls, {MANY} clients, stdio server"), RATE, Verdict::Plain),
        many.rate_row(rate, Verdict::AtLeast(15_000.0)),
    ])
}

fn sessions(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let configuration = |echo| format!("[servers.legacy]\nurl = \"http://{echo}/legacy\"\n");
    let bed = Bed::start(plan, configuration)?;
    let cell = Cell {
        direct: Some(bed.direct("/legacy", Era::Legacy)),
        through: bed.through("/servers/legacy/mcp", Era::Legacy),
        work: Work::Session,
        clients: MANY,
    };
    let series = runtime.block_on(bed.series(&cell))?;
    let (mut idle, mut fresh, mut left) = (Rounds::default(), Rounds::default(), Rounds::default());
    for _ in 0..plan.rounds {
        let bed = Bed::start(plan, configuration)?;
        idle.push(bed.resident()? / f64::from(1 << 20));
        let (opened, alone) = runtime.block_on(session_weights(&bed))?;
        fresh.push(opened / 1024.0);
        left.push(alone / 1024.0);
    }
    let churn = format!("sessions opened and ended, {MANY} clients");
    Ok(vec![
        series.row(churn, RATE, Verdict::AtLeast(9_000.0)),
        series.cpu_row("processor time per session".to_owned(), Verdict::Plain),
        Row::alone("memory, idle", "MiB", idle, Verdict::AtMost(20.0)),
        Row::alone("memory of a session just opened, its connection included", "KiB", fresh, Verdict::Plain),
        Row::alone("memory of an idle session, its connection included", "KiB", left, Verdict::AtMost(16.0)),
    ])
}

/// Bytes that one session occupies in the gateway: just after its opening, and when it was left alone for a while.
async fn session_weights(bed: &Bed<'_>) -> Result<(f64, f64)> {
    let through = bed.through("/servers/legacy/mcp", Era::Legacy);
    // What the gateway needs to work at all is not a session's weight.
    load::run(&through, Work::Call(Ask::Echo), MANY, Duration::from_millis(200)).await?;
    let before = bed.resident()?;
    let mut clients = Vec::with_capacity(IDLE_SESSIONS);
    for _ in 0..IDLE_SESSIONS {
        clients.push(Client::connect(&through).await?);
    }
    let weight = || bed.resident().map(|bytes| (bytes - before) / IDLE_SESSIONS as f64);
    let opened = weight()?;
    tokio::time::sleep(LEFT_ALONE).await;
    // The allocator gives back to the kernel what was freed a second ago when it is next asked for a page, so others work.
    load::run(&through, Work::Call(Ask::Echo), MANY, Duration::from_millis(200)).await?;
    let left_alone = weight()?;
    for client in &mut clients {
        client.call(Ask::Echo).await.context("a session that was idle is dead")?;
    }
    Ok((opened, left_alone))
}

fn start(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let mut times = Rounds::default();
    for _ in 0..plan.rounds * 4 {
        let ground = Ground::prepare(plan, |echo| format!("[servers.dual]\nurl = \"http://{echo}/mcp\"\n"))?;
        let time = runtime.block_on(ground.first_answer("/servers/dual/mcp"))?;
        times.push(time.as_secs_f64() * 1e3);
    }
    let what = "start of the process to its first answered call";
    Ok(vec![Row::alone(what, "ms", times, Verdict::AtMost(50.0))])
}

fn lists(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (servers, goal) in [(100, Verdict::Plain), (1_000, Verdict::AtLeast(1_000.0))] {
        let bed = Bed::start(plan, |echo| {
            (0..servers).fold(String::new(), |mut text, n| {
                // Writing to a string cannot fail.
                let _ = write!(text, "[servers.s{n}]\nurl = \"http://{echo}/n/{n}\"\n");
                text
            })
        })?;
        let through = bed.through("/mcp", Era::Modern);
        let first = runtime.block_on(first_list(&through, servers * LISTED_TOOLS))?;
        let cell = Cell { direct: None, through, work: Work::List, clients: FEW };
        let series = runtime.block_on(bed.series(&cell))?;
        let what = format!("first list of the tools of {servers} servers");
        rows.push(Row::alone(&what, "ms", Rounds::from_iter([first]), Verdict::Plain));
        let what = format!("complete lists of {} tools of {servers} servers", servers * LISTED_TOOLS);
        rows.push(series.row(what, RATE, goal));
        rows.push(series.row(format!("p50 of a complete list, {servers} servers"), P50, Verdict::Plain));
        rows.push(
            series.cpu_row(format!("processor time per complete list, {servers} servers"), Verdict::Plain),
        );
    }
    Ok(rows)
}

/// Milliseconds to the first list after the start, which has to be complete.
async fn first_list(target: &Arc<Target>, expected: usize) -> Result<f64> {
    let started = Moment::now();
    let mut client = Client::connect(target).await?;
    let count = client.list().await?;
    ensure!(count == expected, "{count} tools are listed instead of {expected}");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
