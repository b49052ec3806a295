//! Writing the log.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::line::{self, Stamp};
use super::segment::{self, Ending, Segment};
use super::{LogFault, Record};
use crate::clock;
use crate::folder::{Folder, FolderFault, io_fault};

/// Held locked by the process that writes. The file stays empty; the kernel drops the lock with the process.
const LOCK: &str = "records.lock";

/// When a segment is long enough.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// A segment that would grow beyond so many bytes is closed and the next one begun. Default 64 MiB: an
    /// editor still opens it, and a busy day has a handful.
    pub segment_bytes_max: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { segment_bytes_max: 64 << 20 }
    }
}

/// The log of records, open for writing. Shared by reference: appending takes a lock for about the time of one
/// `write`.
#[derive(Debug)]
pub struct RecordLog {
    tip: Mutex<Tip>,
    _lock: File,
}

/// Where the next record goes.
#[derive(Debug)]
struct Tip {
    folder: Folder,
    limits: LogLimits,
    segment: File,
    day: String,
    len: u64,
    next: u64,
    /// Bytes after `len` that a failed write left behind and that have to go before the next one.
    is_torn: bool,
    buffer: Vec<u8>,
    /// The last second that was written out, since most records share it with the one before.
    second: u64,
    time: Vec<u8>,
}

impl RecordLog {
    /// Opens the log in the folder, creating it where it is missing, and continues its numbers.
    ///
    /// # Errors
    /// [`LogFault::Taken`] while another process writes it, or what the system refuses.
    pub fn open(folder: &Path) -> Result<Self, LogFault> {
        Self::open_with(folder, LogLimits::default())
    }

    /// Opens the log with other limits than the default ones.
    ///
    /// # Errors
    /// As [`RecordLog::open`].
    pub fn open_with(folder: &Path, limits: LogLimits) -> Result<Self, LogFault> {
        Self::open_at(folder, limits, clock::now_unix_ms())
    }

    pub(super) fn open_at(folder: &Path, limits: LogLimits, now_unix_ms: u64) -> Result<Self, LogFault> {
        let folder = Folder::open(folder)?;
        let lock = folder.append(LOCK)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LogFault::Taken { path: folder.path().to_path_buf() });
            }
            Err(TryLockError::Error(source)) => return Err(io_fault("lock", folder.path(), source).into()),
        }
        let mut tip = Tip::find(folder, limits, now_unix_ms)?;
        tip.recover(now_unix_ms)?;
        Ok(RecordLog { tip: Mutex::new(tip), _lock: lock })
    }

    /// Appends a record and gives its number. The line is with the kernel when this returns.
    ///
    /// # Errors
    /// [`LogFault::Write`]: nothing of the record is in the log and its number goes to the next one.
    pub fn append(&self, record: &Record<'_>) -> Result<u64, LogFault> {
        self.append_at(record, clock::now_unix_ms())
    }

    pub(super) fn append_at(&self, record: &Record<'_>, now_unix_ms: u64) -> Result<u64, LogFault> {
        self.tip.lock().unwrap_or_else(PoisonError::into_inner).append(record, now_unix_ms)
    }

    /// Waits until everything that was appended is on disk. For the end of the program; takes milliseconds.
    ///
    /// # Errors
    /// [`LogFault::Write`].
    pub fn sync(&self) -> Result<(), LogFault> {
        let tip = self.tip.lock().unwrap_or_else(PoisonError::into_inner);
        tip.segment.sync_data().map_err(LogFault::Write)
    }
}

impl Tip {
    fn find(folder: Folder, limits: LogLimits, now_unix_ms: u64) -> Result<Self, LogFault> {
        let (first, day) = match Segment::list(folder.path())?.pop() {
            Some(last) => (last.first, last.day),
            None => (1, day_of(now_unix_ms)),
        };
        let segment = folder.append(&Segment::name(first, &day))?;
        let len = length(&folder, &segment)?;
        Ok(Tip {
            folder,
            limits,
            segment,
            day,
            len,
            next: first,
            is_torn: false,
            buffer: Vec::with_capacity(1024),
            second: u64::MAX,
            time: Vec::with_capacity(24),
        })
    }

    /// Finds the next number and cuts off a line that was not finished.
    fn recover(&mut self, now_unix_ms: u64) -> Result<(), LogFault> {
        let ending = self.ending(1)?;
        self.next = match ending.lines.last().map(|line| segment::seq_of(line)) {
            None => self.next,
            Some(Some(seq)) => seq + 1,
            // The last line is no record, so somebody edited it. Its number counts as used; a reader reports it.
            Some(None) => self.next + self.ending(usize::MAX)?.lines.len() as u64,
        };
        if ending.torn > 0 {
            self.len -= ending.torn;
            self.segment.set_len(self.len).map_err(LogFault::Write)?;
            tracing::warn!(bytes = ending.torn, "an unfinished record was cut off the log");
            self.append(&Record::Torn { bytes: ending.torn }, now_unix_ms)?;
        }
        Ok(())
    }

    fn ending(&self, lines: usize) -> Result<Ending, FolderFault> {
        segment::ending(&self.segment, self.len, lines)
            .map_err(|source| io_fault("read the records in", self.folder.path(), source))
    }

    fn append(&mut self, record: &Record<'_>, now_unix_ms: u64) -> Result<u64, LogFault> {
        let seq = self.next;
        self.tell_time(now_unix_ms);
        self.buffer.clear();
        line::write(&mut self.buffer, record, Stamp { seq, time: &self.time });
        let size = self.buffer.len() as u64;
        let is_another_day = !self.time.starts_with(self.day.as_bytes());
        if self.len > 0 && (is_another_day || self.len + size > self.limits.segment_bytes_max) {
            self.rotate()?;
        }
        if self.is_torn {
            self.segment.set_len(self.len).map_err(LogFault::Write)?;
            self.is_torn = false;
        }
        // One write for one line. A disk that fills up may take a part of it, and then the line must go again.
        let outcome = self.segment.write(&self.buffer);
        match outcome {
            Ok(written) if written as u64 == size => {
                self.len += size;
                self.next += 1;
                Ok(seq)
            }
            Ok(_) => {
                self.is_torn = self.segment.set_len(self.len).is_err();
                Err(LogFault::Write(io::ErrorKind::StorageFull.into()))
            }
            Err(fault) => {
                self.is_torn = self.segment.set_len(self.len).is_err();
                Err(LogFault::Write(fault))
            }
        }
    }

    fn rotate(&mut self) -> Result<(), LogFault> {
        let day = String::from_utf8_lossy(self.time.get(..10).unwrap_or_default()).into_owned();
        let segment = self.folder.append(&Segment::name(self.next, &day))?;
        self.segment.sync_data().map_err(LogFault::Write)?;
        self.len = length(&self.folder, &segment)?;
        (self.segment, self.day, self.is_torn) = (segment, day, false);
        Ok(())
    }

    /// Writes the time as RFC 3339 in UTC with milliseconds.
    fn tell_time(&mut self, now_unix_ms: u64) {
        let second = now_unix_ms / 1000;
        if second != self.second {
            self.second = second;
            self.time.clear();
            self.time.extend_from_slice(seconds(second).as_bytes());
            self.time.extend_from_slice(b".000Z");
        }
        let mut millis = now_unix_ms % 1000;
        for digit in self.time.iter_mut().rev().skip(1).take(3) {
            *digit = b'0' + u8::try_from(millis % 10).unwrap_or_default();
            millis /= 10;
        }
    }
}

fn length(folder: &Folder, segment: &File) -> Result<u64, FolderFault> {
    let found =
        segment.metadata().map_err(|source| io_fault("look at the records in", folder.path(), source))?;
    Ok(found.len())
}

fn seconds(second: u64) -> String {
    let time = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    time.unwrap_or(Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn day_of(now_unix_ms: u64) -> String {
    let mut day = seconds(now_unix_ms / 1000);
    day.truncate(10);
    day
}

/// What is left in the kernel's cache goes to disk when the log is closed in order.
impl Drop for RecordLog {
    fn drop(&mut self) {
        let tip = self.tip.get_mut().unwrap_or_else(PoisonError::into_inner);
        // There is nobody to tell, and the lines are with the kernel anyway.
        let _ = tip.segment.sync_data();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    #[test]
    fn a_write_that_fails_takes_no_number_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("records");
        let log = RecordLog::open_at(&folder, LogLimits::default(), 0).unwrap();
        let record = Record::Torn { bytes: 1 };
        assert_eq!(log.append_at(&record, 0).unwrap(), 1);
        let full = File::options().append(true).open("/dev/full").unwrap();
        let own = std::mem::replace(&mut log.tip.lock().unwrap().segment, full);
        for _ in 0..2 {
            assert!(matches!(log.append_at(&record, 0), Err(LogFault::Write(_))));
        }
        // What a disk that took half a line leaves behind.
        (&own).write_all(b"{\"bytes\":1,\"ki").unwrap();
        log.tip.lock().unwrap().segment = own;
        assert_eq!(log.append_at(&record, 0).unwrap(), 2);
        let line =
            |seq| format!(r#"{{"bytes":1,"kind":"torn","seq":{seq},"time":"1970-01-01T00:00:00.000Z"}}"#);
        assert_eq!(super::super::tail(&folder, 9).unwrap(), [line(1), line(2)]);
    }
}
