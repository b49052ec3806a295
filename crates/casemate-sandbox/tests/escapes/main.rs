//! The escape suite: what a server may try, and what stops it.
//!
//! Each attack runs in a whole cell, where it must fail; in cells that keep a single one of the layers which its row
//! claims to stop it, where it must fail too; and in one that lacks exactly these layers, where it must succeed: a test
//! that cannot fail proves nothing. All of it in full and light cells, as root and as an ordinary user. The attacker is
//! this binary, started as the server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test binary with a harness of its own, which the configuration's exceptions for tests do not see"
)]

use std::process::{Command, ExitCode, Stdio};

use casemate_sandbox::{Containment, Kind};
use libtest_mimic::{Arguments, Failed, Trial};

mod attack;
mod attacks;
mod bench;
mod cycles;
#[cfg(target_arch = "x86_64")]
mod faults;
mod figures;
mod ground;
mod later;
mod lessons;
mod limits;
mod owners;
mod passages;
mod programs;
#[cfg(target_arch = "x86_64")]
mod tracer;
mod way_out;
mod world;

use world::World;

/// The first argument of the attacker.
const ATTACK: &str = "--attack";

/// The argument of a casemate that is not let look at its servers.
const LESSON: &str = "--lesson";

/// The argument of a casemate on a host that mounts something while a cell runs.
const LATER: &str = "--later";

/// The first argument of a server that runs into a limit.
const WASTE: &str = "--waste";

/// The first argument of a run in which system calls are made to fail.
const FAULTS: &str = "--faults";

/// The first argument of the process in it that starts cells.
const START: &str = "--start";

/// The first argument of a server that asks for figures.
const ASK: &str = "--ask";

/// The first argument of a server that plays a part in front of its doors.
const PASSAGE: &str = "--passage";

fn main() -> ExitCode {
    casemate_sandbox::reenter();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((part, rest)) = args.split_first()
        && let Some(code) = play(part, rest)
    {
        return code;
    }
    // An ordinary user may stand on root's ground.
    if let Err(error) = ground::make()
        && !ground::stands()
    {
        eprintln!("attacks on far addresses are not tried, for lack of a network of our own: {error}");
    }
    let mut trials = Vec::new();
    let is_root = rustix::process::geteuid().is_root();
    let has_groups = limits::has_groups();
    if !has_groups {
        eprintln!("not tried, because no control groups can be made here: {} tests", limits::GROUPS.len());
    }
    let groups = if has_groups { limits::GROUPS } else { &[] };
    for kind in [Kind::Full, Kind::Light] {
        if let Err(refusal) = casemate_sandbox::Plan::of(
            &casemate_sandbox::CellSpec::new(kind),
            &casemate_sandbox::Host::probe(),
        ) {
            eprintln!("no {kind} cell here: {refusal}");
            continue;
        }
        for attack in attacks::all() {
            if attack.runs_in(kind) {
                trials.push(Trial::test(format!("{kind}::{}", attack.name), move || {
                    attack::run(attack, kind);
                    Ok(())
                }));
            }
        }
        let full: &[_] = if kind == Kind::Full { &[passages::ALL, lessons::ALL, figures::ALL] } else { &[] };
        let owners = if kind == Kind::Full && is_root { owners::ALL } else { &[] };
        let programs = programs::ALL.iter().chain(full.iter().copied().flatten()).chain(owners);
        for (name, body) in programs.chain(limits::ALL).chain(groups) {
            trials.push(Trial::test(format!("{kind}::{name}"), move || {
                body(&World::new(kind));
                Ok(())
            }));
        }
    }
    #[cfg(target_arch = "x86_64")]
    trials.push(Trial::test("every_system_call_that_fails_refuses_the_start", || Ok(faults::sample()?)));
    if is_root {
        trials.push(Trial::test("what_the_host_mounts_later_does_not_come_in", || {
            later::nothing_comes_in();
            Ok(())
        }));
        trials.push(Trial::test("all_of_this_as_an_ordinary_user", as_ordinary_user));
    }
    let mut arguments = Arguments::from_args();
    // The attackers count processes and descriptors of their user.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Plays a part in a test; nothing for whoever is to run the tests.
fn play(part: &str, rest: &[String]) -> Option<ExitCode> {
    Some(match part {
        ATTACK => attack::play(&rest[0], &rest[1..]),
        WASTE => limits::waste(&rest[0]),
        ASK => figures::ask(&rest[0]),
        PASSAGE => match passages::pass(&rest[0]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{error}");
                ExitCode::FAILURE
            }
        },
        LATER => later::play(),
        LESSON => lessons::play(),
        "--bench" => bench::run(),
        #[cfg(target_arch = "x86_64")]
        FAULTS => faults::run(&rest[0]),
        #[cfg(target_arch = "x86_64")]
        START => faults::start(&rest[0]),
        "--cycles" => cycles::run(&rest[0]),
        _ => return None,
    })
}

/// Which containment the suite asks for: the weakest for light cells, whose hosts have no other.
fn containment(kind: Kind) -> Option<Containment> {
    (kind == Kind::Light).then_some(Containment::Reaper)
}

/// Runs the whole suite again as nobody, in control groups that are nobody's.
fn as_ordinary_user() -> Result<(), Failed> {
    const NOBODY: u32 = 65_534;
    const ENTER: &str =
        r#"while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs"; shift; done; shift; exec "$@""#;
    let mut again = None;
    limits::delegated(NOBODY, |groups| {
        let mut shell = Command::new("sh");
        shell.args(["-c", ENTER, "sh"]).args(groups).args(["--", "setpriv"]);
        shell.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        again = Some(shell.arg(std::env::current_exe()?).stdin(Stdio::null()).output()?);
        Ok(())
    })
    .map_err(|error| format!("setpriv: {error}"))?;
    let output = again.ok_or("not run")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    err.lines().filter(|line| line.contains("not tried")).for_each(|line| eprintln!("as nobody: {line}"));
    if output.status.success() { Ok(()) } else { Err(format!("{out}\n{err}").into()) }
}
