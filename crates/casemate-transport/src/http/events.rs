//! Server-sent events: the form of an event, and a stream of them as the body of a reply.

mod body;
mod decoder;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr2, memchr3};

pub use body::{Closed, EventBody, EventSender, channel};
pub use decoder::{Decoder, EventFault};

use super::reply::Piece;

/// Data up to this size is copied behind its field name, so that a small event is one buffer.
const COPY_BYTES_MAX: usize = 4 * 1024;

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Where in its stream it stands, for resumption. Line breaks and NUL cannot be sent: such an id is left out.
    pub id: Option<Box<str>>,
    /// Its kind; none means `message`.
    pub event: Option<Box<str>>,
    /// How long to wait before coming back after a loss.
    pub retry: Option<Duration>,
    /// Its text: for us a JSON-RPC message, or nothing in a priming event.
    pub data: Bytes,
}

impl Event {
    /// An event that carries a message and nothing else.
    #[must_use]
    pub fn message(data: Bytes) -> Self {
        Self { data, ..Self::default() }
    }

    /// The bytes of the event; long data is not copied unless it has line breaks.
    pub(super) fn encode(self) -> Piece {
        let fields = self.id.as_ref().map_or(0, |id| id.len() + 5)
            + self.event.as_ref().map_or(0, |kind| kind.len() + 8)
            + self.retry.map_or(0, |_| 28);
        let inline = self.data.len() <= COPY_BYTES_MAX;
        let broken = memchr2(b'\n', b'\r', &self.data).is_some();
        let room = if inline || broken { self.data.len() + 16 } else { 8 };
        let mut head = BytesMut::with_capacity(fields + room);
        if let Some(kind) = self.event.as_deref() {
            put_field(&mut head, b"event: ", kind);
        }
        if let Some(id) = self.id.as_deref() {
            put_field(&mut head, b"id: ", id);
        }
        if let Some(retry) = self.retry {
            put_field(&mut head, b"retry: ", &retry.as_millis().to_string());
        }
        head.put_slice(b"data: ");
        if broken {
            put_lines(&mut head, &self.data);
        } else if inline {
            head.put_slice(&self.data);
        } else {
            return Piece::framed(head.freeze(), self.data, b"\n\n");
        }
        head.put_slice(b"\n\n");
        Piece::whole(head.freeze())
    }
}

/// Writes one short field, unless its value would break the framing.
fn put_field(head: &mut BytesMut, name: &[u8], value: &str) {
    if memchr3(b'\n', b'\r', 0, value.as_bytes()).is_none() {
        head.put_slice(name);
        head.put_slice(value.as_bytes());
        head.put_u8(b'\n');
    }
}

/// Writes data with line breaks as one `data:` field per line; every kind of line break becomes `\n`.
fn put_lines(head: &mut BytesMut, data: &[u8]) {
    let mut rest = data;
    while let Some(end) = memchr2(b'\n', b'\r', rest) {
        let (line, after) = rest.split_at(end);
        head.put_slice(line);
        head.put_slice(b"\ndata: ");
        rest = after.strip_prefix(b"\r\n").or_else(|| after.get(1..)).unwrap_or_default();
    }
    head.put_slice(rest);
}
