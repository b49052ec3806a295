//! Writing the log.

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::line::{self, Stamp};
use super::segment::{self, Ending, Segment};
use super::{LogFault, Record};
use crate::clock;
use crate::folder::{Folder, FolderFault, io_fault};

/// Locked while a record is written, by whichever process writes it; the kernel drops the lock with the process. The file
/// holds one byte for each segment that was begun, so that its length tells everybody else that theirs is not the last.
const LOCK: &str = "records.lock";

/// The pause after which a lock is asked for again that another process holds, while it writes one line.
const TURN_PAUSE: Duration = Duration::from_millis(1);

/// When a segment is long enough, and how long others may write.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// A segment that would grow beyond so many bytes is closed and the next one begun. Default 64 MiB: an
    /// editor still opens it, and a busy day has a handful.
    pub segment_bytes_max: u64,
    /// How long to wait for other processes. Default 5 s: each writes for microseconds, so one that holds the log for
    /// longer was stopped in the middle, and then calls must rather be refused than hang.
    pub turn_time_max: Duration,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { segment_bytes_max: 64 << 20, turn_time_max: Duration::from_secs(5) }
    }
}

/// The log of records, open for writing. Shared by reference, and between processes: appending takes a lock for about the
/// time of one `write`.
#[derive(Debug)]
pub struct RecordLog {
    tip: Mutex<Tip>,
    lock: File,
}

/// Where the next record goes.
#[derive(Debug)]
struct Tip {
    folder: Folder,
    limits: LogLimits,
    segment: File,
    /// The number that its first record has, or would have.
    first: u64,
    day: String,
    len: u64,
    /// Never falls: who shortens the log leaves a gap in its numbers as long as anybody has it open.
    next: u64,
    /// The length of the lock file when this segment was found to be the last.
    begun: u64,
    buffer: Vec<u8>,
    /// The last second that was written out, since most records share it with the one before.
    second: u64,
    time: Vec<u8>,
}

impl RecordLog {
    /// Opens the log in the folder, creating it where it is missing, and continues its numbers.
    ///
    /// # Errors
    /// [`LogFault::Busy`], or what the system refuses.
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
        let tip = {
            let turn = Turn::wait(&lock, folder.path(), limits.turn_time_max)?;
            Tip::find(folder, limits, (&turn, now_unix_ms))?
        };
        Ok(RecordLog { tip: Mutex::new(tip), lock })
    }

    /// Appends a record and gives its number. The line is with the kernel when this returns.
    ///
    /// # Errors
    /// [`LogFault::Write`] or [`LogFault::Busy`]: nothing of the record is in the log and its number goes to the next one.
    pub fn append(&self, record: &Record<'_>) -> Result<u64, LogFault> {
        self.append_at(record, clock::now_unix_ms())
    }

    pub(super) fn append_at(&self, record: &Record<'_>, now_unix_ms: u64) -> Result<u64, LogFault> {
        let mut tip = self.tip.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Turn::wait(&self.lock, tip.folder.path(), tip.limits.turn_time_max)?;
        tip.catch_up((&turn, now_unix_ms))?;
        tip.append(record, (&turn, now_unix_ms))
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

/// The right to write, given back with this value.
#[derive(Debug)]
struct Turn<'a>(&'a File);

/// A turn, and the time of what is written in it, in milliseconds since 1970.
type Now<'a> = (&'a Turn<'a>, u64);

impl<'a> Turn<'a> {
    fn wait(lock: &'a File, folder: &Path, time_max: Duration) -> Result<Turn<'a>, LogFault> {
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Turn(lock)),
                Err(TryLockError::WouldBlock) if waited < time_max => std::thread::sleep(TURN_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(LogFault::Busy { path: folder.to_path_buf() });
                }
                Err(TryLockError::Error(source)) => return Err(io_fault("lock", folder, source).into()),
            }
            waited += TURN_PAUSE;
        }
    }

    /// How many segments were begun, in all.
    fn begun(&self) -> Result<u64, LogFault> {
        end(self.0).map_err(LogFault::Write)
    }

    /// Tells everybody that another segment is begun. Comes before it is there: who finds none goes on with the last.
    fn begin(&self) -> Result<(), LogFault> {
        let mut lock = self.0;
        lock.write_all(b".").map_err(LogFault::Write)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It is ours, and unlocking what is locked cannot fail.
        let _ = self.0.unlock();
    }
}

impl Tip {
    fn find(folder: Folder, limits: LogLimits, now: Now<'_>) -> Result<Self, LogFault> {
        let (first, segment, day) = last(&folder, 1, now.1)?;
        let mut tip = Tip {
            folder,
            limits,
            segment,
            first,
            day,
            len: 0,
            next: first,
            begun: now.0.begun()?,
            buffer: Vec::with_capacity(1024),
            second: u64::MAX,
            time: Vec::with_capacity(24),
        };
        tip.recover(now)?;
        Ok(tip)
    }

    /// Goes to the end of the log, wherever other processes have taken it.
    fn catch_up(&mut self, now: Now<'_>) -> Result<(), LogFault> {
        let begun = now.0.begun()?;
        if begun != self.begun {
            let (first, segment, day) = last(&self.folder, self.next, now.1)?;
            (self.segment, self.first, self.day, self.begun) = (segment, first, day, begun);
            self.next = self.next.max(first);
            self.recover(now)
        } else if length(&self.folder, &self.segment)? != self.len {
            self.recover(now)
        } else {
            Ok(())
        }
    }

    /// Finds the next number and cuts off a line that was not finished.
    fn recover(&mut self, now: Now<'_>) -> Result<(), LogFault> {
        self.len = length(&self.folder, &self.segment)?;
        let ending = self.ending(1)?;
        let next = match ending.lines.last().map(|line| segment::seq_of(line)) {
            None => self.next,
            Some(Some(seq)) => seq + 1,
            // The last line is no record, so somebody edited it. Its number counts as used; a reader reports it.
            Some(None) => self.first + self.ending(usize::MAX)?.lines.len() as u64,
        };
        self.next = self.next.max(next);
        if ending.torn > 0 {
            self.len -= ending.torn;
            self.segment.set_len(self.len).map_err(LogFault::Write)?;
            tracing::warn!(bytes = ending.torn, "an unfinished record was cut off the log");
            self.append(&Record::Torn { bytes: ending.torn }, now)?;
        }
        Ok(())
    }

    fn ending(&self, lines: usize) -> Result<Ending, FolderFault> {
        segment::ending(&self.segment, self.len, lines)
            .map_err(|source| io_fault("read the records in", self.folder.path(), source))
    }

    fn append(&mut self, record: &Record<'_>, (turn, now_unix_ms): Now<'_>) -> Result<u64, LogFault> {
        let seq = self.next;
        self.tell_time(now_unix_ms);
        self.buffer.clear();
        line::write(&mut self.buffer, record, Stamp { seq, time: &self.time });
        let size = self.buffer.len() as u64;
        let is_another_day = !self.time.starts_with(self.day.as_bytes());
        if self.len > 0 && (is_another_day || self.len + size > self.limits.segment_bytes_max) {
            self.rotate(turn)?;
        }
        // One write for one line. A disk that fills up may take a part of it, and then the line must go again; where
        // that fails too, whoever writes next finds it and says so.
        let outcome = self.segment.write(&self.buffer);
        match outcome {
            Ok(written) if written as u64 == size => {
                self.len += size;
                self.next += 1;
                Ok(seq)
            }
            failed => {
                let _ = self.segment.set_len(self.len);
                Err(LogFault::Write(failed.err().unwrap_or_else(|| io::ErrorKind::StorageFull.into())))
            }
        }
    }

    fn rotate(&mut self, turn: &Turn<'_>) -> Result<(), LogFault> {
        let day = String::from_utf8_lossy(self.time.get(..10).unwrap_or_default()).into_owned();
        turn.begin()?;
        let segment = self.folder.append(&Segment::name(self.next, &day))?;
        self.segment.sync_data().map_err(LogFault::Write)?;
        self.len = length(&self.folder, &segment)?;
        (self.segment, self.first, self.day, self.begun) = (segment, self.next, day, turn.begun()?);
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

/// The last segment: the number of its first record, the file and the day. Where there is none, one that begins with `next`.
fn last(folder: &Folder, next: u64, now_unix_ms: u64) -> Result<(u64, File, String), FolderFault> {
    let (first, day) = match Segment::list(folder.path())?.pop() {
        Some(last) => (last.first, last.day),
        None => (next, day_of(now_unix_ms)),
    };
    let segment = folder.append(&Segment::name(first, &day))?;
    Ok((first, segment, day))
}

fn length(folder: &Folder, segment: &File) -> Result<u64, FolderFault> {
    end(segment).map_err(|source| io_fault("look at the records in", folder.path(), source))
}

/// The length of a file that is opened for appending, where its cursor means nothing. Going to the end costs a third of
/// asking for all that is known of the file, and each record asks twice.
fn end(mut file: &File) -> io::Result<u64> {
    file.seek(SeekFrom::End(0))
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
    fn a_write_that_fails_takes_no_number_and_what_it_leaves_behind_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("records");
        let log = RecordLog::open_at(&folder, LogLimits::default(), 0).unwrap();
        let record = Record::Torn { bytes: 1 };
        assert_eq!(log.append_at(&record, 0).unwrap(), 1);
        let full = File::options().append(true).open("/dev/full").unwrap();
        let own = std::mem::replace(&mut log.tip.lock().unwrap().segment, full);
        // Its length is not the log's, which makes it look as if others had written.
        log.tip.lock().unwrap().len = 0;
        for _ in 0..2 {
            assert!(matches!(log.append_at(&record, 0), Err(LogFault::Write(_))));
        }
        // What a disk that took half a line leaves behind.
        (&own).write_all(b"{\"bytes\":1,\"ki").unwrap();
        log.tip.lock().unwrap().segment = own;
        assert_eq!(log.append_at(&record, 0).unwrap(), 3);
        let line = |bytes, seq| {
            format!(r#"{{"bytes":{bytes},"kind":"torn","seq":{seq},"time":"1970-01-01T00:00:00.000Z"}}"#)
        };
        assert_eq!(super::super::tail(&folder, 9).unwrap(), [line(1, 1), line(14, 2), line(1, 3)]);
    }
}
