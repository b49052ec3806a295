//! The files of a log: what they are called and how one is read from its end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::folder::{FolderFault, io_fault};

const PREFIX: &str = "records-";
const SUFFIX: &str = ".jsonl";

/// How much is read at a time when reading backwards.
const CHUNK: u64 = 64 << 10;

/// A segment by its name, `records-000000000042-2026-08-31.jsonl`: the number of its first record, wide enough
/// that names sort like numbers, and the day it was begun on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) first: u64,
    pub(super) day: String,
}

impl Segment {
    pub(super) fn name(first: u64, day: &str) -> String {
        format!("{PREFIX}{first:012}-{day}{SUFFIX}")
    }

    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (first, day) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
        let (first, day) = (first.parse().ok()?, day.to_owned());
        Some(Segment { path, first, day })
    }

    /// The segments of a folder, the oldest first. Other files are none of ours.
    pub(super) fn list(folder: &Path) -> Result<Vec<Self>, FolderFault> {
        let entries = fs::read_dir(folder).map_err(|source| io_fault("list", folder, source))?;
        let mut segments = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io_fault("list", folder, source))?;
            segments.extend(Segment::parse(entry.path()));
        }
        segments.sort_by(|one, other| (one.first, &one.day).cmp(&(other.first, &other.day)));
        Ok(segments)
    }
}

/// The number that a line carries, if it is a record.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    serde_json::from_slice::<Numbered>(line).ok().map(|record| record.seq)
}

/// The end of a file as lines.
#[derive(Debug)]
pub(super) struct Ending {
    /// Up to as many whole lines as were asked for, in the order of the file, without their newlines.
    pub(super) lines: Vec<Vec<u8>>,
    /// The bytes after the last newline.
    pub(super) torn: u64,
}

/// Reads the last lines of a file of that length, backwards and no further than needed.
pub(super) fn ending(file: &File, len: u64, wanted: usize) -> io::Result<Ending> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut start = len;
    let mut newlines = 0;
    // One newline more than lines: the one before the first line says where it begins.
    while start > 0 && newlines <= wanted {
        let size = CHUNK.min(start);
        start -= size;
        let mut chunk = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut chunk, start)?;
        newlines += chunk.iter().filter(|byte| **byte == b'\n').count();
        chunk.append(&mut bytes);
        bytes = chunk;
    }
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let torn = lines.pop().map_or(0, |rest| rest.len() as u64);
    lines.drain(..lines.len().saturating_sub(wanted));
    Ok(Ending { lines, torn })
}
