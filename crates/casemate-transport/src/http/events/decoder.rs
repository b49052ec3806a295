//! Reads server-sent events from chunks of any cut.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;
use thiserror::Error;

use super::Event;

/// The mark that some servers put before UTF-8 text.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A stream whose events cannot be kept within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventFault {
    /// One event, or one comment, is longer than allowed.
    #[error("an event is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// An incremental decoder, as the HTML standard describes it, except that an event's `id` is only given where it
/// was sent ([`Decoder::last_id`] is the one that stays). Data is not checked to be UTF-8; a single `data` line
/// within one chunk is not copied.
#[derive(Debug)]
pub struct Decoder {
    event_bytes_max: usize,
    /// What came of a line whose end has not come yet.
    partial: BytesMut,
    /// What came and has not been looked at.
    chunk: Bytes,
    event: Pending,
    last_id: Option<Box<str>>,
    last_retry: Option<Duration>,
    /// The last line ended with `\r`, so that a `\n` that follows belongs to it.
    after_return: bool,
    /// The first line may carry a byte order mark.
    started: bool,
}

/// The fields of an event whose end has not come yet.
#[derive(Debug, Default)]
struct Pending {
    event: Event,
    data: Data,
    bytes: usize,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Decoder {
    /// A decoder of events of at most `event_bytes_max` bytes each, fields and line ends included.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            partial: BytesMut::new(),
            chunk: Bytes::new(),
            event: Pending::default(),
            last_id: None,
            last_retry: None,
            after_return: false,
            started: false,
        }
    }

    /// Takes the next chunk. Call [`Decoder::decode`] until it gives `None` before the next one.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.chunk.len() + chunk.len());
            joined.extend_from_slice(&self.chunk);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next whole event of what was pushed.
    ///
    /// # Errors
    /// [`EventFault`]; the stream cannot be read any further then.
    pub fn decode(&mut self) -> Result<Option<Event>, EventFault> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.event.bytes += line.len() + 1;
                if self.event.bytes > self.event_bytes_max {
                    return Err(EventFault::TooLarge { limit: self.event_bytes_max });
                }
                self.field(&line);
            }
        }
        Ok(None)
    }

    /// The last event id that the server set, to resume with.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The last reconnection time that the server set.
    #[must_use]
    pub fn last_retry(&self) -> Option<Duration> {
        self.last_retry
    }

    /// Cuts the next whole line, without its end.
    fn line(&mut self) -> Result<Option<Bytes>, EventFault> {
        if self.after_return && !self.chunk.is_empty() {
            self.after_return = false;
            if self.chunk.first() == Some(&b'\n') {
                self.chunk.advance(1);
            }
        }
        let Some(end) = memchr2(b'\n', b'\r', &self.chunk) else {
            let kept = self.event.bytes + self.partial.len() + self.chunk.len();
            if kept > self.event_bytes_max {
                return Err(EventFault::TooLarge { limit: self.event_bytes_max });
            }
            self.partial.extend_from_slice(&self.chunk);
            self.chunk.clear();
            return Ok(None);
        };
        self.after_return = self.chunk.get(end) == Some(&b'\r');
        let mut line = self.chunk.split_to(end);
        self.chunk.advance(1);
        if !self.partial.is_empty() {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(&line);
            line = whole.freeze();
        }
        if !std::mem::replace(&mut self.started, true) && line.starts_with(BOM) {
            line.advance(BOM.len());
        }
        Ok(Some(line))
    }

    /// Takes one field. Comments and unknown fields are passed over.
    fn field(&mut self, line: &Bytes) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let mut value = line.slice(colon..);
        value.advance(value.len().min(1));
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        match line.get(..colon).unwrap_or_default() {
            b"data" => self.event.add_data(value),
            b"event" => self.event.event.event = text(&value),
            b"id" if !value.contains(&0) => self.event.event.id = text(&value),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let millis = text(&value).and_then(|digits| digits.parse().ok());
                self.event.event.retry = millis.map(Duration::from_millis);
            }
            _ => {}
        }
    }

    /// Ends an event at a blank line. Only one with data is given out, but its id and retry count in any case.
    fn dispatch(&mut self) -> Option<Event> {
        let Pending { mut event, data, .. } = std::mem::take(&mut self.event);
        if let Some(id) = &event.id {
            self.last_id = Some(id.clone()).filter(|id| !id.is_empty());
        }
        self.last_retry = event.retry.or(self.last_retry);
        event.data = match data {
            Data::None => return None,
            Data::One(bytes) => bytes,
            Data::Many(bytes) => bytes.freeze(),
        };
        Some(event)
    }
}

impl Pending {
    fn add_data(&mut self, line: Bytes) {
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::One(line),
            Data::One(first) => {
                let mut many = BytesMut::from(&*first);
                many.extend_from_slice(b"\n");
                many.extend_from_slice(&line);
                Data::Many(many)
            }
            Data::Many(mut many) => {
                many.extend_from_slice(b"\n");
                many.extend_from_slice(&line);
                Data::Many(many)
            }
        };
    }
}

/// A short field's text; one that is not UTF-8 counts as empty.
fn text(value: &[u8]) -> Option<Box<str>> {
    Some(std::str::from_utf8(value).unwrap_or_default().into())
}
