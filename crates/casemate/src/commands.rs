//! One file per command; this one only says which.

use std::sync::Arc;

use casemate_config::State;
use tracing_subscriber::filter::LevelFilter;

use crate::args::Command;
use crate::args::offline::Offline;
use crate::context::Context;
use crate::control::wire::Action;
use crate::exit::Exit;
use crate::output::Output;

pub mod approvals;
pub mod call;
pub mod completions;
pub mod config;
pub mod connect;
pub mod control;
pub mod doctor;
pub mod down;
pub mod edit;
pub mod explain;
pub mod help;
pub mod install;
pub mod interceptors;
pub mod key;
pub mod list;
pub mod login;
pub mod pin;
pub mod policy;
pub mod prepare;
pub mod quarantine;
pub mod run;
pub mod sandbox;
pub mod secret;
pub mod service;
pub mod sessions;
pub mod toolkit;
pub mod up;

/// Does what was asked.
pub fn run(context: &Arc<Context>, command: Command) -> anyhow::Result<Exit> {
    if !matches!(command, Command::Up(_)) {
        // The gateway logs as its configuration says, so it starts that by itself.
        context.start_logging(LevelFilter::WARN)?;
    }
    match command {
        Command::Up(args) => up::run(context, &args),
        Command::Down(args) => down::run(context, &args),
        Command::Connect(args) => connect::run(context, &args),
        Command::Add(args) => edit::add(context, args),
        Command::List => list::list(context),
        Command::Show(args) => list::show(context, &args),
        Command::Remove(args) => edit::remove(context, &args.server),
        Command::Enable(args) => edit::set_state(context, &args.server, State::Enabled),
        Command::Disable(args) => edit::set_state(context, &args.server, State::Disabled),
        Command::Start(args) => control::act(context, &args.server, Action::Start),
        Command::Stop(args) => control::act(context, &args.server, Action::Stop),
        Command::Restart(args) => control::act(context, &args.server, Action::Restart),
        Command::Prepare(args) => prepare::run(context, &args),
        Command::Logs(args) => control::logs(context, &args),
        Command::Call(args) => call::run(context, &args),
        Command::Import(args) => edit::import(context, &args),
        Command::Run(args) => run::run(context, &args),
        Command::Sandbox(args) => sandbox::run(context, &args),
        Command::Service(args) => service::run(context, &args),
        Command::Install(args) => install::install(context, &args),
        Command::Uninstall(args) => install::uninstall(context, &args),
        Command::Key(args) => key::run(context, &args),
        Command::Policy(args) => policy::run(context, &args),
        Command::Login(args) => login::login(context, &args),
        Command::Logout(args) => login::logout(context, &args),
        Command::Pin(args) => pin::run(context, &args),
        Command::Secret(args) => secret::run(context, &args),
        Command::Sessions(args) => sessions::run(context, &args),
        Command::Approvals(args) => approvals::run(context, &args),
        Command::Quarantine(args) => quarantine::run(context, &args),
        Command::Interceptors => interceptors::list(context),
        Command::Config(args) => config::run(context, &args),
        Command::Doctor(args) => doctor::run(context, &args),
        Command::Offline(command) => offline(&context.output, &command),
        Command::Toolkit(args) => toolkit::run(context, &args),
    }
}

/// Does what needs no installation.
pub fn offline(output: &Output, command: &Offline) -> anyhow::Result<Exit> {
    match command {
        Offline::Explain(args) => explain::run(output, args),
        Offline::Completions(args) => completions::completions(output, args),
        Offline::Man(args) => completions::man(output, args),
        Offline::Help(args) => help::run(output, args),
    }
}
