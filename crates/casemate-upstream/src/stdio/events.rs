//! A conversation over HTTP with SSE, the transport of 2024-11-05: a stream of events that names an address, and posts to
//! that address.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_transport::http::{Events, Posted};
use casemate_transport::lines::Line;
use casemate_transport::link;
use http::StatusCode;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::process::QUEUE_FRAMES;
use super::reader::Unread;
use crate::Fault;
use crate::http::Door;
use crate::instance::{Seed, frame_limits};

/// How long a server may take to name the address. It comes first, before anything is asked.
const ADDRESS_TIME: Duration = Duration::from_secs(10);

/// The receiving half: what comes as events.
pub(super) struct Heard {
    events: Events,
    message_bytes_max: usize,
    /// Why no more messages can be posted, once that is so.
    unposted: watch::Receiver<Option<String>>,
}

impl Heard {
    /// The next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Line, Unread> {
        loop {
            let unposted = async {
                let why = self.unposted.wait_for(Option::is_some).await;
                why.ok().and_then(|why| why.clone())
            };
            let event = tokio::select! {
                biased;
                event = self.events.next() => event,
                why = unposted => return Err(why.map_or(Unread::Closed, Unread::Broken)),
            };
            let text = match event {
                Ok(Some(event)) if event.event.as_deref().is_none_or(|kind| kind == "message") => event.data,
                // Other kinds mean nothing here.
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => return Err(Unread::Closed),
            };
            if text.len() > self.message_bytes_max {
                return Ok(Line::TooLong { bytes: text.len() as u64 });
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Line::Frame(text));
            }
        }
    }
}

/// Opens the stream, and gives what messages are sent with and heard by.
pub(super) async fn open(seed: &Seed, door: &Door) -> Result<(link::LinkSender, Heard), Fault> {
    let no_stream = |what: String| Fault::Start { why: format!("it takes no posts, and {what}") };
    let mut events = match door.listen().await? {
        Posted::Events { events, .. } => events,
        other => return Err(no_stream(format!("answers GET with status {}", other.status().as_u16()))),
    };
    let named = timeout(ADDRESS_TIME, events.next()).await;
    let address = match named {
        Ok(Ok(Some(event))) if event.event.as_deref() == Some("endpoint") => event.data,
        _ => return Err(no_stream("its stream begins with no `endpoint` event".to_owned())),
    };
    let address = String::from_utf8_lossy(&address).into_owned();
    let posts = door.beside(&address).map_err(no_stream)?;
    let (sender, messages) = link::queue(QUEUE_FRAMES);
    let (failing, unposted) = watch::channel(None);
    seed.host.tracker.spawn(post(posts, messages, failing));
    let message_bytes_max = frame_limits(seed.host.answer_size.get()).bytes_max;
    Ok((sender, Heard { events, message_bytes_max, unposted }))
}

/// Posts messages in their order. One that is not taken ends the conversation: nobody would know what became of it.
async fn post(door: Arc<Door>, mut messages: mpsc::Receiver<Bytes>, failing: watch::Sender<Option<String>>) {
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            () = failing.closed() => return,
        };
        let Some(message) = message else { break };
        let why = match door.post(door.plain_headers(), message).await {
            Ok(posted) if posted.status().is_success() => continue,
            Ok(posted) if posted.status() == StatusCode::NOT_FOUND => {
                "it no longer knows the session".to_owned()
            }
            Ok(posted) => format!("it refused a message with status {}", posted.status().as_u16()),
            Err(fault) => format!("it took no message: {fault}"),
        };
        failing.send_replace(Some(why));
        return;
    }
    // All is said; what is still to be heard is.
    failing.closed().await;
}
