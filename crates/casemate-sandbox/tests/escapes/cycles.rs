//! Starting and stopping, again and again: `escapes --cycles NUMBER`. Whatever a cell would leave behind adds up.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use casemate_sandbox::{CellSpec, Exit, Host, HostStats, Kind, Plan, Spec};

use crate::programs::{Left, left, settled};
use crate::world::World;

/// How a cycle ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The server ends by itself.
    Itself,
    /// Its input ends.
    Input,
    /// It is killed.
    Killed,
    /// It is not started: something that was granted does not exist.
    Refused,
}

const ENDS: [End; 4] = [End::Itself, End::Input, End::Killed, End::Refused];

pub(crate) fn run(count: &str) -> ExitCode {
    let count: usize = count.parse().unwrap();
    let _ = crate::ground::make();
    for kind in [Kind::Full, Kind::Light] {
        if let Err(refusal) = Plan::of(&CellSpec::new(kind), &Host::probe()) {
            eprintln!("not tried, because there is no {kind} cell here: {refusal}");
            continue;
        }
        turn(&World::new(kind), count.div_ceil(2));
    }
    ExitCode::SUCCESS
}

fn turn(world: &World, count: usize) {
    // What is made once, at the first of each kind, is no leak.
    (0..ENDS.len() * 4).for_each(|number| cycle(world, number));
    let (before, kernel, resident) = (calm(), kept(), resident_kib());
    let begun = Instant::now();
    (0..count).for_each(|number| cycle(world, number));
    let lasted = begun.elapsed();
    settled(&before);
    settled_kernel(&kernel, count);
    let each = lasted.as_secs_f64() * 1e3 / count as f64;
    println!(
        "{count} {} cells started and ended in {:.0} s ({each:.1} ms each): no process, descriptor, mount or control group \
         is left; our memory went from {resident} to {} KiB, what the kernel keeps from {kernel:?} to {:?}",
        world.kind,
        lasted.as_secs_f64(),
        resident_kib(),
        kept(),
    );
}

fn cycle(world: &World, number: usize) {
    let end = ENDS[number % ENDS.len()];
    let program = if matches!(end, End::Itself) { "/bin/true" } else { "/bin/cat" };
    let mut spec = world.spec(program, &[]);
    outfit(world, &mut spec, number / ENDS.len());
    if matches!(end, End::Refused) {
        spec.cell.as_mut().unwrap().grants[0].path = "/no/such/grant".into();
        world.start(spec).unwrap_err();
        return;
    }
    let (io, handle) = world.start(spec).unwrap().split();
    if matches!(end, End::Killed) {
        handle.kill();
        assert_eq!(world.run(handle.wait()), Exit::Signal(libc::SIGKILL));
        return;
    }
    // Which is the end of its input.
    drop(io);
    assert_eq!(world.run(handle.wait()), Exit::Code(0), "{end:?}");
}

/// A network and figures of the host, each with and without the other.
fn outfit(world: &World, spec: &mut Spec, number: usize) {
    let cell = spec.cell.as_mut().unwrap();
    if world.kind == Kind::Full && number % 2 == 1 {
        cell.network = world.doors();
    }
    if number % 4 >= 2 {
        cell.host_stats = HostStats::Shown;
    }
}

/// What there is once the spawner has tidied up behind the last cell, of which there is no event.
pub(crate) fn calm() -> Left {
    let mut last = left();
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = left();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// How many namespaces and mounts the kernel keeps on this machine, other people's included. Only root may know.
fn kept() -> Vec<(&'static str, usize)> {
    let table = std::fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    let kept = |name: &'static str| {
        let mut lines = table.lines().map(str::split_whitespace);
        let mut line = lines.find(|line| line.clone().next() == Some(name))?;
        Some((name, line.nth(1)?.parse().unwrap()))
    };
    ["user_namespace", "pid_namespace", "net_namespace", "mnt_cache"].into_iter().filter_map(kept).collect()
}

/// Waits until the kernel keeps about as much as before: it frees namespaces at its leisure, and others make some.
fn settled_kernel(before: &[(&'static str, usize)], count: usize) {
    // A table of the kernel counts whole pages of objects, of mounts several dozen at a time; and a cell that left its mounts
    // behind would leave all of them, which are more than ten.
    let slack = |name: &str| if name == "mnt_cache" { 256 + count } else { 64 + count / 4 };
    let fits = || kept().iter().zip(before).all(|((name, is), (_, was))| *is <= was + slack(name));
    for _ in 0..600 {
        if fits() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the kernel kept {before:?}, and keeps {:?} after {count} cells", kept());
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
