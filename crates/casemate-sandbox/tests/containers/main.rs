//! Containers, by a real engine that this test starts for itself: their life, their walls, and what is left of them.
//!
//! The image holds this very binary, which is the server in most tests and the attacker in the others. The attacks are
//! those of `tests/escapes`; `walls.rs` says what stops each in a container, and each also runs without that, where it
//! must succeed.

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

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use casemate_sandbox::Kind;
use casemate_testkit::engine::{Contents, Docker};
use libtest_mimic::{Arguments, Failed, Trial};

mod images;
mod life;
mod network;
mod own;
mod parts;
mod stage;
mod walls;

/// The attacks on cells, and the outside that they are made for.
#[path = "../escapes"]
#[expect(dead_code, reason = "cells themselves are attacked by another test")]
mod escapes {
    use casemate_sandbox::{Containment, Kind};

    pub(crate) mod attack;
    pub(crate) mod attacks;
    pub(crate) mod ground;
    pub(crate) mod way_out;
    pub(crate) mod world;

    /// What attacks ask about control groups: engines always have them.
    pub(crate) mod limits {
        pub(crate) fn has_groups() -> bool {
            true
        }
    }

    /// What the outside of a cell asks for; there are none here.
    fn containment(_: Kind) -> Option<Containment> {
        None
    }
}

use escapes::{attack, attacks, ground, limits, way_out, world};
use stage::Stage;
use world::World;

/// The first argument of the attacker.
const ATTACK: &str = "--attack";

/// The first argument of one who tries several attacks, one after the other.
const ATTACKS: &str = "--attacks";

/// The first argument of a server.
const PART: &str = "--part";

/// The first argument of a run that uses an engine which runs already: its socket and our image follow.
const ENGINE: &str = "--engine";

fn main() -> ExitCode {
    casemate_sandbox::reenter();
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [ATTACK, name, ..] => return own::play(name, &args[2..]),
        [ATTACKS, names, ..] => return walls::play(names, &args[2..]),
        [PART, part, ..] => return parts::play(part, &args[2..]),
        _ => {}
    }
    // Before there is any thread, and so that the engine and all else that is "the host" stand on it. Where it cannot be
    // had, as for an ordinary user, what we were started on has to do.
    let _ = ground::make();
    let docker = match args.first().map(String::as_str) {
        Some(ENGINE) => {
            let rest = args.split_off(3);
            let docker = Docker::running(Path::new(&args[1]), &args[2]);
            args = rest;
            Ok(docker)
        }
        _ if args.iter().any(|arg| arg == "--list") => Err("not started for a list".to_owned()),
        _ => Docker::start(&contents(&std::env::current_exe().unwrap())),
    };
    if let Err(why) = &docker {
        eprintln!("no container is tried: {why}");
    }
    let docker = docker.ok().map(Arc::new);
    let mut arguments = Arguments::from_iter([String::new()].into_iter().chain(args));
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials(docker.as_ref())).exit_code()
}

/// This binary, and what attackers bring along.
fn contents(own: &Path) -> Contents<'_> {
    Contents { program: own, guests: &["/usr/bin/id"], name: "casemate/test" }
}

fn trials(docker: Option<&Arc<Docker>>) -> Vec<Trial> {
    let on_stage = |(name, body): &(&str, stage::Body)| {
        let body = *body;
        trial(docker, name, move |docker| {
            body(&Stage::new(docker));
            Ok(())
        })
    };
    let mut trials: Vec<_> = life::ALL.iter().map(on_stage).collect();
    trials.extend(walls::groups().map(|group| {
        trial(docker, &format!("walls::{}", group.name), move |docker| {
            Ok(walls::run(&docker, &World::new(Kind::Full), group)?)
        })
    }));
    trials.push(trial(docker, network::NAME, |docker| {
        network::by_name(&docker);
        Ok(())
    }));
    // What only the user can do who has started the engine.
    if docker.is_none_or(|docker| docker.is_ours()) {
        trials.extend(images::ALL.iter().map(on_stage));
        trials.push(trial(docker, "walls_hold_for_an_ordinary_user", |docker| as_ordinary_user(&docker)));
    }
    trials
}

/// A test that is left out where there is no engine.
fn trial(
    docker: Option<&Arc<Docker>>,
    name: &str,
    body: impl FnOnce(Arc<Docker>) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let given = docker.cloned();
    let run = move || body(given.ok_or("no engine")?);
    Trial::test(name.to_owned(), run).with_ignored_flag(docker.is_none())
}

/// Runs the attacks again as nobody, who may speak to the engine.
fn as_ordinary_user(docker: &Docker) -> Result<(), Failed> {
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(std::env::current_exe().unwrap())
        .arg(ENGINE)
        .arg(&docker.socket)
        .arg(&docker.image)
        .arg("walls::")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("setpriv: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{out}\n{err}").into()) }
}
