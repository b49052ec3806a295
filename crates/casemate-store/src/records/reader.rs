//! Reading the log, also while it is written.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::LogFault;
use super::segment::{self, Segment};
use crate::folder::io_fault;

/// How much is read at a time; more when a line is longer.
const CHUNK: usize = 64 << 10;

/// Something found in the log, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A record.
    Record {
        /// Its number.
        seq: u64,
        /// Its line, without the newline.
        line: String,
    },
    /// Records are missing, doubled or out of order before the next one.
    Gap {
        /// The number that should come next.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// A line that is no record. It counts as one, unless it is the unfinished end of a segment.
    Damaged {
        /// The segment that holds it.
        segment: PathBuf,
        /// Where it begins, in bytes from the segment's start.
        offset: u64,
    },
}

/// Reads findings one after the other. At the end it gives `None`, and when it is asked again later it goes on
/// with what was appended since, so a loop with a pause follows the log.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    current: Option<Open>,
    expected: Option<u64>,
    ready: VecDeque<Finding>,
}

#[derive(Debug)]
struct Open {
    segment: Segment,
    file: File,
    /// Where the next line begins. The start of a line whose end is not there yet is read again later: the
    /// writer may have to cut it off.
    offset: u64,
}

impl Reader {
    /// Reads from the first record that is kept.
    #[must_use]
    pub fn from_start(folder: &Path) -> Self {
        Reader { folder: folder.to_path_buf(), current: None, expected: None, ready: VecDeque::new() }
    }

    /// The next finding, or `None` when all that is written was read.
    ///
    /// # Errors
    /// What the system refuses. A folder that does not exist is an empty log.
    pub fn next_finding(&mut self) -> Result<Option<Finding>, LogFault> {
        loop {
            if let Some(finding) = self.ready.pop_front() {
                return Ok(Some(finding));
            }
            // What comes next is looked up before reading, so that an end of file below is known to be final.
            let following = self.following()?;
            if self.read_on()? {
                continue;
            }
            let Some(segment) = following else { return Ok(None) };
            self.turn_to(segment)?;
        }
    }

    /// The segment after the current one.
    fn following(&self) -> Result<Option<Segment>, LogFault> {
        if !self.folder.exists() {
            return Ok(None);
        }
        let after = self.current.as_ref().map(|open| (open.segment.first, &open.segment.day));
        let mut segments = Segment::list(&self.folder)?.into_iter();
        Ok(segments.find(|segment| after.is_none_or(|after| (segment.first, &segment.day) > after)))
    }

    /// Reads what the current segment has gained. False when that is no whole line.
    fn read_on(&mut self) -> Result<bool, LogFault> {
        let Some(mut open) = self.current.take() else { return Ok(false) };
        let lines = open.whole_lines().map_err(|source| io_fault("read", &open.segment.path, source))?;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.note(&open, line.strip_suffix(b"\n").unwrap_or(line));
            open.offset += line.len() as u64;
        }
        self.current = Some(open);
        Ok(!lines.is_empty())
    }

    fn turn_to(&mut self, segment: Segment) -> Result<(), LogFault> {
        if let Some(open) = &self.current {
            let len =
                open.file.metadata().map_err(|source| io_fault("read", &open.segment.path, source))?.len();
            if len > open.offset {
                self.ready.push_back(open.damage());
            }
        }
        let file = File::open(&segment.path).map_err(|source| io_fault("open", &segment.path, source))?;
        // The name promises the first number; records that were cut off its beginning show as a gap.
        let promised = *self.expected.get_or_insert(segment.first);
        if promised < segment.first {
            self.ready.push_back(Finding::Gap { expected: promised, found: segment.first });
            self.expected = Some(segment.first);
        }
        self.current = Some(Open { segment, file, offset: 0 });
        Ok(())
    }

    fn note(&mut self, open: &Open, line: &[u8]) {
        let expected = self.expected.unwrap_or(1);
        let Some((line, seq)) = std::str::from_utf8(line).ok().zip(segment::seq_of(line)) else {
            self.ready.push_back(open.damage());
            self.expected = Some(expected.saturating_add(1));
            return;
        };
        if seq != expected {
            self.ready.push_back(Finding::Gap { expected, found: seq });
        }
        self.ready.push_back(Finding::Record { seq, line: line.to_owned() });
        self.expected = Some(seq.saturating_add(1));
    }
}

impl Open {
    /// The next whole lines, up to about a chunk; nothing when there is none.
    fn whole_lines(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let before = bytes.len();
            bytes.resize(before + CHUNK, 0);
            let space = bytes.get_mut(before..).unwrap_or_default();
            let read = self.file.read_at(space, self.offset + before as u64)?;
            bytes.truncate(before + read);
            if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
                bytes.truncate(last + 1);
                return Ok(bytes);
            }
            if read == 0 {
                return Ok(Vec::new());
            }
        }
    }

    fn damage(&self) -> Finding {
        Finding::Damaged { segment: self.segment.path.clone(), offset: self.offset }
    }
}

/// The last lines of the log, the oldest first, without reading what is before them.
///
/// # Errors
/// What the system refuses. A folder that does not exist is an empty log.
pub fn tail(folder: &Path, wanted: usize) -> Result<Vec<String>, LogFault> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut lines: VecDeque<String> = VecDeque::new();
    for segment in Segment::list(folder)?.into_iter().rev() {
        if lines.len() >= wanted {
            break;
        }
        let read = || {
            let file = File::open(&segment.path)?;
            let len = file.metadata()?.len();
            segment::ending(&file, len, wanted - lines.len())
        };
        let ending = read().map_err(|source| io_fault("read", &segment.path, source))?;
        for line in ending.lines.into_iter().rev() {
            lines.push_front(String::from_utf8_lossy(&line).into_owned());
        }
    }
    Ok(lines.into())
}
