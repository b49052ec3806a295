//! What is kept for a while, in sealed files: results that are too large to be shown at once.
//!
//! ```text
//! file = part*        part = AES-256-GCM( text )   nonce = its number, associated data = id, number, count of parts
//! ```
//! Each thing has a key of its own, which is in the memory of this process and nowhere else. What is removed, and
//! whatever a crash leaves behind, can be read by nobody from then on, also where its file could not be deleted. What
//! is kept is told apart by an id that its owner knows; a file is found by what the index says, and never by a name that came
//! from outside.

mod file;
mod index;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::clock;
use crate::folder::{Folder, FolderFault};
use file::Sealing;
use index::{Index, Place};

/// Names what is kept: random, chosen by whoever keeps it.
pub type Id = [u8; 16];

/// Parts that one thing may have.
pub const PARTS_MAX: usize = 16 * 1024;

/// Something that is to be kept.
#[derive(Debug)]
pub struct Parcel {
    /// Its name.
    pub id: Id,
    /// Whose it is: nobody else gets it.
    pub owner: Box<str>,
    /// What the owner says of it; it stays in memory.
    pub label: Box<str>,
    /// Its text, in the parts in which it is read.
    pub parts: Vec<Vec<u8>>,
    /// Until when, in seconds since 1970.
    pub until: u64,
}

/// How much may be kept. What is sealed counts, which is 16 bytes a part more than the text.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Of one owner, in bytes.
    pub owner_max: u64,
    /// Of all together, in bytes.
    pub total_max: u64,
}

/// A part of something that is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Its text.
    pub text: Vec<u8>,
    /// What the owner said of the whole.
    pub label: Box<str>,
    /// How many parts the whole has.
    pub count: usize,
}

/// Why something is not kept, or not there.
#[derive(Debug, Error)]
pub enum SpoolFault {
    /// It is larger than the room for one owner, or others have the room.
    #[error("there is no room for it")]
    NoRoom,
    /// Nothing of that name is kept for that owner: its time is over, it made room for something newer, or it never was.
    #[error("nothing of that name is kept")]
    Absent,
    /// It has fewer parts.
    #[error("it has {count} parts")]
    NoPart {
        /// How many it has.
        count: usize,
    },
    /// Its file is not what was written.
    #[error("the file was changed, cut off or removed")]
    Damaged,
    /// There is no randomness.
    #[error("the system has no random bytes")]
    Entropy,
    /// The system refuses.
    #[error(transparent)]
    File(#[from] FolderFault),
}

/// Sealed files in a folder of their own, and the index of them in memory. One process has it at a time.
#[derive(Debug)]
pub struct Spool {
    folder: Folder,
    index: Mutex<Index>,
}

impl Spool {
    /// An empty spool in this folder. What a former process left there is removed; nobody could read it any more.
    ///
    /// # Errors
    /// The folder is open to others, or the system refuses.
    pub fn open(folder: &Path) -> Result<Spool, FolderFault> {
        let folder = Folder::open(folder)?;
        file::remove_leftovers(&folder);
        Ok(Spool { folder, index: Mutex::default() })
    }

    /// Keeps something. Where its owner has no room left, the oldest of what he has makes room; what others have stays. Blocks.
    ///
    /// # Errors
    /// [`SpoolFault::NoRoom`], [`SpoolFault::Entropy`], [`SpoolFault::File`]: nothing of it is kept then.
    pub fn keep(&self, parcel: Parcel, room: Room) -> Result<(), SpoolFault> {
        let Parcel { id, owner, label, parts, until } = parcel;
        if parts.is_empty() || parts.len() > PARTS_MAX {
            return Err(SpoolFault::NoRoom);
        }
        let sealing = Sealing::new(id, parts.len()).map_err(|_| SpoolFault::Entropy)?;
        let sizes: Vec<u64> = parts.iter().map(|part| file::sealed_len(part.len())).collect();
        let place = Place { owner, label, until, sizes: sizes.into(), sealing: sealing.clone() };
        let removed = self.index().reserve(id, place, (room, now()))?;
        self.delete(&removed);
        let written = file::write(&self.folder, (&id, &sealing), parts);
        // It may have been made room of while it was written.
        let is_there = written.is_ok() && self.index().complete(&id);
        if is_there {
            return Ok(());
        }
        self.index().remove(&id);
        self.delete(&[id]);
        written.and(Err(SpoolFault::NoRoom))
    }

    /// A part of what is kept for an owner, counted from 0. Blocks.
    ///
    /// # Errors
    /// [`SpoolFault::Absent`], [`SpoolFault::NoPart`], [`SpoolFault::Damaged`]; what is damaged is removed.
    pub fn part(&self, (id, owner): (&Id, &str), number: usize) -> Result<Part, SpoolFault> {
        let found = self.index().find((id, owner), number, now())?;
        match file::read(&self.folder, (id, &found.sealing), &found.span) {
            Ok(text) => Ok(Part { text, label: found.label, count: found.count }),
            Err(fault) => {
                let was_there = self.index().remove(id);
                self.delete(&[*id]);
                // Whoever removed it meanwhile had a reason, and nobody changed anything.
                Err(if was_there { fault } else { SpoolFault::Absent })
            }
        }
    }

    /// Takes out what is over, and all that belongs to owners who are not to keep it: nobody can read it from here on. Its files
    /// are left to [`Spool::delete`].
    pub fn take_out(&self, stays: impl Fn(&str) -> bool) -> Vec<Id> {
        // Whoever is asked about an owner may take a while, or a lock of its own.
        let mut gone = self.index().owners();
        gone.retain(|owner| !stays(owner));
        self.index().retain(now(), |owner| !gone.contains(owner))
    }

    /// Deletes the files of what was taken out. Blocks.
    pub fn delete(&self, ids: &[Id]) {
        ids.iter().for_each(|id| file::remove(&self.folder, id));
    }

    /// How much is kept, in bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.index().bytes()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let all = self.take_out(|_| false);
        self.delete(&all);
    }
}

fn now() -> u64 {
    clock::now_unix_ms() / 1000
}
