//! Why a server is not started.

use std::collections::BTreeMap;
use std::error::Error as _;

use casemate_gateway::snapshot::Room;
use casemate_mcp::names::ServerName;
use casemate_registry::{Unpinned, Wanted};
use casemate_sandbox::{Error, Kind, Layer};

/// Why a server is not started, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\nhint: {hint}")]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// A next step.
    pub hint: String,
}

impl Refused {
    pub(super) fn new(what: impl Into<String>, hint: impl Into<String>) -> Refused {
        Refused { what: what.into(), hint: hint.into() }
    }

    /// What stood in the way of a package.
    pub(crate) fn by_registry(error: &casemate_registry::Error, spelling: Spelling) -> Refused {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let hint = match (error, spelling) {
            (casemate_registry::Error::NeedsScripts { package }, Spelling::Flags) => format!(
                "if you trust {package} and all that it depends on, add --install-scripts; they run in a cell without network"
            ),
            _ => error.hint(),
        };
        Refused::new(format!("{error}{cause}"), hint)
    }

    /// A package whose version was not written, with those that were looked up.
    pub(crate) fn unpinned(
        unpinned: &Unpinned,
        found: &BTreeMap<Wanted, String>,
        spelling: Spelling,
    ) -> Refused {
        let hint = match spelling {
            Spelling::Entry => unpinned.hint(found),
            Spelling::Flags => unpinned.hint_of(found, |words| format!("-- {}", words.join(" "))),
        };
        Refused::new(unpinned.to_string(), hint)
    }

    /// What the sandbox said, and which ways out there are.
    pub(super) fn by_sandbox(error: &Error, asking: &Asking<'_>) -> Refused {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let what = format!("{error}{cause}");
        let hint = error.hint();
        let Some(room) = asking.room else { return Refused::new(what, hint) };
        match error {
            Error::NoCell { refusal, .. } if is_the_hosts(refusal.layer) => {
                Refused::new(what, format!("{hint}. {}", asking.weaker(room.kind)))
            }
            Error::NotInPath { .. }
            | Error::NoProgram { .. }
            | Error::NoInterpreter { .. }
            | Error::NotExecutable { .. }
            | Error::Directory { .. } => Refused::new(what, format!("{hint}; {}", asking.missing())),
            _ => Refused::new(what, hint),
        }
    }
}

/// How settings are spelled by those who can change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As keys of a server's entry.
    Entry,
    /// As flags of `casemate run`.
    Flags,
}

impl Spelling {
    /// Where a list was written.
    pub fn said(self, key: &str) -> String {
        match self {
            Spelling::Entry => format!("`{key}` in its entry"),
            Spelling::Flags => format!("--{}", key.replace('_', "-")),
        }
    }
}

/// Who was refused something.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) server: &'a ServerName,
    /// What its entry asks for; nothing for one without a cell.
    pub(super) room: Option<&'a Room>,
    pub(super) spelling: Spelling,
}

impl Asking<'_> {
    /// What to do where the host cannot enforce what was asked for.
    fn weaker(&self, kind: Kind) -> String {
        let server = self.server;
        let (place, light, none, shows) = match self.spelling {
            Spelling::Entry => {
                (format!("In [servers.{server}], "), "cell = \"light\"", "allow_unsandboxed = true", "doctor")
            }
            Spelling::Flags => (String::new(), "--light", "--allow-unsandboxed", "sandbox probe"),
        };
        let light = match kind {
            Kind::Full => format!("{light} asks for a weaker one without network, and "),
            Kind::Light => String::new(),
        };
        format!("{place}{light}{none} does without; `casemate {shows}` shows what this host can enforce")
    }

    /// What to do about a server that does not find what it needs.
    fn missing(&self) -> String {
        let server = self.server;
        let (names, learn) = match self.spelling {
            Spelling::Entry => (format!("`read = […]` in [servers.{server}] names"), server.to_string()),
            Spelling::Flags => ("--read and --write name".to_owned(), "-- COMMAND".to_owned()),
        };
        format!(
            "in its cell it sees its own program and the host's libraries, and of the rest what {names} \
             (`casemate sandbox learn {learn}` finds out what it needs)"
        )
    }
}

/// Whether the host stands in the way of a layer, and not what was asked for.
fn is_the_hosts(layer: Layer) -> bool {
    !matches!(
        layer,
        Layer::Files
            | Layer::ReadOnly
            | Layer::Memory
            | Layer::Tasks
            | Layer::OpenFiles
            | Layer::FileSize
            | Layer::Tmp
    )
}
