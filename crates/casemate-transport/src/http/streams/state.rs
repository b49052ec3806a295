//! The logs of one session, under its lock.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;

use super::{ResumeFault, StreamLimits};
use crate::http::events::Event;

/// The number of the general stream. Calls count from 1.
pub(super) const GENERAL: u32 = 0;
/// How many finished streams are kept at most, so that a busy session does not gather them for the keep time.
const FINISHED_MAX: usize = 16;

/// A place in a stream: that of an event, or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) stream: u32,
    pub(super) seq: u32,
}

impl Position {
    /// `STREAM-SEQ`, both in hexadecimal.
    pub(super) fn id(self) -> Box<str> {
        format!("{:x}-{:x}", self.stream, self.seq).into()
    }

    pub(super) fn parse(id: &str) -> Option<Self> {
        let (stream, seq) = id.split_once('-')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        let position = Self { stream: number(stream)?, seq: number(seq)? };
        // One spelling only: what we did not write, we do not read.
        (*position.id() == *id).then_some(position)
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    logs: Vec<Log>,
    last_stream: u32,
    last_generation: u64,
    events: usize,
    bytes: usize,
    pub(super) closed: bool,
}

/// One stream. Events are numbered from 1 without gaps; those before `first` are forgotten.
#[derive(Debug)]
struct Log {
    stream: u32,
    first: u32,
    events: VecDeque<Bytes>,
    /// The first event that the current reader has not taken, or the last reader had not.
    unread: u32,
    reader: Option<Reader>,
    finished: Option<Instant>,
}

#[derive(Debug)]
struct Reader {
    generation: u64,
    waker: Option<Waker>,
}

impl Log {
    fn new(stream: u32) -> Self {
        Self { stream, first: 1, events: VecDeque::new(), unread: 1, reader: None, finished: None }
    }

    /// The number that the next event gets.
    fn next(&self) -> u32 {
        self.first.saturating_add(u32::try_from(self.events.len()).unwrap_or(u32::MAX))
    }

    fn wake(&mut self) {
        if let Some(waker) = self.reader.as_mut().and_then(|reader| reader.waker.take()) {
            waker.wake();
        }
    }

    /// Forgets the oldest event and returns its length.
    fn forget(&mut self) -> Option<usize> {
        let event = self.events.pop_front()?;
        self.first += 1;
        self.unread = self.unread.max(self.first);
        Some(event.len())
    }
}

impl State {
    /// A new log for a call.
    pub(super) fn open(&mut self) -> u32 {
        self.last_stream += 1;
        self.logs.push(Log::new(self.last_stream));
        self.last_stream
    }

    /// The general log exists from its first use.
    pub(super) fn open_general(&mut self) {
        if self.log(GENERAL).is_none() {
            self.logs.push(Log::new(GENERAL));
        }
    }

    /// The first event of a stream that no reader has taken.
    pub(super) fn unread(&mut self, stream: u32) -> u32 {
        self.log(stream).map_or(1, |log| log.unread)
    }

    fn log(&mut self, stream: u32) -> Option<&mut Log> {
        self.logs.iter_mut().find(|log| log.stream == stream)
    }

    /// Whether a call's stream takes further events.
    pub(super) fn is_open(&mut self, stream: u32) -> bool {
        !self.closed && self.log(stream).is_some_and(|log| log.finished.is_none())
    }

    pub(super) fn has_reader(&mut self, stream: u32) -> bool {
        self.log(stream).is_some_and(|log| log.reader.is_some())
    }

    /// The place after an event that a client names.
    pub(super) fn after(&mut self, last: Position) -> Result<Position, ResumeFault> {
        let log = self.log(last.stream).ok_or(ResumeFault::Unknown)?;
        if last.seq >= log.next() {
            return Err(ResumeFault::Unknown);
        }
        let seq = last.seq + 1;
        if seq < log.first { Err(ResumeFault::Forgotten) } else { Ok(Position { seq, ..last }) }
    }

    /// Makes a new reader at a position; an older one of the same stream ends.
    pub(super) fn attach(&mut self, position: Position) -> u64 {
        self.last_generation += 1;
        let generation = self.last_generation;
        if !self.closed
            && let Some(log) = self.log(position.stream)
        {
            log.wake();
            log.unread = position.seq;
            log.reader = Some(Reader { generation, waker: None });
        }
        generation
    }

    /// Ends the reader of a stream.
    pub(super) fn detach(&mut self, stream: u32) {
        if let Some(log) = self.log(stream) {
            log.wake();
            log.reader = None;
        }
    }

    /// A reader goes by itself.
    pub(super) fn leave(&mut self, stream: u32, generation: u64) {
        if self.reads(stream, generation) {
            self.detach(stream);
        }
    }

    fn reads(&mut self, stream: u32, generation: u64) -> bool {
        self.log(stream)
            .and_then(|log| log.reader.as_ref())
            .is_some_and(|reader| reader.generation == generation)
    }

    /// The last place that a reader has behind it.
    pub(super) fn position(&mut self, stream: u32, generation: u64) -> Option<Position> {
        let current = self.reads(stream, generation);
        let log = self.log(stream).filter(|_| current)?;
        Some(Position { stream, seq: log.unread - 1 })
    }

    /// Hands the next event to a reader.
    pub(super) fn take(&mut self, stream: u32, generation: u64, cx: &Context<'_>) -> Poll<Option<Event>> {
        let Some(log) = self.log(stream) else { return Poll::Ready(None) };
        let seq = log.unread;
        let at = (seq - log.first) as usize;
        let Some(reader) = log.reader.as_mut().filter(|reader| reader.generation == generation) else {
            return Poll::Ready(None);
        };
        if let Some(data) = log.events.get(at).cloned() {
            log.unread += 1;
            let id = Some(Position { stream, seq }.id());
            return Poll::Ready(Some(Event { id, data, ..Event::default() }));
        }
        if log.finished.is_some() {
            return Poll::Ready(None);
        }
        reader.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Adds an event to a stream.
    pub(super) fn append(&mut self, stream: u32, event: Bytes) -> bool {
        let length = event.len();
        let Some(log) = self.log(stream) else { return false };
        log.events.push_back(event);
        log.wake();
        self.events += 1;
        self.bytes += length;
        true
    }

    /// Makes room for an event of `length` bytes in `stream`: forgets finished streams that were read, then
    /// events that were read, then, only where nobody reads, events that were not. Returns whether there is room.
    pub(super) fn make_room(&mut self, limits: &StreamLimits, stream: u32, length: usize) -> bool {
        while !self.fits(limits, length) {
            if !(self.forget_finished() || self.forget_read() || self.forget_unread(stream)) {
                return false;
            }
        }
        true
    }

    fn fits(&self, limits: &StreamLimits, length: usize) -> bool {
        self.events == 0
            || (self.events < limits.events_max && self.bytes.saturating_add(length) <= limits.bytes_max)
    }

    /// Forgets the oldest finished stream that was read to its end.
    fn forget_finished(&mut self) -> bool {
        let done = |log: &Log| log.finished.is_some() && log.unread == log.next() && !log.events.is_empty();
        match self.logs.iter().position(done) {
            Some(at) => {
                self.remove(at);
                true
            }
            None => false,
        }
    }

    /// Forgets the oldest event that was read, of the oldest stream that has one.
    fn forget_read(&mut self) -> bool {
        let forgotten = self.logs.iter_mut().find(|log| log.first < log.unread).and_then(Log::forget);
        self.account(forgotten)
    }

    /// Forgets the oldest event of the writer's own stream, else of another one, that nobody reads. The general
    /// stream, which cannot wait, also forgets what a slow reader has not taken.
    fn forget_unread(&mut self, stream: u32) -> bool {
        let loses = |log: &Log| log.reader.is_none() || (stream == GENERAL && log.stream == GENERAL);
        let own = self.log(stream).filter(|log| loses(log)).and_then(Log::forget);
        let forgotten = own.or_else(|| self.logs.iter_mut().filter(|log| loses(log)).find_map(Log::forget));
        self.account(forgotten)
    }

    fn account(&mut self, forgotten: Option<usize>) -> bool {
        let Some(length) = forgotten else { return false };
        self.events -= 1;
        self.bytes -= length;
        true
    }

    /// No further events come to a stream.
    pub(super) fn finish(&mut self, stream: u32) {
        if let Some(log) = self.log(stream)
            && log.finished.is_none()
        {
            log.finished = Some(Instant::now());
            log.wake();
        }
    }

    /// Forgets finished streams whose time is over, and the oldest of too many.
    pub(super) fn sweep(&mut self, limits: &StreamLimits) {
        let finished = self.logs.iter().filter(|log| log.finished.is_some()).count();
        if finished == 0 {
            return;
        }
        let mut excess = finished.saturating_sub(FINISHED_MAX);
        let now = Instant::now();
        let mut at = 0;
        while let Some(log) = self.logs.get(at) {
            let expired = log.finished.is_some_and(|end| now >= end + limits.keep_time);
            // A reader that is slow still gets the rest; the connection cuts one that has stopped.
            let idle = log.finished.is_some() && log.reader.is_none();
            if idle && (expired || excess > 0) {
                excess = excess.saturating_sub(1);
                self.remove(at);
            } else {
                at += 1;
            }
        }
        if self.logs.is_empty() {
            self.logs = Vec::new();
        }
    }

    /// Ends everything.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for log in &mut self.logs {
            log.wake();
        }
        *self = Self { closed: true, last_stream: self.last_stream, ..Self::default() };
    }

    fn remove(&mut self, at: usize) {
        let mut log = self.logs.remove(at);
        log.wake();
        self.events -= log.events.len();
        self.bytes -= log.events.iter().map(Bytes::len).sum::<usize>();
    }

    /// How many streams are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether the totals are those of the logs, and how much is kept.
    #[cfg(test)]
    pub(super) fn audit(&self) -> (usize, usize) {
        let events = self.logs.iter().map(|log| log.events.len()).sum();
        let bytes = self.logs.iter().flat_map(|log| &log.events).map(Bytes::len).sum();
        assert_eq!((self.events, self.bytes), (events, bytes));
        for log in &self.logs {
            assert!((log.first..=log.next()).contains(&log.unread), "{log:?}");
        }
        (events, bytes)
    }
}
