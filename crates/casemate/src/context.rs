//! What every command is given: the environment, the folders, and how to print.

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use casemate_gateway::upstream::Masks;
use casemate_inspect::SEED_BYTES;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use crate::args::Global;
use crate::environment::{CASEMATE_LOG, CASEMATE_LOG_FORMAT, Environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log::Masked;
use crate::output::{Form, Output, Style};
use crate::paths::Paths;

/// What every command is given.
#[derive(Debug)]
pub struct Context {
    /// The variables of this process.
    pub environment: Environment,
    /// The options that every command takes.
    pub global: Global,
    /// The folders of the installation.
    pub paths: Paths,
    /// How to print.
    pub output: Output,
    /// The secrets that are kept out of what is logged.
    pub masks: Arc<Masks>,
    /// What planted values are made from, where servers are started.
    pub seed: OnceLock<[u8; SEED_BYTES]>,
}

impl Context {
    /// Resolves flags and variables, once.
    pub fn new(environment: Environment, global: Global, output: Output) -> anyhow::Result<Context> {
        let paths = Paths::resolve(&environment, global.home.as_deref(), global.config.as_deref())?;
        Ok(Context { environment, global, paths, output, masks: Arc::default(), seed: OnceLock::new() })
    }

    /// Starts logging to stderr. `level` is what is logged unless the environment or `-v` says otherwise.
    pub fn start_logging(&self, level: LevelFilter) -> anyhow::Result<()> {
        let level = match self.global.verbose {
            0 => level,
            1 => level.max(LevelFilter::INFO),
            2 => level.max(LevelFilter::DEBUG),
            _ => LevelFilter::TRACE,
        };
        let filter = match self.environment.text(CASEMATE_LOG) {
            Some(wanted) => wanted.parse::<EnvFilter>().context(
                Failure::new(Exit::Usage, format!("{CASEMATE_LOG} is not a log filter: `{wanted}`"))
                    .hint("write a level such as `debug`, or `casemate_gateway=trace`"),
            )?,
            None => EnvFilter::default().add_directive(level.into()),
        };
        let colors = std::io::stderr().is_terminal() && self.environment.colors_wanted();
        let writer = Masked(Arc::clone(&self.masks));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colors);
        if self.environment.text(CASEMATE_LOG_FORMAT) == Some("json") {
            lines.json().init();
        } else {
            lines.init();
        }
        Ok(())
    }

    /// A runtime for a command that waits for one thing at a time.
    pub fn small_runtime(&self) -> anyhow::Result<tokio::runtime::Runtime> {
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
    }
}

/// How to print, which must be known before anything can fail.
pub fn output(environment: &Environment, global: &Global) -> Output {
    let form = if global.json { Form::Json } else { Form::Human };
    let style = if environment.colors_wanted() { Style::Colored } else { Style::Plain };
    Output::new(form, global.color, style)
}

/// How to print before the command line is understood: whether it asks for JSON is seen in its words.
pub fn form(environment: &Environment) -> (Form, Style) {
    let ours = std::env::args_os().take_while(|word| word != "--");
    let form = if ours.into_iter().any(|word| word == "--json") { Form::Json } else { Form::Human };
    (form, if environment.colors_wanted() { Style::Colored } else { Style::Plain })
}
