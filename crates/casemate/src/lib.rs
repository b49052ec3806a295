//! The program: command line and wiring.
//!
//! It knows the environment, the folders of an installation, the command line and how the other crates fit
//! together. It does not know how a call is judged or forwarded (casemate-gateway), what a configuration means
//! (casemate-config) or how a process is confined (casemate-sandbox).

use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches;

pub mod absent;
pub mod args;
pub mod browser;
pub mod cells;
pub mod clock;
pub mod commands;
pub mod configuration;
pub mod context;
pub mod control;
pub mod daemon;
pub mod environment;
pub mod exit;
pub mod failure;
pub mod keyring;
pub mod launch;
pub mod link;
pub mod lock_file;
pub mod log;
pub mod output;
pub mod packages;
pub mod pages;
pub mod paths;
pub mod secrets;
pub mod seed;
pub mod terminal;
pub mod typed;
pub mod wiring;

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    let environment = environment::Environment::of_process();
    let parsed =
        args::command().try_get_matches().and_then(|matches| args::Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = context::output(&environment, &arguments.global);
    let ended = context::Context::new(environment, arguments.global, output)
        .and_then(|context| commands::run(&Arc::new(context), arguments.command));
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            output.error(&error);
            failure::exit_of(&error).into()
        }
    }
}

/// Help and version go to stdout and succeed; everything else is a mistake on the command line.
fn usage(error: &clap::Error) -> ExitCode {
    // There is nobody left to tell when the stream is gone.
    let _ = error.print();
    if error.use_stderr() { exit::Exit::Usage.into() } else { exit::Exit::Success.into() }
}
