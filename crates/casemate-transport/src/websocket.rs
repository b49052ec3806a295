//! WebSockets (RFC 6455) as links: one message per text frame.
//!
//! The framing is `tokio-websockets`, which is strict and knows no extensions, so nothing is ever decompressed. Here are
//! the bounds around it: how large and how slow a message may be, how long the other side may be silent or not read, and
//! how many control frames it may send. Each bound that is broken ends the connection with a code that says which.

mod handshake;
mod meter;
mod pump;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;
use tokio_websockets::{ClientBuilder, Limits, ServerBuilder};

use crate::link::{self, Farewell, LinkReader, LinkSender, Over, Received};
pub use handshake::{Asking, HandshakeFault, SUBPROTOCOL, accept, ask};
use meter::Metered;
use pump::Pump;

/// Messages that were read and wait for whoever reads the link.
const QUEUE_READ: usize = 16;

/// Bounds of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of one message, over all its frames.
    pub message_bytes_max: usize,
    /// From the first byte of a message to its last.
    pub message_time_max: Duration,
    /// Messages that may wait for a peer that does not read.
    pub queue_messages: usize,
}

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We asked.
    Client,
    /// We were asked.
    Server,
}

/// Makes a link of a connection on which the handshake is done. The future carries it and has to be polled, until it ends
/// by itself.
pub fn link<I>(
    stream: I,
    side: Side,
    bounds: &Bounds,
) -> (LinkSender, Messages, impl Future<Output = ()> + Send + use<I>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (sender, outgoing) = link::queue(bounds.queue_messages);
    let (inbox, messages) = mpsc::channel(QUEUE_READ);
    let (farewell, parting) = oneshot::channel();
    let over = Arc::new(OnceLock::new());
    let (stream, meter) = Metered::new(stream, bounds.message_bytes_max);
    let limits = Limits::default().max_payload_len(Some(bounds.message_bytes_max));
    let socket = match side {
        Side::Client => ClientBuilder::new().limits(limits).take_over(stream),
        Side::Server => ServerBuilder::new().limits(limits).serve(stream),
    };
    let inbox = PollSender::new(inbox);
    let pump = Pump::new(socket, meter, (outgoing, inbox), bounds.message_time_max);
    let carried = pump.run(parting, Arc::clone(&over));
    (sender, Messages { inbox: messages, farewell: Some(farewell), over }, carried)
}

/// The receiving half of a WebSocket.
#[derive(Debug)]
pub struct Messages {
    inbox: mpsc::Receiver<Bytes>,
    farewell: Option<oneshot::Sender<Farewell>>,
    over: Arc<OnceLock<Over>>,
}

impl LinkReader for Messages {
    async fn next(&mut self) -> Received {
        match self.inbox.recv().await {
            Some(message) => Received::Message(message),
            None => Received::Over(self.over.get().cloned().unwrap_or(Over::Closed)),
        }
    }

    fn part(&mut self, farewell: Farewell) {
        if let Some(waiting) = self.farewell.take() {
            // A connection that has ended by itself needs no word.
            _ = waiting.send(farewell);
        }
    }
}
