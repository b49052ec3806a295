//! Cuts a byte stream into lines of bounded length.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What is read at once while lines are short: a pipe's page run, and small enough for hundreds of servers.
const READ_BYTES: usize = 16 * 1024;
/// What is read at once while a long line is under way, so that a 1 MiB line costs few system calls.
const READ_BYTES_MAX: usize = 512 * 1024;

/// One line that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The line without its end (`\n` or `\r\n`); never blank. Its bytes are not checked in any way.
    Frame(Bytes),
    /// A line that was longer than the limit and was skipped.
    TooLong {
        /// How long it was, in bytes, without its end.
        bytes: u64,
    },
}

/// Reads lines from a pipe. Memory is bounded by the limit, whatever the other side writes.
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end: it is never scanned twice.
    scanned: usize,
    line_bytes_max: usize,
    /// The bytes already thrown away of a line that is too long.
    skipped: Option<u64>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader that hands out lines of at most `line_bytes_max` bytes.
    pub fn new(source: R, line_bytes_max: usize) -> Self {
        Self { source, buffer: BytesMut::new(), scanned: 0, line_bytes_max, skipped: None, ended: false }
    }

    /// The next line that is not blank; `None` at the end of the stream. A last line without an end counts as
    /// a line. Cancel safe: what was read before is not lost.
    ///
    /// # Errors
    /// The error of the stream.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.cut() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            // Room is made only when little is left: earlier frames may still hold the buffer, and a new one
            // for every read would be one allocation per frame.
            let room = self.buffer.len().clamp(READ_BYTES, READ_BYTES_MAX);
            if self.buffer.capacity() - self.buffer.len() < room / 4 {
                self.buffer.reserve(room);
            }
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
            }
        }
    }

    /// Cuts the next line out of what has been read.
    fn cut(&mut self) -> Option<Line> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(offset) = memchr(b'\n', fresh) else { return self.rest() };
            let mut line = self.buffer.split_to(self.scanned + offset);
            self.buffer.advance(1);
            self.scanned = 0;
            self.release();
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if let Some(line) = self.admit(line.freeze()) {
                return Some(line);
            }
        }
    }

    /// No line end is in sight: forgets an overlong line's bytes, and at the end takes what is left as a line.
    fn rest(&mut self) -> Option<Line> {
        if self.ended {
            let last = self.buffer.split().freeze();
            self.scanned = 0;
            return self.admit(last);
        }
        // One byte more than the limit may still be the `\r` of a line end.
        if self.skipped.is_some() || self.buffer.len() > self.line_bytes_max.saturating_add(1) {
            let skipped = self.skipped.get_or_insert(0);
            *skipped = skipped.saturating_add(self.buffer.len() as u64);
            self.buffer.clear();
            self.release();
        }
        self.scanned = self.buffer.len();
        None
    }

    /// Gives up a buffer that one long line has made large, once nothing is in it: the next lines need no such.
    fn release(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > READ_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
    }

    /// Turns the bytes before a line end into a line, unless they are blank.
    fn admit(&mut self, line: Bytes) -> Option<Line> {
        if let Some(skipped) = self.skipped.take() {
            return Some(Line::TooLong { bytes: skipped.saturating_add(line.len() as u64) });
        }
        if line.len() > self.line_bytes_max {
            return Some(Line::TooLong { bytes: line.len() as u64 });
        }
        if line.trim_ascii().is_empty() { None } else { Some(Line::Frame(line)) }
    }
}
