//! Cells, from the outside: real processes, all containments, as root and as an ordinary user.
//!
//! Cells are made by executing the binary that links the crate again, so this test has a `main` of its own that
//! starts as every user of the crate must, and is also the program that a test has killed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test binary with a harness of its own, which the configuration's exceptions for tests do not see"
)]

use std::process::{Command, ExitCode, Stdio};

use casemate_sandbox::{Containment, Error, Spawner};
use libtest_mimic::{Arguments, Failed, Trial};

mod basics;
mod stage;
mod starts;
mod trees;

/// The first argument of a process that plays a part in a test.
const PART: &str = "--part";

fn main() -> ExitCode {
    casemate_sandbox::reenter();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, part, rest @ ..] = args.as_slice()
        && flag == PART
    {
        trees::play(part, rest);
        return ExitCode::SUCCESS;
    }
    let mut trials = vec![Trial::test("detached_programs_outlive_us", || {
        trees::detached_programs_outlive_us();
        Ok(())
    })];
    for containment in Containment::ALL {
        let available = match Spawner::start_with(stage::only(containment)) {
            Ok(_) => true,
            Err(Error::NoContainment { refused }) => {
                eprintln!("not available here: {}", refused[0]);
                false
            }
            Err(error) => panic!("{error}"),
        };
        for (name, body) in basics::ALL.iter().chain(starts::ALL).chain(trees::ALL) {
            let body = *body;
            let run = move || {
                stage::play(containment, body);
                Ok(())
            };
            trials.push(Trial::test(format!("{containment}::{name}"), run).with_ignored_flag(!available));
        }
    }
    if rustix::process::geteuid().is_root() {
        trials.push(Trial::test("all_of_this_as_an_ordinary_user", as_ordinary_user));
        trials.push(Trial::test(
            "reapers_work_in_a_session_begun_outside_of_our_pid_namespace",
            in_a_foreign_session,
        ));
    }
    let mut arguments = Arguments::from_args();
    // Tests look at the whole process (its children, its descriptors), so one at a time.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs the whole suite again as nobody.
fn as_ordinary_user() -> Result<(), Failed> {
    again("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups", "--"], &[])
}

/// As under `docker exec`: our own session has no number here, which once brought the spawner down. The shell is there
/// to be the namespace's first process, to which all orphans go.
fn in_a_foreign_session() -> Result<(), Failed> {
    let shell = ["sh", "-c", r#""$@"; exit $?"#, "sh"];
    again("unshare", &[&["--pid", "--fork", "--mount-proc", "--"], shell.as_slice()].concat(), &["reaper::"])
}

/// Runs the tests whose names contain one of `filter` once more, by way of another program.
fn again(program: &str, prefix: &[&str], filter: &[&str]) -> Result<(), Failed> {
    let output = Command::new(program)
        .args(prefix)
        .arg(std::env::current_exe().unwrap())
        .args(filter)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(format!("{out}\n{err}").into()) }
}

/// What a test of every containment is.
type Body = fn(&stage::Stage);
