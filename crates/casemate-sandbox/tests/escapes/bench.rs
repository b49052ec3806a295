//! What entering costs: `escapes --bench`, on an idle machine and in a release build. Everything runs `/bin/true` to its
//! end, one after the other and in turns, so that all of them see the same machine.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use casemate_sandbox::{CellSpec, Kind, Network, Spawner, Spec};

/// How often each is measured.
const ROUNDS: usize = 50;

/// The yardstick: a full set of namespaces, with what a full cell shows of the host, and nothing else that a cell has.
const BUBBLEWRAP: &str = "/usr/bin/bwrap";

/// What is measured.
enum Way {
    /// A process as any other.
    Plain,
    /// A cell with a room or without one.
    Cell(Option<CellSpec>),
    Bubblewrap,
}

/// What was measured: until the program executes, where that can be known, and until its end.
#[derive(Default)]
struct Times {
    start: Vec<Duration>,
    end: Vec<Duration>,
}

pub(crate) fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let spawner = Spawner::start().unwrap();
    spawner.host();
    let networked = CellSpec { network: Network::Ports([443].into()), ..CellSpec::new(Kind::Full) };
    let mut ways = vec![
        ("plain", Way::Plain),
        ("contained", Way::Cell(None)),
        ("light", Way::Cell(Some(CellSpec::new(Kind::Light)))),
        ("full", Way::Cell(Some(CellSpec::new(Kind::Full)))),
        ("full, networked", Way::Cell(Some(networked))),
    ];
    if Path::new(BUBBLEWRAP).exists() {
        ways.push(("bubblewrap", Way::Bubblewrap));
    } else {
        println!("not measured, because it is not installed: {BUBBLEWRAP}");
    }
    let mut measured: Vec<Times> = ways.iter().map(|_| Times::default()).collect();
    for _ in 0..ROUNDS {
        for ((_, way), times) in ways.iter().zip(&mut measured) {
            let begun = Instant::now();
            match way {
                Way::Plain => run_to_end(&mut Command::new("/bin/true")),
                Way::Bubblewrap => run_to_end(&mut bubblewrap()),
                Way::Cell(room) => runtime.block_on(async {
                    let cell = spawner.spawn(nothing_in(room.clone())).await.unwrap();
                    times.start.push(begun.elapsed());
                    cell.handle.wait().await;
                }),
            }
            times.end.push(begun.elapsed());
        }
    }
    println!("{:<18}{:>22}{:>22}", "ms, best / median", "until it executes", "until its end");
    for ((name, _), times) in ways.iter().zip(measured) {
        println!("{name:<18}{:>22}{:>22}", shown(times.start), shown(times.end));
    }
    ExitCode::SUCCESS
}

fn nothing_in(cell: Option<CellSpec>) -> Spec {
    Spec {
        program: "/bin/true".into(),
        args: Vec::new(),
        env: Vec::new(),
        cwd: None,
        label: "bench".to_owned(),
        cell,
    }
}

/// The same file system as that of a full cell, as far as it can be said on a command line.
fn bubblewrap() -> Command {
    let mut command = Command::new(BUBBLEWRAP);
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "cell"]);
    for path in
        CellSpec::RUNTIME.iter().copied().chain(["/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs"])
    {
        match std::fs::read_link(path) {
            Ok(to) => command.arg("--symlink").arg(to).arg(path),
            Err(_) => command.args(["--ro-bind-try", path, path]),
        };
    }
    command.args([
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
        "--remount-ro",
        "/",
        "--",
        "/bin/true",
    ]);
    command
}

fn run_to_end(command: &mut Command) {
    let (stdin, stdout, stderr) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let status = command.stdin(stdin).stdout(stdout).stderr(stderr).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn shown(mut times: Vec<Duration>) -> String {
    times.sort();
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    match (times.first(), times.get(times.len() / 2)) {
        (Some(best), Some(median)) => format!("{:.2} / {:.2}", ms(best), ms(median)),
        _ => "-".to_owned(),
    }
}
