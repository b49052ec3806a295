//! Between the stages, and around all of them: what is in quarantine is neither asked nor asks.
//!
//! A subject is judged before anything is done for it, a target as soon as it is known, and both again whenever something
//! is put in while the call runs: then it is struck wherever it is, and its server is told that it was given up.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use tokio::sync::watch;

use super::receive::Received;
use super::route::{Routed, Target};
use crate::catalog::{Item, Kind, Shelf};
use crate::clock;
use crate::gate::Gate;
use crate::quarantine::{Entry, Quarantine, Ward};
use crate::refusal::{Code, Refusal, Retry};

/// A request whose target is not in quarantine. Only [`Cordon::pass`] makes one.
#[derive(Debug)]
pub(super) struct Free {
    routed: Routed,
    _seal: Seal,
}

impl Free {
    pub(super) fn into_routed(self) -> Routed {
        self.routed
    }
}

#[derive(Debug)]
struct Seal;

/// Who asks, and what for as soon as that is known.
pub(super) struct Cordon<'g> {
    quarantine: &'g Quarantine,
    subject: SubjectId,
    target: OnceLock<(Arc<Shelf>, Tools)>,
}

/// The tools of one server that a request is about.
enum Tools {
    None,
    One(Arc<Item>),
    /// Those that may have begun a task.
    Began(Vec<Box<str>>),
}

impl<'g> Cordon<'g> {
    /// Around one call.
    pub(super) fn around(gate: &'g Gate, received: &Received) -> Cordon<'g> {
        let subject = received.passage.identified.subject.id.clone();
        Cordon { quarantine: gate.quarantine(), subject, target: OnceLock::new() }
    }

    /// Whether the subject may ask for anything.
    ///
    /// # Errors
    /// [`Code::SubjectQuarantined`].
    pub(super) fn admit(&self) -> Result<(), Refusal> {
        admitted(self.quarantine, &self.subject)
    }

    /// Whether what is asked for may be asked.
    ///
    /// # Errors
    /// [`Code::Quarantined`].
    pub(super) fn pass(&self, routed: Routed) -> Result<Free, Refusal> {
        if let Some(shelf) = routed.target.shelf() {
            // Known before it is judged: what is put in after that strikes the call.
            _ = self.target.set((Arc::clone(shelf), tools(&routed.target)));
        }
        match self.kept() {
            Some(refusal) => Err(refusal),
            None => Ok(Free { routed, _seal: Seal }),
        }
    }

    /// Ends when the call has to: with the refusal for it. The receiver has listened since before anything was judged.
    pub(super) async fn struck(&self, mut turns: watch::Receiver<u64>) -> Refusal {
        while turns.changed().await.is_ok() {
            let kept = self.admit().err().or_else(|| self.kept());
            if let Some(refusal) = kept {
                let message =
                    format!("{} It was in flight already, and may have had its effect.", refusal.message);
                return Refusal { message, ..refusal }.with_retry(Retry::Check);
            }
        }
        // The gateway is gone, and with it whoever could wait for this.
        std::future::pending().await
    }

    fn kept(&self) -> Option<Refusal> {
        let (shelf, tools) = self.target.get()?;
        let server = &shelf.server().entry().name;
        match tools {
            Tools::None => self.source((server, None)),
            Tools::One(item) => self.source((server, Some(&item.name))),
            Tools::Began(all) => all.iter().find_map(|tool| self.source((server, Some(tool)))),
        }
    }

    fn source(&self, source: (&ServerName, Option<&str>)) -> Option<Refusal> {
        of_source(self.quarantine, source).err()
    }
}

/// Whether a subject may ask for anything.
///
/// # Errors
/// [`Code::SubjectQuarantined`].
pub(super) fn admitted(quarantine: &Quarantine, subject: &SubjectId) -> Result<(), Refusal> {
    let Some(entry) = quarantine.of_subject(subject) else { return Ok(()) };
    let message = match entry.ward {
        Ward::Gateway => "This gateway is in quarantine; the request was not made.",
        _ => "You are in quarantine at this gateway; the request was not made.",
    };
    Err(told(Refusal::new(Code::SubjectQuarantined, message), &entry))
}

/// Whether a server may be asked for anything, its definitions included.
///
/// # Errors
/// [`Code::Quarantined`].
pub(super) fn of_shelf(quarantine: &Quarantine, shelf: &Shelf) -> Result<(), Refusal> {
    of_source(quarantine, (&shelf.server().entry().name, None))
}

/// Whether what a tool answers, or has answered before, may be shown; of a server where it is not known which.
///
/// # Errors
/// [`Code::Quarantined`].
pub(super) fn of_source(
    quarantine: &Quarantine,
    (server, tool): (&ServerName, Option<&str>),
) -> Result<(), Refusal> {
    let entry = match tool {
        Some(tool) => quarantine.of_tool(server.as_str(), tool),
        None => quarantine.of_server(server.as_str()),
    };
    entry.map_or(Ok(()), |entry| Err(of_target(&entry, (server, tool))))
}

fn of_target(entry: &Entry, (server, tool): (&ServerName, Option<&str>)) -> Refusal {
    let what = match (&entry.ward, tool) {
        (Ward::Tool(..), Some(tool)) => format!("The tool {tool:?} of the server {server}"),
        _ => format!("The server {server}"),
    };
    let message = format!("{what} is in quarantine; the request was not made.");
    told(Refusal::new(Code::Quarantined, message), entry)
}

/// Why it is there is for the operator alone; when it ends is for everybody.
fn told(refusal: Refusal, entry: &Entry) -> Refusal {
    let left = entry.until.map(|until| until.saturating_sub(clock::unix_now().as_secs()));
    let retry = left.map_or(Retry::Never, |left| Retry::After(Duration::from_secs(left.max(1))));
    refusal.with_retry(retry).with_detail(format_args!("{}: {} (by {})", entry.ward, entry.reason, entry.by))
}

fn tools(target: &Target) -> Tools {
    match target {
        Target::Item { kind: Kind::Tools, item, .. } => Tools::One(Arc::clone(item)),
        Target::Task { tools, .. } if !tools.is_empty() => Tools::Began(tools.clone()),
        _ => Tools::None,
    }
}
