//! Keeping results that are too large to be shown at once.

use std::fmt::Debug;

use casemate_policy::SubjectId;

use crate::upstream::Soon;

/// Keeps results for a while: sealed, for their subjects alone, and no longer than this process lives.
pub trait Results: Send + Sync + Debug {
    /// Keeps a result. It can be read when this ends.
    fn keep(&self, result: KeptResult) -> Soon<'_, Result<(), NotKept>>;

    /// A part of a result that is kept for this subject, counted from 0.
    fn part<'a>(
        &'a self,
        kept: (ResultId, &'a SubjectId),
        number: usize,
    ) -> Soon<'a, Result<ResultPart, NotThere>>;

    /// Forgets what is over, and all of those subjects that are not to have anything any more. When this returns nobody can read
    /// it; files are deleted soon.
    fn retain(&self, stays: &dyn Fn(&SubjectId) -> bool);
}

/// Names a result that is kept: random, so that a file's name says nothing.
pub type ResultId = [u8; 16];

/// A result that is to be kept.
#[derive(Debug)]
pub struct KeptResult {
    /// Its name.
    pub id: ResultId,
    /// Whose it is.
    pub subject: SubjectId,
    /// What has to be known of it when it is read; it is given back with each part.
    pub label: Box<str>,
    /// Its text, in the parts in which it is read.
    pub parts: Vec<Vec<u8>>,
    /// Until when, in seconds since 1970.
    pub until: u64,
    /// How much may be kept of one subject, in bytes.
    pub subject_bytes_max: u64,
    /// How much of all together, in bytes.
    pub total_bytes_max: u64,
}

/// A part of a result.
#[derive(Debug)]
pub struct ResultPart {
    /// Its text.
    pub text: Vec<u8>,
    /// What was said of the whole.
    pub label: Box<str>,
    /// How many parts the whole has.
    pub count: usize,
}

/// Why a result is not kept.
#[derive(Debug)]
pub enum NotKept {
    /// It is larger than all that may be kept of its subject, or others have the room.
    NoRoom,
    /// It could not be written, for this private reason.
    Failed(String),
}

/// Why a part is not there.
#[derive(Debug)]
pub enum NotThere {
    /// Nothing is kept under that name for that subject.
    Absent,
    /// The result has fewer parts.
    NoPart {
        /// How many it has.
        count: usize,
    },
    /// What was written is not what is there, for this private reason.
    Damaged(String),
}
