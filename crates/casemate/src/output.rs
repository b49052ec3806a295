//! What people and scripts read: data on stdout, talk on stderr, colors on terminals alone.
//!
//! A command builds one [`Report`]; `--json` prints it as JSON, otherwise it lays itself out on a [`Page`].

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use serde::Serialize;

use crate::failure::{Account, Problem};

pub mod masked;
pub mod page;
pub mod text;

pub use page::{Entry, Page, Style, Tone};

/// Data that a command prints, for scripts (through `Serialize`) and for people.
pub trait Report: Serialize {
    /// Lays the data out for people.
    fn lay_out(&self, page: &mut Page);
}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Human,
    /// For scripts: one JSON value.
    Json,
}

/// When colors are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal that understands them.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two streams of the program and how they are written.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    form: Form,
    stdout: Style,
    stderr: Style,
}

impl Output {
    /// Decides once how everything is printed. `wanted` is what the environment says about colors.
    pub fn new(form: Form, color: Color, wanted: Style) -> Output {
        let style = |terminal: bool| match color {
            Color::Always => Style::Colored,
            Color::Never => Style::Plain,
            Color::Auto if terminal => wanted,
            Color::Auto => Style::Plain,
        };
        Output { form, stdout: style(io::stdout().is_terminal()), stderr: style(io::stderr().is_terminal()) }
    }

    /// Whether people or scripts read.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Prints a command's data on stdout.
    pub fn print(&self, report: &impl Report) -> anyhow::Result<()> {
        match self.form {
            Form::Json => self.print_json(report),
            Form::Human => {
                let mut page = Page::new(self.stdout);
                report.lay_out(&mut page);
                self.write(page.finish().as_bytes())
            }
        }
    }

    /// Prints a value as one line of JSON on stdout.
    pub fn print_json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(value).context("cannot write the answer as JSON")?;
        line.push(b'\n');
        self.write(&line)
    }

    /// Writes bytes to stdout. A reader that went away (`casemate list | head -1`) is no failure.
    pub fn write(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write to standard output"),
        }
    }

    /// Says something on stderr that is not data; scripts do not get it.
    pub fn note(&self, message: &str) {
        if self.form == Form::Human {
            self.say(|page| page.line(&text::safe(message)));
        }
    }

    /// Gives a next step on stderr; scripts do not get it.
    pub fn hint(&self, message: &str) {
        if self.form == Form::Human {
            self.say(|page| page.labelled(Tone::Hint, "hint:", message));
        }
    }

    /// Warns on stderr; scripts get a line of JSON.
    pub fn warn(&self, message: &str) {
        match self.form {
            Form::Human => self.say(|page| page.labelled(Tone::Warning, "warning:", message)),
            Form::Json => say_json(&Warned { warning: Warning { message } }),
        }
    }

    /// Tells on stderr why a command failed.
    pub fn error(&self, error: &anyhow::Error) {
        let account = Account::of(error);
        match self.form {
            Form::Human => self.say(|page| lay_out_error(&account, page)),
            Form::Json => {
                #[derive(Serialize)]
                struct Line {
                    error: Account,
                }
                say_json(&Line { error: account });
            }
        }
    }

    /// Lays something out on stderr.
    pub fn say(&self, lay_out: impl FnOnce(&mut Page)) {
        let mut page = Page::new(self.stderr);
        lay_out(&mut page);
        // There is nobody left to tell when stderr is gone.
        let _ = io::stderr().lock().write_all(page.finish().as_bytes());
    }
}

#[derive(Serialize)]
struct Warned<'a> {
    warning: Warning<'a>,
}

/// An object, so that more can be said one day.
#[derive(Serialize)]
struct Warning<'a> {
    message: &'a str,
}

/// Says a value on stderr, as one line of JSON.
fn say_json(value: &impl Serialize) {
    let line = serde_json::to_string(value).unwrap_or_default();
    // There is nobody left to tell when stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn lay_out_error(account: &Account, page: &mut Page) {
    let message = match &account.code {
        Some(code) => format!("{} ({code})", account.message),
        None => account.message.clone(),
    };
    page.labelled(Tone::Error, "error:", &message);
    for cause in &account.causes {
        page.labelled(Tone::Quiet, "  because:", cause);
    }
    for problem in &account.problems {
        lay_out_problem(problem, page);
    }
    for hint in &account.hints {
        page.labelled(Tone::Hint, "hint:", hint);
    }
}

fn lay_out_problem(problem: &Problem, page: &mut Page) {
    page.labelled(Tone::Strong, &format!("  {}:", text::safe(&problem.place)), &problem.message);
    if let Some(hint) = &problem.hint {
        page.labelled(Tone::Hint, "    hint:", hint);
    }
}
