//! A stream of events as a server sends it.

use std::time::Duration;

use http_body_util::BodyExt;

use super::fault::ClientFault;
use super::link::Flow;
use crate::http::events::{Decoder, Event};

/// The events of one answer. Dropping it closes the connection, which tells the server. There is no time limit:
/// a stream may be silent for as long as the caller cares to wait.
#[derive(Debug)]
pub struct Events {
    stream: Box<Stream>,
}

#[derive(Debug)]
struct Stream {
    flow: Flow,
    decoder: Decoder,
}

impl Events {
    pub(super) fn new(flow: Flow, event_bytes_max: usize) -> Self {
        Self { stream: Box::new(Stream { flow, decoder: Decoder::new(event_bytes_max) }) }
    }

    /// The next event; `None` when the server ended the stream. Cancel safe.
    ///
    /// # Errors
    /// [`ClientFault::Lost`] when the connection broke, [`ClientFault::Event`] when an event is too long.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientFault> {
        let Stream { flow, decoder } = &mut *self.stream;
        loop {
            if let Some(event) = decoder.decode()? {
                return Ok(Some(event));
            }
            match flow.frame().await {
                None => return Ok(None),
                Some(Err(source)) => return Err(ClientFault::Lost { source }),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        decoder.push(data);
                    }
                }
            }
        }
    }

    /// The id to resume this stream with, when the server gave one.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.stream.decoder.last_id()
    }

    /// How long the server wants its clients to wait before they come back.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.stream.decoder.last_retry()
    }
}
