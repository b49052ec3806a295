//! What was known before a server was watched: what its cell has, and what it must not have.

use std::path::{Path, PathBuf};

use super::observed::Place;
use super::{Entry, Hidden};
use crate::room::{Access, Grant};

/// The file systems that a cell has of its own.
const OWN: [&str; 3] = [TMP, "/dev", "/proc"];

/// The one of them in which the host may have what a server needs.
const TMP: &str = "/tmp";

/// What was known before.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// What every cell of this kind has of the host.
    pub(super) provided: Vec<PathBuf>,
    pub(super) grants: Vec<Grant>,
    /// What is hidden, under every path that leads there.
    pub(super) hidden: Vec<Hidden>,
    pub(super) home: Option<PathBuf>,
    /// What the server's entry grants already.
    pub(super) entry: Entry,
}

impl Ground {
    /// Whether the cell has something of its own there, so that nobody misses the host's.
    pub(super) fn is_own(&self, path: &Path, place: Place) -> bool {
        // A cell has a root of its own, and every folder that leads to what it has.
        if path == Path::new("/") {
            return true;
        }
        let own = OWN.iter().find(|own| path.starts_with(own));
        own.is_some_and(|own| *own != TMP || place != Place::Outside) && self.grant(path).is_none()
    }

    /// Whether every cell has it.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.provided.iter().any(|provided| path.starts_with(provided))
    }

    /// The place among the hidden ones that something lies in. What is granted is not hidden.
    pub(super) fn hidden(&self, path: &Path) -> Option<&Hidden> {
        let hidden = self.hidden.iter().find(|hidden| path.starts_with(&hidden.path));
        hidden.filter(|_| self.grant(path).is_none())
    }

    /// The grant that covers something: the innermost, which is the one in force.
    pub(super) fn grant(&self, path: &Path) -> Option<&Grant> {
        let grants = self.grants.iter().filter(|grant| path.starts_with(&grant.path));
        grants.max_by_key(|grant| grant.path.components().count())
    }

    pub(super) fn may_write(&self, path: &Path) -> bool {
        self.grant(path).is_some_and(|grant| grant.access == Access::Write)
    }
}
