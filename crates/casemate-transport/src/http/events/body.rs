//! A stream of events as a body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use super::Event;
use crate::http::reply::Piece;
use crate::http::streams::Subscription;

/// After this much silence a comment is sent, so that proxies and load balancers, which commonly give up after
/// 30 or 60 seconds, keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The comment.
const KEEP_ALIVE_TEXT: &[u8] = b": keep-alive\n\n";

/// The receiver of the events is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client no longer reads its events")]
pub struct Closed;

/// Feeds an [`EventBody`]. When the last clone is dropped, the body ends after what was queued.
#[derive(Debug, Clone)]
pub struct EventSender {
    queue: mpsc::Sender<Event>,
}

impl EventSender {
    /// Queues an event; waits while the queue is full.
    ///
    /// # Errors
    /// [`Closed`] when the client went away.
    pub async fn send(&self, event: Event) -> Result<(), Closed> {
        self.queue.send(event).await.map_err(|_| Closed)
    }

    /// Queues an event if there is room; gives it back when there is none.
    ///
    /// # Errors
    /// The event, when the queue is full or the client went away.
    pub fn try_send(&self, event: Event) -> Result<(), Event> {
        self.queue.try_send(event).map_err(mpsc::error::TrySendError::into_inner)
    }

    /// Waits until the client goes away.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Whether the client went away.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// A body of events and its feeder, with a queue of `queue_events` (at least 1) between them.
#[must_use]
pub fn channel(queue_events: usize) -> (EventSender, EventBody) {
    let (queue, events) = mpsc::channel(queue_events.max(1));
    (EventSender { queue }, EventBody::new(Source::Queue(events)))
}

/// A body that streams events, with a comment after every 15 seconds of silence. Dropping it (the client went
/// away) closes its feeder.
#[derive(Debug)]
pub struct EventBody {
    source: Source,
    /// When the silence gets too long. The timer is set late and moved seldom: sending an event only notes the
    /// time.
    alarm: Option<Pin<Box<Sleep>>>,
    last_sent: Option<Instant>,
    ended: bool,
}

#[derive(Debug)]
enum Source {
    Queue(mpsc::Receiver<Event>),
    Subscription(Subscription),
}

impl From<Subscription> for EventBody {
    fn from(subscription: Subscription) -> Self {
        Self::new(Source::Subscription(subscription))
    }
}

/// What the body has to send next.
pub(in crate::http) type EventPoll = Poll<Option<Piece>>;

impl EventBody {
    fn new(source: Source) -> Self {
        Self { source, alarm: None, last_sent: None, ended: false }
    }

    /// Whether the last event has been handed out.
    pub(in crate::http) fn ended(&self) -> bool {
        self.ended
    }

    /// The next event or comment, encoded.
    pub(in crate::http) fn poll_piece(&mut self, cx: &mut Context<'_>) -> EventPoll {
        let event = match &mut self.source {
            Source::Queue(events) => events.poll_recv(cx),
            Source::Subscription(subscription) => subscription.poll_next(cx),
        };
        match event {
            Poll::Ready(Some(event)) => {
                self.last_sent = self.alarm.is_some().then(Instant::now);
                Poll::Ready(Some(event.encode()))
            }
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_silence(cx),
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> EventPoll {
        loop {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(KEEP_ALIVE)));
            ready!(alarm.as_mut().poll(cx));
            let now = Instant::now();
            let due = self.last_sent.map_or(now, |sent| sent + KEEP_ALIVE);
            if due > now {
                alarm.as_mut().reset(due);
                continue;
            }
            self.last_sent = Some(now);
            alarm.as_mut().reset(now + KEEP_ALIVE);
            return Poll::Ready(Some(Piece::whole(Bytes::from_static(KEEP_ALIVE_TEXT))));
        }
    }
}
