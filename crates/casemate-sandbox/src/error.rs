//! Why a program could not be started.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::containment::Refused;
use crate::message::{Failure, Stage};
use crate::room::{Plan, Refusal};
use crate::spec::Spec;

/// Why a program could not be started. Display says what happened; [`Error::hint`] what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The specification itself cannot be carried out.
    #[error("{program:?} cannot be started: {what}")]
    Spec {
        /// The program as it was asked for.
        program: OsString,
        /// What is wrong with the specification.
        what: &'static str,
    },
    /// A program without a slash is in none of the directories of its PATH.
    #[error("no program named {program:?} in PATH {path}")]
    NotInPath {
        /// The program as it was asked for.
        program: OsString,
        /// The PATH that was searched.
        path: String,
    },
    /// A program given as a path does not exist.
    #[error("no program at {program:?}")]
    NoProgram {
        /// The program as it was asked for.
        program: OsString,
    },
    /// The program exists, but may not be executed.
    #[error("{program:?} is not executable")]
    NotExecutable {
        /// The program as it was asked for.
        program: OsString,
    },
    /// The program exists, but what its first line (or its ELF header) names does not.
    #[error("{program:?} exists, but the interpreter it names does not")]
    NoInterpreter {
        /// The program as it was asked for.
        program: OsString,
    },
    /// The working directory cannot be entered.
    #[error("the working directory {cwd:?} cannot be entered")]
    Directory {
        /// The working directory as it was asked for.
        cwd: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused to execute the program.
    #[error("{program:?} cannot be executed")]
    Exec {
        /// The program as it was asked for.
        program: OsString,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The host lacks what every process needs: descriptors, processes, memory.
    #[error("the host refused {what}")]
    Host {
        /// What was asked of it.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// None of the containments asked for can be had here.
    #[error("no containment for processes can be had: {}", list(.refused))]
    NoContainment {
        /// What was tried, with the reasons.
        refused: Vec<Refused>,
    },
    /// The cell that was asked for cannot be had.
    #[error("{program:?} gets no cell: {refusal}")]
    NoCell {
        /// The program as it was asked for.
        program: OsString,
        /// What is missing, and what to change.
        refusal: Refusal,
    },
    /// The cell's first process ended before the program was started.
    #[error("the cell of {program:?} ended before the program started")]
    CellEnded {
        /// The program as it was asked for.
        program: OsString,
    },
    /// The thread that starts processes has ended, which only happens when the process is going down.
    #[error("processes are no longer started")]
    SpawnerEnded,
    /// [`crate::reenter`] was not called at the start of `main`, so our own binary cannot become a cell.
    #[error("this program cannot make cells: its main() does not call casemate_sandbox::reenter() first")]
    NotReentrant,
}

impl Error {
    /// What a person can do about it, as one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::Spec { .. } => "correct the server's command, arguments, environment or directory",
            Error::NotInPath { .. } => {
                "install it, or give its absolute path; a server does not see the PATH of your shell"
            }
            Error::NoProgram { .. } => "check the path; a relative one starts at the working directory",
            Error::NotExecutable { .. } => "name a file that has execute permission for this user (chmod +x)",
            Error::NoInterpreter { .. } => "install the interpreter, or correct the program's first line",
            Error::Directory { .. } => "create the directory, or name one that this user may enter",
            Error::Exec { .. } => {
                "check that it is a program for this machine, and start it through its runtime"
            }
            Error::Host { .. } => "raise the limits on open files and processes, or stop some servers",
            Error::NoContainment { .. } => {
                "allow user namespaces for this user, or do not ask for a stronger one"
            }
            Error::NoCell { refusal, .. } => refusal.remedy,
            Error::CellEnded { .. } => "look for an out-of-memory kill in the kernel log, then try again",
            Error::SpawnerEnded => "start casemate again",
            Error::NotReentrant => "call casemate_sandbox::reenter() as the first statement of main()",
        }
    }

    pub(crate) fn host(what: &'static str) -> impl Fn(rustix::io::Errno) -> Error {
        move |errno| Error::Host { what, source: errno.into() }
    }

    /// Puts what the cell reported, a stage and an error number, into words about the specification.
    pub(crate) fn of_failure(failure: Failure, spec: &Spec, plan: Option<&Plan>) -> Error {
        let program = spec.program.clone();
        let source = io::Error::from_raw_os_error(failure.errno);
        match failure.stage {
            Stage::Directory => Error::Directory { cwd: spec.cwd.clone().unwrap_or_default(), source },
            Stage::NotInPath => Error::NotInPath { program, path: spec.path().to_owned() },
            Stage::NoProgram => Error::NoProgram { program },
            Stage::NotExecutable => Error::NotExecutable { program },
            Stage::NoInterpreter => Error::NoInterpreter { program },
            Stage::Exec => Error::Exec { program, source },
            Stage::Namespace => Error::Host { what: "the cell's namespaces", source },
            Stage::Fork => Error::Host { what: "a process for the server", source },
            Stage::Order => Error::Host { what: "the hand-over of the command", source },
            Stage::Ended => Error::CellEnded { program },
            Stage::Sockets => Error::Host { what: "the sockets of a cell", source },
            Stage::Listener => Error::Host { what: "somebody who watches the server", source },
            Stage::Step(number) => match plan.and_then(|plan| plan.refusal(number, &source)) {
                Some(refusal) => Error::NoCell { program, refusal },
                None => Error::CellEnded { program },
            },
        }
    }
}

fn list(refused: &[Refused]) -> String {
    refused.iter().map(Refused::to_string).collect::<Vec<_>>().join("; ")
}
