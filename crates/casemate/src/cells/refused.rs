//! Why a server is not started.

use std::error::Error as _;

use casemate_gateway::snapshot::Room;
use casemate_mcp::names::ServerName;
use casemate_sandbox::{Error, Kind, Layer};

/// Why a server is not started, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}. hint: {hint}")]
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
    pub(super) fn by_registry(error: &casemate_registry::Error) -> Refused {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Refused::new(format!("{error}{cause}"), error.hint())
    }

    /// What the sandbox said, and which ways out the configuration has.
    pub(super) fn by_sandbox(error: &Error, server: &ServerName, room: Option<&Room>) -> Refused {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let what = format!("{error}{cause}");
        let hint = error.hint();
        let Some(room) = room else { return Refused::new(what, hint) };
        match error {
            Error::NoCell { refusal, .. } if is_the_hosts(refusal.layer) => {
                let weaker = match room.kind {
                    Kind::Full => "cell = \"light\" asks for a weaker one without network, and ",
                    Kind::Light => "",
                };
                let hint = format!(
                    "{hint}. In [servers.{server}], {weaker}allow_unsandboxed = true does without; `casemate doctor` shows \
                     what this host can enforce"
                );
                Refused::new(what, hint)
            }
            Error::NotInPath { .. }
            | Error::NoProgram { .. }
            | Error::NoInterpreter { .. }
            | Error::NotExecutable { .. }
            | Error::Directory { .. } => Refused::new(what, format!("{hint}; {}", missing(server))),
            _ => Refused::new(what, hint),
        }
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

/// What to do about a server that does not find what it needs.
fn missing(server: &ServerName) -> String {
    format!(
        "in its cell it sees its own program and the host's libraries, and of the rest what `read = […]` in \
         [servers.{server}] names (`casemate sandbox learn {server}` finds out what it needs)"
    )
}
