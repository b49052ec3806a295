//! Server-sent events, as far as the protocol uses them: writing one event, and reading a stream of them.

/// What travels in one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The event id, empty when there is none.
    pub(crate) id: String,
    /// The data lines, joined.
    pub(crate) data: String,
    /// Milliseconds a client should wait before it reconnects.
    pub(crate) retry: Option<u64>,
}

/// Writes one event whose data has no line break (compact JSON never has).
pub(crate) fn encode(id: Option<&str>, data: &str) -> String {
    match id {
        Some(id) => format!("id: {id}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    }
}

/// The first event of a stream that can be resumed: an id to resume from, and no data.
pub(crate) fn priming(id: &str, retry_ms: u64) -> String {
    format!("id: {id}\nretry: {retry_ms}\ndata: \n\n")
}

/// Cuts a byte stream into events.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event. Comments and blank keep-alives are skipped.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.boundary()?;
            let block: Vec<u8> = self.buffer.drain(..end).collect();
            let event = Reader::read(&String::from_utf8_lossy(&block));
            if event != Event::default() {
                return Some(event);
            }
        }
    }

    /// Where the blank line after the first block ends.
    fn boundary(&self) -> Option<usize> {
        let mut line_start = 0;
        for (at, byte) in self.buffer.iter().enumerate() {
            if *byte != b'\n' {
                continue;
            }
            let line = self.buffer.get(line_start..at)?;
            if line.is_empty() || line == b"\r" {
                return Some(at + 1);
            }
            line_start = at + 1;
        }
        None
    }

    fn read(block: &str) -> Event {
        let mut event = Event::default();
        let mut lines = Vec::new();
        for line in block.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => value.clone_into(&mut event.id),
                "data" => lines.push(value),
                "retry" => event.retry = value.parse().ok(),
                _ => {}
            }
        }
        event.data = lines.join("\n");
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_any_cut() {
        let text = ": hello\n\nid: 1-0\nretry: 500\ndata: \n\nid: 1-1\r\ndata: {\"a\":1}\r\n\r\ndata: x\ndata: y\n\n";
        for step in 1..text.len() {
            let mut reader = Reader::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(step) {
                reader.feed(piece);
                while let Some(event) = reader.next() {
                    events.push(event);
                }
            }
            assert_eq!(events.len(), 3, "cut every {step} bytes");
            assert_eq!(events[0], Event { id: "1-0".into(), data: String::new(), retry: Some(500) });
            assert_eq!((events[1].id.as_str(), events[1].data.as_str()), ("1-1", "{\"a\":1}"));
            assert_eq!(events[2].data, "x\ny");
        }
    }
}
