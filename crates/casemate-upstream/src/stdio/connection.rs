//! A conversation over a connection: a WebSocket, a stream of events, or a socket with stdio framing.

use std::sync::{Arc, Mutex, OnceLock};

use casemate_transport::lines;
use casemate_transport::link::LinkSender;
use casemate_transport::websocket::{self, Bounds, Side};

use super::events;
use super::process::{POLITE_TIME, QUEUE_FRAMES, close};
use super::reader::{Noise, Output, Reader, Silence};
use super::wire::{Outbound, Wire};
use crate::Fault;
use crate::desk::Desk;
use crate::http::Door;
use crate::instance::{Seed, frame_limits};
use crate::life::{End, Life};
use crate::socket;

/// Opens a WebSocket, with the credentials that a request would have.
pub(super) async fn over_websocket(seed: &Seed, door: &Door) -> Result<(Arc<Wire>, Life), Fault> {
    let stream = door.switch().await?;
    let bounds = Bounds {
        message_bytes_max: frame_limits(seed.host.answer_size.get()).bytes_max,
        // However large an answer is, its call is over by then.
        message_time_max: seed.entry.timeouts.hard,
        queue_messages: QUEUE_FRAMES,
    };
    let (sender, messages, carrying) = websocket::link(stream, Side::Client, &bounds);
    seed.host.tracker.spawn(carrying);
    Ok(converse(seed, sender, Output::Messages(messages)))
}

/// Opens a stream of events, with posts beside it.
pub(super) async fn over_events(seed: &Seed, door: &Door) -> Result<(Arc<Wire>, Life), Fault> {
    let (sender, heard) = events::open(seed, door).await?;
    Ok(converse(seed, sender, Output::Events(heard)))
}

/// Connects a socket on which lines are spoken.
pub(super) async fn over_socket(
    seed: &Seed,
    source: &crate::entry::SocketSource,
) -> Result<(Arc<Wire>, Life), Fault> {
    let (reader, writer) = socket::connect(source).await.map_err(|why| Fault::Start { why })?;
    let sender = lines::writer(writer, QUEUE_FRAMES, &seed.host.tracker);
    Ok(converse(seed, sender, Output::lines(reader, seed)))
}

fn converse(seed: &Seed, sender: LinkSender, output: Output) -> (Arc<Wire>, Life) {
    let life = Life::below(&seed.stop);
    let wire = Arc::new(Wire {
        desk: Desk::new(seed.subject.clone(), seed.offered.clone(), Arc::clone(&seed.outlet)),
        outbound: Mutex::new(Some(Outbound::new(sender))),
        read_bytes: OnceLock::new(),
        revision: OnceLock::new(),
        pid: None,
        report: None,
    });
    let reader = Reader::new(output, Noise::Fatal, Arc::clone(&wire), seed);
    seed.host.tracker.spawn(listen(reader, Arc::clone(&wire), life.clone()));
    (wire, life)
}

/// Listens until one side has had enough.
async fn listen(mut reader: Reader, wire: Arc<Wire>, life: Life) {
    let silence = tokio::select! {
        silence = reader.run() => Some(silence),
        () = life.stopping() => None,
    };
    // From here on it gets no new calls.
    life.stop();
    let end = match silence {
        Some(Silence::Closed) => End::Lost("it closed the connection".to_owned()),
        Some(Silence::Broken(why)) => End::Lost(why),
        Some(Silence::OverLimit(overrun)) => End::OverLimit(overrun),
        None => {
            wire.hang_up();
            // What it still has to say is heard while it ends.
            _ = tokio::time::timeout(POLITE_TIME, reader.run()).await;
            End::Asked
        }
    };
    wire.hang_up();
    close(&wire, &life, end);
}
