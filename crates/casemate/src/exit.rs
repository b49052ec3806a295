//! The exit codes: a documented contract for scripts.

use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Success,
    /// It did not, for a reason without a code of its own.
    Failure,
    /// The command line makes no sense.
    Usage,
    /// The configuration is wrong.
    Configuration,
    /// No gateway runs, or it cannot be reached.
    Unreachable,
    /// A tool ran and returned an error.
    ToolError,
    /// The gateway refused by policy.
    Refused,
    /// `run` could not start its command. No program that is run ends with this by itself, or so `env` and others hope.
    NotStarted,
    /// What the command of `run --raw` ended with; 128 and the number of the signal that ended it.
    Command(u8),
}

impl Exit {
    /// All codes of our own, in the order in which help and man page show them.
    pub const ALL: [Exit; 8] = [
        Exit::Success,
        Exit::Failure,
        Exit::Usage,
        Exit::Configuration,
        Exit::Unreachable,
        Exit::ToolError,
        Exit::Refused,
        Exit::NotStarted,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Configuration => 3,
            Exit::Unreachable => 4,
            Exit::ToolError => 5,
            Exit::Refused => 6,
            Exit::NotStarted => 125,
            Exit::Command(code) => code,
        }
    }

    /// What it means, for people.
    pub fn about(self) -> &'static str {
        match self {
            Exit::Success => "done",
            Exit::Failure => "failed; the error says why",
            Exit::Usage => "the command line is wrong",
            Exit::Configuration => "the configuration is wrong",
            Exit::Unreachable => "no gateway runs, or it cannot be reached",
            Exit::ToolError => "a tool ran and returned an error",
            Exit::Refused => "the gateway refused by policy",
            Exit::NotStarted => "run: the command was not started; the error says why",
            Exit::Command(_) => "run --raw: what the command ended with, or 128 and its signal",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
