//! Preparing packages, from the outside: real package clients against a registry of our own, which can lie, and against the
//! real ones where the test cache is set up (CONTRIBUTING.md).
//!
//! Cells are made by executing the binary that links the crate again, so this test has a `main` of its own that starts as
//! every user of the crate must, and is also the program that a test has killed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test binary with a harness of its own, which the configuration's exceptions for tests do not see"
)]

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

mod archive;
mod attacks;
mod npm;
mod pypi;
mod real;
mod registry;
mod wheel;
mod world;

/// The first argument of a process that prepares something and is killed.
const PART: &str = "--part";

/// The first argument of this program when it runs once more as another user.
const AGAIN: &str = "--again";

/// What a test is.
type Body = fn();

fn main() -> ExitCode {
    casemate_sandbox::reenter();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rest @ ..] = args.as_slice()
        && flag == PART
    {
        attacks::play(rest);
        return ExitCode::SUCCESS;
    }
    let mut trials = Vec::new();
    match world::find("npm") {
        Some(_) => {
            trials.extend(npm::ALL.iter().chain(attacks::ALL).map(trial));
            trials.extend(real::cache().iter().flat_map(|_| real::NPM).map(trial));
        }
        None => eprintln!("not tried, because npm is not installed: everything about it"),
    }
    if world::has_pip() {
        trials.extend(pypi::ALL.iter().map(trial));
        trials.extend(real::cache().iter().flat_map(|_| real::PYPI).map(trial));
    } else {
        eprintln!("not tried, because Python has no pip: everything about PyPI");
    }
    if rustix::process::geteuid().is_root() {
        trials.push(Trial::test("the_same_as_an_ordinary_user", as_ordinary_user));
    }
    let again = args.first().is_some_and(|flag| flag == AGAIN);
    if again {
        trials.retain(|trial| DIFFERENT.iter().any(|word| trial.name().contains(word)));
    }
    let mut arguments = if again { Arguments::from_iter(["prepare"]) } else { Arguments::from_args() };
    // Package clients are heavy, and some tests look at all processes.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial((name, body): &(&'static str, Body)) -> Trial {
    let body = *body;
    Trial::test(*name, move || {
        body();
        Ok(())
    })
}

/// What differs between users: who owns the trees, and as whom package clients run.
const DIFFERENT: [&str; 8] = [
    "runs_without_network",
    "at_once",
    "scripts_run",
    "stays_in_its_tree",
    "was_changed",
    "script_leads_outside",
    "killed",
    "cannot_change",
];

/// Runs the part of the suite again as nobody that could come out otherwise.
fn as_ordinary_user() -> Result<(), Failed> {
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(std::env::current_exe().unwrap())
        .arg(AGAIN)
        // The cache is root's.
        .env_remove("CASEMATE_TEST_CACHE")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("setpriv: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{out}\n{err}").into()) }
}
