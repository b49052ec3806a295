//! What is in the spool: whose it is, until when, and how it is opened. All of it is in memory.

use std::collections::{HashMap, HashSet};

use super::file::{Sealing, Span};
use super::{Id, Room, SpoolFault};

/// Things that one owner may have. Each costs a few hundred bytes of memory, and 8 more a part.
const OWNER_ENTRIES_MAX: usize = 256;
/// The same of all together.
const ENTRIES_MAX: usize = 4096;

/// What is known of a thing when it is to be kept.
pub(super) struct Place {
    pub(super) owner: Box<str>,
    pub(super) label: Box<str>,
    /// In seconds since 1970.
    pub(super) until: u64,
    /// Of each part when it is sealed, in bytes.
    pub(super) sizes: Box<[u64]>,
    pub(super) sealing: Sealing,
}

/// A part that is there.
pub(super) struct Found {
    pub(super) sealing: Sealing,
    pub(super) span: Span,
    pub(super) label: Box<str>,
    pub(super) count: usize,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Id, Entry>,
    /// Counts all that were ever kept: the lower number is the older.
    count: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    owner: Box<str>,
    label: Box<str>,
    until: u64,
    sizes: Box<[u64]>,
    bytes: u64,
    sealing: Sealing,
    /// It is written to its end.
    is_whole: bool,
}

impl Index {
    /// Takes the place of something that is about to be written, and returns what made room for it.
    pub(super) fn reserve(
        &mut self,
        id: Id,
        place: Place,
        (room, now): (Room, u64),
    ) -> Result<Vec<Id>, SpoolFault> {
        let mut removed = self.retain(now, |_| true);
        let bytes: u64 = place.sizes.iter().sum();
        let own = |index: &Index| {
            let own = index.entries.values().filter(|entry| entry.owner == place.owner);
            own.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.bytes))
        };
        let (own_count, own_bytes) = own(self);
        let others = (self.entries.len() - own_count, self.bytes() - own_bytes);
        // Nothing is given up for what does not fit all the same.
        let fits = bytes <= room.owner_max && others.1 + bytes <= room.total_max && others.0 < ENTRIES_MAX;
        if !fits || self.entries.contains_key(&id) {
            return Err(SpoolFault::NoRoom);
        }
        loop {
            let (own_count, own_bytes) = own(self);
            let is_full = own_bytes + bytes > room.owner_max
                || own_count >= OWNER_ENTRIES_MAX
                || self.bytes() + bytes > room.total_max
                || self.entries.len() >= ENTRIES_MAX;
            if !is_full {
                break;
            }
            let own = self.entries.iter().filter(|(_, entry)| entry.owner == place.owner);
            let oldest = own.min_by_key(|(_, entry)| entry.number).map(|(id, _)| *id);
            let Some(oldest) = oldest else { return Err(SpoolFault::NoRoom) };
            self.entries.remove(&oldest);
            removed.push(oldest);
        }
        self.count += 1;
        let Place { owner, label, until, sizes, sealing } = place;
        let entry = Entry { number: self.count, owner, label, until, sizes, bytes, sealing, is_whole: false };
        self.entries.insert(id, entry);
        Ok(removed)
    }

    /// It is written to its end. False when it is not there any more.
    pub(super) fn complete(&mut self, id: &Id) -> bool {
        let entry = self.entries.get_mut(id);
        entry.map(|entry| entry.is_whole = true).is_some()
    }

    pub(super) fn find(
        &self,
        (id, owner): (&Id, &str),
        number: usize,
        now: u64,
    ) -> Result<Found, SpoolFault> {
        let entry = self.entries.get(id);
        let entry = entry.filter(|entry| entry.is_whole && *entry.owner == *owner && now < entry.until);
        let entry = entry.ok_or(SpoolFault::Absent)?;
        let count = entry.sizes.len();
        let len = *entry.sizes.get(number).ok_or(SpoolFault::NoPart { count })?;
        let at = entry.sizes.iter().take(number).sum();
        let span = Span { number, at, len };
        Ok(Found { sealing: entry.sealing.clone(), span, label: entry.label.clone(), count })
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, id: &Id) -> bool {
        self.entries.remove(id).is_some()
    }

    /// Who has something.
    pub(super) fn owners(&self) -> HashSet<Box<str>> {
        self.entries.values().map(|entry| entry.owner.clone()).collect()
    }

    /// Takes out what is over and what does not stay, and returns it.
    pub(super) fn retain(&mut self, now: u64, stays: impl Fn(&str) -> bool) -> Vec<Id> {
        self.entries
            .extract_if(|_, entry| entry.until <= now || !stays(&entry.owner))
            .map(|(id, _)| id)
            .collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.entries.values().map(|entry| entry.bytes).sum()
    }
}
