//! Trees of processes: how they end, whoever dies first, and that nothing is left.

use std::process::{Command, Stdio};

use casemate_sandbox::{Containment, Exit, Spawner, spawn_detached};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stage::{self, Stage, Witness, line};
use super::{Body, PART};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_daemon_dies_with_kill", a_daemon_dies_with_kill),
    ("a_daemon_dies_with_its_server", a_daemon_dies_with_its_server),
    ("a_daemon_dies_with_the_handle", a_daemon_dies_with_the_handle),
    ("a_daemon_dies_when_the_first_process_is_killed", a_daemon_dies_when_the_first_process_is_killed),
    ("a_daemon_dies_when_casemate_is_killed", a_daemon_dies_when_casemate_is_killed),
    ("a_daemon_dies_when_casemate_ends", a_daemon_dies_when_casemate_ends),
    ("a_process_that_keeps_moving_is_caught", a_process_that_keeps_moving_is_caught),
    ("orphans_are_reaped_while_the_server_runs", orphans_are_reaped_while_the_server_runs),
    ("many_cells_at_once", many_cells_at_once),
    ("two_hundred_cells_leave_nothing", two_hundred_cells_leave_nothing),
    ("a_start_that_is_given_up_leaves_nothing", a_start_that_is_given_up_leaves_nothing),
    ("cells_outlive_the_spawner", cells_outlive_the_spawner),
];

/// Starts a daemon (twice forked, a session of its own, holding the witness), then behaves like a server.
const WITH_DAEMON: &str =
    "(setsid sh -c 'echo daemon; exec sleep 1000' >$FIFO 2>&1 </dev/null &); echo ready; cat";

/// A process that lives for a moment, in which it starts its successor.
const MOVING: &str = "exec >$FIFO 2>&1 </dev/null; echo moving; hop() { hop & }; hop";

/// How often what involves timing is repeated.
const ROUNDS: usize = 20;

/// Starts a server with a daemon, does something, and expects that the daemon dies of it.
fn dies_of(stage: &Stage, act: impl Fn(casemate_sandbox::Cell) -> Option<casemate_sandbox::Cell>) {
    let mut witness = stage.witness();
    stage.run(async {
        let mut cell = stage.script(WITH_DAEMON).await;
        assert_eq!(line(&mut cell.io).await, "ready");
        assert_eq!(witness.line().await, "daemon");
        let cell = act(cell);
        witness.all_dead().await;
        if let Some(cell) = cell {
            cell.handle.wait().await;
        }
    });
    stage::settled(usize::MAX);
}

fn a_daemon_dies_with_kill(stage: &Stage) {
    dies_of(stage, |cell| {
        cell.handle.kill();
        Some(cell)
    });
    stage.run(async {
        let cell = stage.script("cat").await;
        cell.handle.kill();
        assert_eq!(cell.handle.wait().await, Exit::Signal(9));
    });
}

fn a_daemon_dies_with_its_server(stage: &Stage) {
    let mut witness = stage.witness();
    stage.run(async {
        let (mut io, handle) = stage.script(&format!("{WITH_DAEMON}; exit 5")).await.split();
        assert_eq!(line(&mut io).await, "ready");
        assert_eq!(witness.line().await, "daemon");
        drop(io.stdin);
        assert_eq!(handle.wait().await, Exit::Code(5));
        witness.all_dead().await;
    });
}

fn a_daemon_dies_with_the_handle(stage: &Stage) {
    dies_of(stage, |_cell| None);
}

fn a_daemon_dies_when_the_first_process_is_killed(stage: &Stage) {
    dies_of(stage, |cell| {
        kill(cell.handle.pid());
        Some(cell)
    });
}

fn a_daemon_dies_when_casemate_is_killed(stage: &Stage) {
    stage::adopt_nobody();
    let mut witness = stage.witness();
    for _ in 0..ROUNDS {
        let mut casemate = part("server-with-daemon", stage);
        stage.run(async {
            assert_eq!(witness.line().await, "daemon");
            kill(casemate.id());
            witness.all_dead().await;
        });
        casemate.wait().unwrap();
    }
}

fn a_daemon_dies_when_casemate_ends(stage: &Stage) {
    stage::adopt_nobody();
    let mut witness = stage.witness();
    let mut casemate = part("server-with-daemon", stage);
    stage.run(async {
        assert_eq!(witness.line().await, "daemon");
        kill_process(pid(casemate.id()), Signal::TERM).unwrap();
        witness.all_dead().await;
    });
    casemate.wait().unwrap();
}

fn a_process_that_keeps_moving_is_caught(stage: &Stage) {
    let mut witness = stage.witness();
    stage.run(async {
        let cell = stage.script(&format!("({MOVING}) & exec sleep 1000")).await;
        assert_eq!(witness.line().await, "moving");
        cell.handle.kill();
        cell.handle.wait().await;
        witness.all_dead().await;
    });
}

fn orphans_are_reaped_while_the_server_runs(stage: &Stage) {
    // The zombies of our first process are those whose parent it is, whatever /proc shows.
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do (true &); done; read line; n=x; while [ -n \"$n\" ]; do
        n=$(grep -ls \"^PPid:.$PPID\\$\" /proc/[0-9]*/status | xargs grep -l '^State:.Z' 2>/dev/null); done; echo none";
    stage.run(async {
        let (mut io, _handle) = stage.script(script).await.split();
        io.stdin.write_all(b"go\n").await.unwrap();
        assert_eq!(line(&mut io).await, "none");
    });
}

fn many_cells_at_once(stage: &Stage) {
    stage.run(async {
        let starts: Vec<_> = (0..32)
            .map(|number| {
                let spawner = stage.spawner.clone();
                let spec = stage::spec("sh", &["-c", &format!("exit {number}")], stage.folder.path());
                (
                    number,
                    tokio::task::spawn(async move { spawner.spawn(spec).await.unwrap().handle.wait().await }),
                )
            })
            .collect();
        for (number, end) in starts {
            assert_eq!(end.await.unwrap(), Exit::Code(number));
        }
    });
}

fn two_hundred_cells_leave_nothing(stage: &Stage) {
    let before = stage::descriptors();
    stage.run(async {
        for number in 0..200 {
            let cell = stage.spawn("cat", &[]).await.unwrap();
            match number % 3 {
                0 => drop(cell),
                1 => {
                    cell.handle.kill();
                    cell.handle.wait().await;
                }
                _ => {
                    let (io, handle) = cell.split();
                    drop(io);
                    handle.wait().await;
                }
            }
        }
    });
    stage::settled(before);
}

fn a_start_that_is_given_up_leaves_nothing(stage: &Stage) {
    let before = stage::descriptors();
    stage.run(async {
        for patience in 0..100_u64 {
            let patience = std::time::Duration::from_micros(patience * 50);
            let _ = tokio::time::timeout(patience, stage.spawn("cat", &[])).await;
        }
    });
    stage::settled(before);
}

fn cells_outlive_the_spawner(stage: &Stage) {
    stage.run(async {
        let spawner = Spawner::start_with(stage::only(stage.containment)).unwrap();
        let cell = spawner.spawn(stage::spec("cat", &[], stage.folder.path())).await.unwrap();
        drop(spawner);
        let (mut io, handle) = cell.split();
        io.stdin.write_all(b"still here\n").await.unwrap();
        assert_eq!(line(&mut io).await, "still here");
        drop(io);
        assert_eq!(handle.wait().await, Exit::Code(0));
    });
}

pub(crate) fn detached_programs_outlive_us() {
    stage::adopt_nobody();
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut witness = Witness::new(folder.path());
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args([PART, "detach", folder.path().to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = String::new();
        std::io::Read::read_to_string(parent.stdout.as_mut().unwrap(), &mut printed).unwrap();
        assert!(parent.wait().unwrap().success());
        let daemon: u32 = printed.trim().parse().unwrap();
        // The one who started it is gone; it goes on when told to.
        assert_eq!(witness.line().await, "waiting");
        std::fs::write(folder.path().join("go"), "").unwrap();
        assert_eq!(witness.line().await, "went on");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log, "to the log\n");
        kill(daemon);
        witness.all_dead().await;
    });
}

/// What a process does that was started to play a part in a test.
pub(crate) fn play(part: &str, rest: &[String]) {
    let folder = std::path::Path::new(&rest[0]);
    if part == "detach" {
        let script = "echo to the log; exec 3>$FIFO; echo waiting >&3; while [ ! -e go ]; do sleep 0.01; done; \
                      echo went on >&3; exec sleep 1000";
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let spec = stage::spec("sh", &["-c", script], folder);
        let mut missing = spec.clone();
        missing.program = "no-such-program".into();
        assert!(spawn_detached(&missing, &log).is_err());
        let pid = spawn_detached(&spec, &log).unwrap();
        std::io::Write::write_all(&mut std::io::stdout(), pid.to_string().as_bytes()).unwrap();
        return;
    }
    let containment =
        Containment::ALL.into_iter().find(|containment| containment.as_str() == rest[1]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let spawner = Spawner::start_with(stage::only(containment)).unwrap();
    runtime.block_on(async {
        // Our death closes its standard input, and this server does not care.
        let stubborn = format!("{WITH_DAEMON}; exec sleep 1000");
        let spec = stage::spec("sh", &["-c", &stubborn], folder);
        let mut cell = spawner.spawn(spec).await.unwrap();
        // For ever, as far as this process can tell.
        cell.io.stdout.read_to_end(&mut Vec::new()).await.unwrap();
    });
}

fn part(name: &str, stage: &Stage) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([PART, name, stage.folder.path().to_str().unwrap(), stage.containment.as_str()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(process: u32) {
    kill_process(pid(process), Signal::KILL).unwrap();
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}
