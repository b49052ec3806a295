//! The exit codes: a documented contract for scripts.

use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Success = 0,
    /// It did not, for a reason without a code of its own.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The configuration is wrong.
    Configuration = 3,
    /// No gateway runs, or it cannot be reached.
    Unreachable = 4,
    /// A tool ran and returned an error.
    ToolError = 5,
    /// The gateway refused by policy.
    Refused = 6,
}

impl Exit {
    /// All codes, in the order in which help and man page show them.
    pub const ALL: [Exit; 7] = [
        Exit::Success,
        Exit::Failure,
        Exit::Usage,
        Exit::Configuration,
        Exit::Unreachable,
        Exit::ToolError,
        Exit::Refused,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
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
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
