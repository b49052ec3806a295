//! What a watched server has done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casemate_net::Attempt;
use rustix::io::Errno;

use super::contact::Contact;
use super::ground::Ground;

/// Files, links and contacts that are remembered of each. A server that uses more is not told apart from one that wants
/// to drown what it does.
const KEPT_MAX: usize = 1 << 14;

/// What a watched server has done, so far or to its end. Files that every cell has are left out, unless they were
/// executed, and so is what does not exist.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The host's files and folders, by their paths without links.
    pub files: BTreeMap<PathBuf, Trace>,
    /// Links that led to them.
    pub links: BTreeSet<PathBuf>,
    /// Whom it wanted to speak to, as [`super::Lessons`] was told.
    pub contacts: BTreeSet<Contact>,
    /// How often it wanted a socket that can have a name in the file system. It is refused while it is watched.
    pub sockets: u64,
    /// How often something could not be seen, or was too much to be kept.
    pub overlooked: u64,
    pub(super) ground: Arc<Ground>,
    /// Why nothing can be seen at all.
    pub(super) blind: Option<Errno>,
}

/// What was done with a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What it is.
    pub sort: Sort,
    /// Whether the server got to see it.
    pub place: Place,
    /// What it wanted with it.
    pub uses: BTreeSet<Use>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sort {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A socket, a device or a named pipe.
    Other,
    /// Nothing; it was to be made.
    Absent {
        /// The nearest folder that exists.
        within: PathBuf,
    },
}

/// Whether a watched server got to see something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It did.
    Shown,
    /// It did not, and no grant would change that: the user may not read it, nor may its owner.
    Closed,
    /// It is one of the hidden places.
    Hidden,
    /// It did not, but with a grant it would: a watched cell does not show it, or not to the server's user.
    Outside,
}

/// What a server wants with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Asks whether it is there, and what.
    Look,
    /// Opens it for reading; a folder, to list it.
    Read,
    /// Executes it, or has it as a part of a program.
    Execute,
    /// Writes it; of a folder, changes its mode or makes a file without a name in it.
    Write,
    /// Makes it, removes it or gives it another name, which changes the folder that it lies in.
    Arrange,
}

impl Use {
    /// Whether the file would have to be writable, or its folder.
    pub fn is_write(self) -> bool {
        matches!(self, Use::Write | Use::Arrange)
    }
}

impl Observed {
    pub(super) fn new(ground: Arc<Ground>) -> Observed {
        Observed {
            files: BTreeMap::new(),
            links: BTreeSet::new(),
            contacts: BTreeSet::new(),
            sockets: 0,
            overlooked: 0,
            ground,
            blind: None,
        }
    }

    /// What was read of the host.
    pub fn reads(&self) -> impl Iterator<Item = &Path> {
        self.with(|trace| trace.place == Place::Shown && trace.uses.contains(&Use::Read))
    }

    /// What was executed, or is a part of what was.
    pub fn executed(&self) -> impl Iterator<Item = &Path> {
        self.with(|trace| trace.uses.contains(&Use::Execute))
    }

    /// What it wanted to write and could not.
    pub fn refused_writes(&self) -> impl Iterator<Item = &Path> {
        let wanted = self.with(|trace| trace.uses.iter().any(|wanted| wanted.is_write()));
        wanted.filter(|path| !self.ground.may_write(path))
    }

    /// The hidden places that it wanted to see.
    pub fn sensitive(&self) -> impl Iterator<Item = &Path> {
        self.with(|trace| trace.place == Place::Hidden)
    }

    fn with(&self, wanted: impl Fn(&Trace) -> bool) -> impl Iterator<Item = &Path> {
        self.files.iter().filter(move |(_, trace)| wanted(trace)).map(|(path, _)| path.as_path())
    }

    pub(super) fn note(&mut self, path: PathBuf, (sort, place): (Sort, Place), wanted: Use) {
        if self.ground.is_own(&path, place) || (self.ground.has(&path) && wanted != Use::Execute) {
            return;
        }
        let place = if self.ground.hidden(&path).is_some() { Place::Hidden } else { place };
        if self.files.len() >= KEPT_MAX && !self.files.contains_key(&path) {
            self.overlooked += 1;
            return;
        }
        let trace =
            self.files.entry(path).or_insert(Trace { sort: Sort::Other, place, uses: BTreeSet::new() });
        // What was absent before may have been made in the meantime.
        trace.sort = sort;
        trace.place = place;
        trace.uses.insert(wanted);
    }

    pub(super) fn note_links(&mut self, links: BTreeSet<PathBuf>) {
        for link in links {
            if self.ground.is_own(&link, Place::Shown) || self.ground.has(&link) || self.links.contains(&link)
            {
                continue;
            }
            if self.links.len() < KEPT_MAX {
                self.links.insert(link);
            } else {
                self.overlooked += 1;
            }
        }
    }

    pub(super) fn note_attempt(&mut self, attempt: &Attempt) {
        let Some(contact) = Contact::of(attempt) else {
            self.overlooked += attempt.times;
            return;
        };
        if self.contacts.len() < KEPT_MAX {
            self.contacts.insert(contact);
        } else if !self.contacts.contains(&contact) {
            self.overlooked += 1;
        }
    }
}
