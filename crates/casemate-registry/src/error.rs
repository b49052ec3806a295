//! Why a package could not be prepared.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a package could not be prepared. Display says what happened; [`Error::hint`] what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry cannot be reached.
    #[error("the registry {registry} cannot be reached: {said}")]
    Unreachable {
        /// Its address, without credentials.
        registry: String,
        /// What the package client said.
        said: String,
    },
    /// The registry wants to know who asks, and does not like the answer.
    #[error("the registry {registry} refuses us: {said}")]
    Unauthorized {
        /// Its address, without credentials.
        registry: String,
        /// What the package client said.
        said: String,
    },
    /// The registry has no package of that name.
    #[error("{registry} has no package {name}")]
    NoPackage {
        /// Its address, without credentials.
        registry: String,
        /// The package, or one that it depends on.
        name: String,
    },
    /// The registry has the package, but not in that version.
    #[error("there is no version {version} of {name}")]
    NoVersion {
        /// The package.
        name: String,
        /// The version.
        version: String,
        /// Versions that there are, the nearest first.
        nearest: Vec<String>,
    },
    /// What the registry serves is not what it has promised, or not what was prepared before.
    #[error("what the registry serves is not what was promised: {said}")]
    Integrity {
        /// What the package client said.
        said: String,
    },
    /// The package does not work without running code while it is installed.
    #[error("{package} has to run code of its own while it is installed")]
    NeedsScripts {
        /// The package, or one that it depends on.
        package: String,
    },
    /// What such packages need is not installed here.
    #[error("{program} is not installed")]
    NoRuntime {
        /// What is missing.
        program: &'static str,
        /// How one gets it.
        remedy: &'static str,
    },
    /// There is a Python here, but not the one that was asked for.
    #[error("there is no Python {wanted} here")]
    NoPython {
        /// The version, or the beginning of one.
        wanted: String,
        /// A version that there is.
        found: Option<String>,
    },
    /// The package is there in that version, but as source for a compiler, or for another Python or machine.
    #[error("{package} has no wheel for Python {python} on this machine")]
    NoWheel {
        /// The package, or one that it depends on.
        package: String,
        /// The version of the Python that would run it.
        python: String,
    },
    /// The packages bring no such program.
    #[error("{package} brings no program called {command}")]
    NoProgram {
        /// The package.
        package: String,
        /// The program that is asked for.
        command: String,
        /// The programs that it brings.
        there: Vec<String>,
    },
    /// What was fetched is not acceptable, whoever has written it.
    #[error("{package} is refused: {what}")]
    Unfit {
        /// The package, or one that it depends on.
        package: String,
        /// What is wrong with it.
        what: String,
    },
    /// What was prepared is not what it was.
    #[error("the files of {package} were changed after they were prepared")]
    Changed {
        /// The package.
        package: String,
        /// Where it lies.
        place: PathBuf,
    },
    /// The package client could not do it.
    #[error("{tool} failed: {said}")]
    Failed {
        /// Its name.
        tool: &'static str,
        /// What it said last.
        said: String,
    },
    /// The package client did not come to an end.
    #[error("{tool} did not end within {} s", .after.as_secs())]
    Slow {
        /// Its name.
        tool: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// The package client could not be started.
    #[error("{tool} cannot be started in a cell")]
    Cell {
        /// Its name.
        tool: &'static str,
        /// Why.
        source: casemate_sandbox::Error,
    },
    /// A setting for registries cannot be used.
    #[error("{what}")]
    Setting {
        /// Which, and why. Credentials are not shown.
        what: String,
    },
    /// A file of ours cannot be used.
    #[error("cannot {doing} {path}")]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

impl Error {
    /// What a person can do about it, as one sentence.
    pub fn hint(&self) -> String {
        match self {
            Error::Unreachable { .. } => {
                "check the network, and the registry, proxy and CA that npm, pip and uv are told to use; what was prepared once \
                 starts without them"
                    .to_owned()
            }
            Error::Unauthorized { .. } => "check the registry's credentials in your npm, pip or uv settings".to_owned(),
            Error::NoPackage { .. } => "check the spelling; whoever registers a misspelled name is served".to_owned(),
            Error::NoVersion { nearest, .. } if nearest.is_empty() => "name a version that exists".to_owned(),
            Error::NoVersion { nearest, .. } => format!("the nearest are {}", nearest.join(", ")),
            Error::Integrity { .. } => {
                "do not use it: a published version never changes, so the registry, a mirror or somebody between is at fault"
                    .to_owned()
            }
            Error::NeedsScripts { package } => format!(
                "if you trust {package} and all that it depends on, write install_scripts = true into the server's entry; \
                 they run in a cell without network"
            ),
            Error::NoRuntime { remedy, .. } => (*remedy).to_owned(),
            Error::NoPython { found: Some(found), .. } => {
                format!("install it (uv python install, pyenv install), or ask for Python {found}, which is here")
            }
            Error::NoPython { found: None, .. } => "install it (uv python install, pyenv install)".to_owned(),
            Error::NoWheel { .. } => {
                "name a version that has one, or another Python (--python 3.12); nothing is built from source, because that \
                 runs the package's own code"
                    .to_owned()
            }
            Error::NoProgram { there, .. } if there.is_empty() => "it is a library; name another package".to_owned(),
            Error::NoProgram { there, .. } => format!("it brings {}", there.join(", ")),
            Error::Unfit { .. } => "do not use it, and tell whoever publishes it".to_owned(),
            Error::Changed { place, .. } => {
                format!("find out who did it; then remove {} and start the server again", place.display())
            }
            Error::Failed { .. } => "try the same version with the package client itself, in a container".to_owned(),
            Error::Slow { .. } => "try again; what was fetched so far was thrown away".to_owned(),
            Error::Cell { source, .. } => source.hint().to_owned(),
            Error::Setting { .. } => "correct the variable or file that npm, pip and uv read it from".to_owned(),
            Error::File { .. } => "check the owner, the mode and the free space of the folder".to_owned(),
        }
    }

    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { doing, path, source }
    }

    pub(crate) fn unfit(package: &str, what: impl Into<String>) -> Error {
        Error::Unfit { package: package.to_owned(), what: what.into() }
    }

    pub(crate) fn no_node() -> Error {
        Error::NoRuntime {
            program: "node with npm",
            remedy: "install Node.js with npm (apt install nodejs npm, or https://nodejs.org)",
        }
    }

    pub(crate) fn no_python() -> Error {
        Error::NoRuntime {
            program: "Python 3.8 or newer, with pip 22.3 or newer or with uv",
            remedy: "install uv (https://docs.astral.sh/uv) or Python with pip (apt install python3 python3-pip)",
        }
    }
}

/// What a program has written, for a person: its last lines, without what could confuse a terminal.
pub(crate) fn last_words(text: &[u8]) -> String {
    /// More does not fit under a message.
    const CHARS_MAX: usize = 600;
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join("; ");
    let clean: String = last.chars().filter(|c| !is_unprintable(*c)).collect();
    let skip = clean.chars().count().saturating_sub(CHARS_MAX);
    let kept: String = clean.chars().skip(skip).collect();
    if kept.is_empty() { "it said nothing".to_owned() } else { kept }
}

/// Control characters, and those that reorder or hide text.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}
