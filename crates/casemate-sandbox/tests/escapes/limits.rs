//! What becomes of a server that runs into a limit, what is said about it, and what is left of its control groups.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use casemate_sandbox::{Certainty, Controller, Exit, Host, Kind, Layer, Limit, Overrun, Spawner, Spec};

use crate::WASTE;
use crate::programs::Body;
use crate::world::World;

pub(crate) const ALL: &[(&str, Body)] = &[
    ("memory_that_is_refused_may_have_ended_it", memory_that_is_refused_may_have_ended_it),
    ("a_file_that_is_too_big_has_ended_it", a_file_that_is_too_big_has_ended_it),
    ("an_orderly_end_is_no_overrun", an_orderly_end_is_no_overrun),
];

/// What needs control groups.
pub(crate) const GROUPS: &[(&str, Body)] = &[
    ("memory_of_the_cell_has_ended_it", memory_of_the_cell_has_ended_it),
    ("refused_processes_may_have_ended_it", refused_processes_may_have_ended_it),
    ("processor_time_is_shared_out", processor_time_is_shared_out),
    ("the_report_names_the_groups", the_report_names_the_groups),
    ("groups_of_a_crashed_casemate_are_removed", groups_of_a_crashed_casemate_are_removed),
];

/// Whether this host lets us make control groups for all that there is to limit.
pub(crate) fn has_groups() -> bool {
    let cgroups = Host::probe().cgroups;
    Controller::ALL.into_iter().all(|controller| cgroups.offers(controller))
}

/// The groups that we have made: our folders and what is in these, but for the newest, which is ready for the next cell.
pub(crate) fn groups() -> Vec<PathBuf> {
    let folders = |path: PathBuf| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let own = format!("casemate-{}-", std::process::id());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&own);
    let places = Host::probe().cgroups.hierarchies.into_iter().map(|hierarchy| hierarchy.own);
    let ours = places.flat_map(folders).filter(named);
    let number = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u64>().ok();
    ours.flat_map(|folder| {
        let mut cells = folders(folder.clone());
        cells.sort_by_key(number);
        cells.pop();
        [vec![folder], cells].concat()
    })
    .collect()
}

/// The life of a server that uses as much as it gets.
pub(crate) fn waste(what: &str) -> ExitCode {
    match what {
        "memory" => {
            let mut taken: Vec<Vec<u8>> = Vec::new();
            loop {
                let mut more = Vec::new();
                if more.try_reserve_exact(8 << 20).is_err() {
                    std::process::abort();
                }
                more.resize(8 << 20, 1);
                taken.push(more);
            }
        }
        "processes" => loop {
            // SAFETY: the child waits until the cell ends, and touches nothing.
            match unsafe { libc::fork() } {
                -1 => return ExitCode::from(1),
                0 => loop {
                    // SAFETY: waits for a signal.
                    unsafe { libc::pause() };
                },
                _ => {}
            }
        },
        "file" => {
            let path = std::env::args().nth(3).unwrap();
            let written = fs::File::create(path).unwrap().write_all_at(b"x", 1 << 30);
            println!("{written:?}");
            ExitCode::FAILURE
        }
        "time" => {
            let begun = Instant::now();
            while processor_time() < Duration::from_millis(200) {}
            println!("{}", begun.elapsed().as_millis());
            ExitCode::SUCCESS
        }
        other => panic!("{other}"),
    }
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure in.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

fn waster(world: &World, what: &[&str], without: &[Layer]) -> Spec {
    let args = [&[WASTE], what].concat();
    let mut spec = world.spec(std::env::current_exe().unwrap().to_str().unwrap(), &args);
    spec.cell.as_mut().unwrap().without = without.to_vec();
    spec
}

/// How a server ends, and what limit that is put down to.
fn end(world: &World, spec: Spec) -> (Exit, Option<Overrun>) {
    let cell = world.start(spec).unwrap();
    world.run(async {
        let exit = cell.handle.wait().await;
        (exit, cell.handle.overrun())
    })
}

fn overrun(limit: Limit, certainty: Certainty) -> Option<Overrun> {
    Some(Overrun { limit, certainty })
}

fn memory_that_is_refused_may_have_ended_it(world: &World) {
    let ended = end(world, waster(world, &["memory"], &[Layer::CellMemory]));
    assert_eq!(ended, (Exit::Signal(libc::SIGABRT), overrun(Limit::Memory, Certainty::Likely)));
}

fn memory_of_the_cell_has_ended_it(world: &World) {
    let ended = end(world, waster(world, &["memory"], &[Layer::Memory]));
    assert_eq!(ended, (Exit::Signal(libc::SIGKILL), overrun(Limit::Memory, Certainty::Known)));
}

fn a_file_that_is_too_big_has_ended_it(world: &World) {
    let path = world.facts.folder.join("write/big");
    let ended = end(world, waster(world, &["file", path.to_str().unwrap()], &[]));
    assert_eq!(ended, (Exit::Signal(libc::SIGXFSZ), overrun(Limit::FileSize, Certainty::Known)));
}

fn refused_processes_may_have_ended_it(world: &World) {
    let ended = end(world, waster(world, &["processes"], &[]));
    assert_eq!(ended, (Exit::Code(1), overrun(Limit::Processes, Certainty::Likely)));
}

fn an_orderly_end_is_no_overrun(world: &World) {
    assert_eq!(end(world, world.spec("/bin/true", &[])), (Exit::Code(0), None));
    let cell = world.start(world.spec("/bin/cat", &[])).unwrap();
    cell.handle.kill();
    assert_eq!(world.run(cell.handle.wait()), Exit::Signal(libc::SIGKILL));
    assert_eq!(cell.handle.overrun(), None);
}

/// A fifth of a processor needs a second for 200 ms of it, but for the first share. A machine that is busy may need as
/// long without any limit, so that is tried a few times.
fn processor_time_is_shared_out(world: &World) {
    let limited = Duration::from_millis(800);
    let time = |without: &[Layer]| {
        let mut spec = waster(world, &["time"], without);
        spec.cell.as_mut().unwrap().limits.cpu_millis = 200;
        let (exit, said) = world.finish(spec);
        assert_eq!(exit, Exit::Code(0), "{said}");
        Duration::from_millis(said.trim().parse().unwrap())
    };
    assert!(time(&[]) >= limited);
    assert!((0..20).any(|_| time(&[Layer::Cpu]) < limited));
}

fn the_report_names_the_groups(world: &World) {
    // In the cell, all of its groups are the root.
    let mut cell = world.start(world.spec("/bin/cat", &["/proc/self/cgroup"])).unwrap();
    let enforced = cell.handle.report().enforced.clone().unwrap();
    for layer in [Layer::CellMemory, Layer::CellTasks, Layer::Cpu] {
        assert!(enforced.layers.contains(&layer), "{enforced}");
    }
    let mut shown = String::new();
    world.run(tokio::io::AsyncReadExt::read_to_string(&mut cell.io.stdout, &mut shown)).unwrap();
    if world.kind == Kind::Full {
        assert!(shown.lines().count() > 0 && shown.lines().all(|line| line.ends_with(":/")), "{shown}");
    }
    world.run(cell.handle.wait());
    // All but the folders, which stay until the spawner goes.
    let gone =
        || groups().iter().all(|path| path.file_name().unwrap().to_str().unwrap().starts_with("casemate-"));
    assert!(soon(gone), "{:?}", groups());
}

/// As if a casemate had been killed in the same instant as the reaper of one of its cells.
fn groups_of_a_crashed_casemate_are_removed(_: &World) {
    // It holds none of our pipes: whoever reads them would wait for it when this test fails.
    let mut survivor = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut left, mut locks) = (Vec::new(), Vec::new());
    for hierarchy in Host::probe().cgroups.hierarchies {
        let (folder, lock) = folder_of_a_casemate(&hierarchy.own);
        fs::create_dir(folder.join("1")).unwrap();
        if hierarchy.controllers.contains(&Controller::Processes) {
            fs::write(folder.join("1/cgroup.procs"), survivor.id().to_string()).unwrap();
        }
        left.push(folder);
        locks.push(lock);
    }
    // As long as it lives nobody touches it, which a start that ended shows: that of the cell of another spawner.
    let witness = World::new(Kind::Full);
    witness.finish(witness.spec("/bin/true", &[]));
    assert!(left.iter().all(|folder| folder.join("1").exists()), "{left:?}");
    // Its death.
    drop(locks);
    let spawner = Spawner::start().unwrap();
    assert!(!survivor.wait().unwrap().success());
    assert!(soon(|| left.iter().all(|folder| !folder.exists())), "{left:?}");
    drop(spawner);
}

/// A folder as a casemate has it, which is locked. Whoever sweeps this machine meanwhile, as every spawner does when it
/// starts, may be faster than the lock, and then another one is made.
fn folder_of_a_casemate(own: &Path) -> (PathBuf, fs::File) {
    for number in 0.. {
        let folder = own.join(format!("casemate-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let Ok(lock) = fs::File::open(&folder) else { continue };
        if lock.try_lock().is_ok() && folder.exists() {
            return (folder, lock);
        }
    }
    unreachable!("there are more numbers than casemates")
}

/// Whether something comes true within a minute: what a thread does a moment after the last event that a test can
/// await.
fn soon(what: impl Fn() -> bool) -> bool {
    (0..60_000).any(|_| {
        let now = what();
        if !now {
            std::thread::sleep(Duration::from_millis(1));
        }
        now
    })
}

/// Removes a group and all that are in it, if nobody is.
fn gone(group: &Path) -> bool {
    let inner = fs::read_dir(group).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_empty = inner.filter(|path| path.is_dir()).all(|path| gone(&path));
    (is_empty && fs::remove_dir(group).is_ok()) || !group.exists()
}

/// Runs something in groups that were given to another user, as a service with delegation is, and removes them.
pub(crate) fn delegated(user: u32, run: impl FnOnce(&[PathBuf]) -> io::Result<()>) -> io::Result<()> {
    let name = format!("delegated-{}", std::process::id());
    let mut given = Vec::new();
    for hierarchy in Host::probe().cgroups.hierarchies {
        let folder = hierarchy.own.join(&name);
        fs::create_dir(&folder)?;
        std::os::unix::fs::chown(&folder, Some(user), Some(user))?;
        for file in fs::read_dir(&folder)? {
            std::os::unix::fs::chown(file?.path(), Some(user), Some(user))?;
        }
        given.push(folder);
    }
    let outcome = run(&given);
    // What a casemate leaves that ends with its process, its folder and the group of its next cell, the next one would
    // remove. A process that has ended is still counted for a moment.
    for folder in given {
        assert!(soon(|| gone(&folder)), "{folder:?}");
    }
    outcome
}
