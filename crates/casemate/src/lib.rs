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
pub mod usage;
pub mod wiring;

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    let environment = environment::Environment::of_process();
    let parsed =
        args::command().try_get_matches().and_then(|matches| args::Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return usage::tell(error, context::form(&environment)),
    };
    let output = context::output(&environment, &arguments.global);
    let ended = match arguments.command {
        // Packagers have no home, and these need none.
        args::Command::Offline(command) => commands::offline(&output, &command),
        args::Command::Config(args::config::Config::Schema) => commands::config::schema(&output),
        command => context::Context::new(environment, arguments.global, output)
            .and_then(|context| commands::run(&Arc::new(context), command)),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            output.error(&error);
            failure::exit_of(&error).into()
        }
    }
}
