//! Carries one WebSocket: both directions in one task, so that a peer that does not read cannot keep us from reading.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::PollSender;
use tokio_websockets::{CloseCode, Error, Message, WebSocketStream};

use super::meter::{Meter, Metered};
use crate::link::{Farewell, Over};

/// After so much silence the other side is asked whether it is there, and after as much again it is not: proxies commonly
/// give up after 30 or 60 seconds, and a half-open connection must not hold its place for long.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long the other side may take nothing of what we write.
const STALL_MAX: Duration = Duration::from_secs(30);
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Control frames that may come at once, and as many more with each look at the clock as their rate allows. Ours are one in
/// twenty seconds.
const CONTROLS_MAX: u32 = 64;
const CONTROLS_PER_LOOK: u32 = 16;
/// How long the other side may take to hear that the connection ends.
const PART_TIME: Duration = Duration::from_secs(2);
/// The head of a control frame with the mask, which only clients send.
const CONTROL_HEAD: u64 = 6;

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The other side closed it, or it broke.
    Closed,
    /// We do.
    Parting(Farewell),
    /// A bound or a rule was broken.
    Broken(CloseCode, &'static str),
    /// The framing found a mistake and has queued its own words about it.
    Mistake(String),
}

/// One connection under way.
pub(super) struct Pump<I> {
    socket: WebSocketStream<Metered<I>>,
    meter: Arc<Meter>,
    outgoing: mpsc::Receiver<Bytes>,
    inbox: PollSender<Bytes>,
    message_time_max: Duration,
    has_unflushed: bool,
    /// Whoever reads the link has not taken what was read, so nothing more is.
    is_paused: bool,
    controls_left: u32,
    seen: Seen,
}

/// What the last looks at the clock saw.
#[derive(Debug)]
struct Seen {
    read: (u64, Instant),
    written: (u64, Instant),
    /// Since when a message has begun and not ended.
    unfinished: Option<Instant>,
    has_pinged: bool,
}

impl<I> Pump<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
{
    pub(super) fn new(
        socket: WebSocketStream<Metered<I>>,
        meter: Arc<Meter>,
        (outgoing, inbox): (mpsc::Receiver<Bytes>, PollSender<Bytes>),
        message_time_max: Duration,
    ) -> Pump<I> {
        let now = Instant::now();
        Pump {
            socket,
            meter,
            outgoing,
            inbox,
            message_time_max,
            has_unflushed: false,
            is_paused: false,
            controls_left: CONTROLS_MAX,
            seen: Seen { read: (0, now), written: (0, now), unfinished: None, has_pinged: false },
        }
    }

    /// Carries the connection to its end, and notes how it ended for whoever reads it.
    pub(super) async fn run(mut self, mut parting: oneshot::Receiver<Farewell>, over: Arc<OnceLock<Over>>) {
        let mut looks = interval_at(Instant::now() + LOOK, LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                biased;
                // First: whoever parts drops the senders with it, and those have no word. One who just stops to read is done.
                farewell = &mut parting => break End::Parting(farewell.unwrap_or(Farewell::Done)),
                end = poll_fn(|cx| self.poll_move(cx)) => break end,
                now = looks.tick() => if let Some(end) = self.look(now) { break end },
            }
        };
        _ = over.set(match &end {
            End::Closed | End::Parting(_) => Over::Closed,
            End::Broken(CloseCode::MESSAGE_TOO_BIG, _) => Over::TooLarge,
            End::Broken(_, why) => Over::Broken((*why).into()),
            End::Mistake(why) => Over::Broken(why.clone().into()),
        });
        // With the room that it holds, so that the reader hears of the end before the other side has said goodbye.
        self.inbox.abort_send();
        self.inbox.close();
        tracing::trace!(?end, "a WebSocket ends");
        self.part(&end).await;
    }

    /// Moves what can be moved, and is ready when the connection has to end.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.poll_write(cx) {
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => self.poll_read(cx),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while let Poll::Ready(ready) = Pin::new(&mut self.socket).poll_ready(cx) {
            if ready.is_err() {
                return Poll::Ready(End::Closed);
            }
            match self.outgoing.poll_recv(cx) {
                Poll::Ready(Some(text)) => {
                    if Pin::new(&mut self.socket).start_send(Message::text(text)).is_err() {
                        return Poll::Ready(End::Closed);
                    }
                    self.note_unflushed();
                }
                Poll::Ready(None) => return Poll::Ready(End::Parting(Farewell::Done)),
                Poll::Pending => break,
            }
        }
        if self.has_unflushed {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.has_unflushed = false,
                Poll::Ready(Err(_)) => return Poll::Ready(End::Closed),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    fn note_unflushed(&mut self) {
        if !self.has_unflushed {
            self.has_unflushed = true;
            self.seen.written.1 = Instant::now();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            self.is_paused = true;
            if ready!(self.inbox.poll_reserve(cx)).is_err() {
                return Poll::Ready(End::Parting(Farewell::Done));
            }
            self.is_paused = false;
            let Poll::Ready(next) = Pin::new(&mut self.socket).poll_next(cx) else {
                return match self.meter.is_endless() {
                    true => Poll::Ready(End::Broken(CloseCode::MESSAGE_TOO_BIG, "a message did not end")),
                    false => Poll::Pending,
                };
            };
            match next {
                Some(Ok(message)) if message.is_text() => {
                    self.meter.message();
                    self.seen.unfinished = None;
                    let text = Bytes::from(message.into_payload());
                    if !text.trim_ascii().is_empty() && self.inbox.send_item(text).is_err() {
                        return Poll::Ready(End::Parting(Farewell::Done));
                    }
                }
                Some(Ok(message)) if message.is_binary() => {
                    return Poll::Ready(End::Broken(
                        CloseCode::UNSUPPORTED_DATA,
                        "messages are text frames, and this one was binary",
                    ));
                }
                Some(Ok(message)) if message.is_close() => return Poll::Ready(End::Closed),
                Some(Ok(message)) => {
                    self.meter.control(CONTROL_HEAD + message.as_payload().len() as u64);
                    let Some(left) = self.controls_left.checked_sub(1) else {
                        return Poll::Ready(End::Broken(
                            CloseCode::POLICY_VIOLATION,
                            "there were too many pings and pongs",
                        ));
                    };
                    self.controls_left = left;
                    // The answer to a ping has been queued, and goes out with what else there is.
                    self.note_unflushed();
                }
                Some(Err(fault)) => return Poll::Ready(mistake(fault)),
                None => return Poll::Ready(End::Closed),
            }
        }
    }

    /// What the clock says.
    fn look(&mut self, now: Instant) -> Option<End> {
        self.controls_left = (self.controls_left + CONTROLS_PER_LOOK).min(CONTROLS_MAX);
        let (read, written) = self.meter.moved();
        if written != self.seen.written.0 || !self.has_unflushed {
            self.seen.written = (written, now);
        } else if now >= self.seen.written.1 + STALL_MAX {
            return Some(End::Broken(CloseCode::POLICY_VIOLATION, "nothing of what was sent was read"));
        }
        if self.is_paused {
            // We do not listen, so nobody is silent.
            self.seen.unfinished = None;
            self.seen.read = (read, now);
            return None;
        }
        if self.meter.unfinished() == 0 {
            self.seen.unfinished = None;
        } else if now >= *self.seen.unfinished.get_or_insert(now) + self.message_time_max {
            return Some(End::Broken(CloseCode::POLICY_VIOLATION, "a message came too slowly"));
        }
        if read != self.seen.read.0 {
            self.seen.read = (read, now);
            self.seen.has_pinged = false;
            return None;
        }
        let silent = now.saturating_duration_since(self.seen.read.1);
        if silent >= SILENCE_MAX * 2 {
            return Some(End::Broken(CloseCode::POLICY_VIOLATION, "there was no sign of life"));
        }
        if silent >= SILENCE_MAX && !self.seen.has_pinged {
            self.seen.has_pinged = true;
            if Pin::new(&mut self.socket).start_send(Message::ping(Bytes::new())).is_err() {
                return Some(End::Closed);
            }
            self.note_unflushed();
        }
        None
    }

    /// Says goodbye, to whoever listens.
    async fn part(mut self, end: &End) {
        self.outgoing.close();
        while let Ok(text) = self.outgoing.try_recv() {
            _ = Pin::new(&mut self.socket).start_send(Message::text(text));
        }
        if let Some((code, reason)) = words(end) {
            // The framing may have said its own already.
            _ = Pin::new(&mut self.socket).start_send(Message::close(Some(code), reason));
        }
        // Reads what is still on its way, so that the words are not lost with it.
        let farewell = poll_fn(|cx| Pin::new(&mut self.socket).poll_close(cx));
        _ = timeout(PART_TIME, farewell).await;
    }
}

/// What is said at the end.
fn words(end: &End) -> Option<(CloseCode, &'static str)> {
    match end {
        End::Closed | End::Mistake(_) => None,
        End::Broken(code, why) => Some((*code, why)),
        End::Parting(Farewell::Done) => Some((CloseCode::NORMAL_CLOSURE, "")),
        End::Parting(Farewell::Idle) => Some((CloseCode::NORMAL_CLOSURE, "not used for too long")),
        End::Parting(Farewell::Stopping) => Some((CloseCode::GOING_AWAY, "the gateway is stopping")),
        End::Parting(Farewell::Refused(why)) => Some((CloseCode::POLICY_VIOLATION, why)),
    }
}

fn mistake(fault: Error) -> End {
    match fault {
        Error::PayloadTooLong { .. } => End::Broken(CloseCode::MESSAGE_TOO_BIG, "a message was too large"),
        Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            End::Broken(CloseCode::MESSAGE_TOO_BIG, "a message did not end")
        }
        Error::Protocol(fault) => End::Mistake(format!("the framing was broken: {fault}")),
        _ => End::Closed,
    }
}
