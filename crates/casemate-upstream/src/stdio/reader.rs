//! Reads what a server says, and survives what is no message.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use casemate_mcp::frame::{self, Frame};
use casemate_mcp::json::Limits;
use casemate_transport::lines::{Line, LineReader};
use casemate_transport::link::{LinkReader as _, Over, Received};
use casemate_transport::websocket::Messages;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::task::TaskTracker;

use super::allowance::{Allowance, Spent};
use super::events::Heard;
use super::wire::Wire;
use crate::brake::Brake;
use crate::desk::{Reaction, answered_id};
use crate::entry::OutputRate;
use crate::instance::{Seed, frame_limits};
use crate::outlet::Outlet;
use crate::{Fault, Overrun};

/// Text between two messages that is put up with: a banner, a progress bar, a stack trace.
const NOISE_BYTES_MAX: u64 = 1024 * 1024;
/// Lines between two messages that are put up with.
const NOISE_LINES_MAX: u32 = 10_000;

type Bytewise = Box<dyn AsyncRead + Send + Unpin>;

/// Where a server's messages come from.
pub(super) enum Output {
    /// Lines, of which each is counted while it is read.
    Lines(LineReader<Metered>, Arc<AtomicU64>),
    /// A WebSocket, which keeps its own bounds.
    Messages(Messages),
    /// A stream of events.
    Events(Heard),
}

/// What becomes of text that is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    /// It is kept for whoever reads the log: programs and their libraries print things.
    Borne,
    /// It ends the connection: nobody but the server writes there.
    Fatal,
}

/// Reads what a server says.
pub(super) struct Reader {
    output: Output,
    noise: Noise,
    rate: OutputRate,
    /// For what comes in whole messages; lines are counted while they are read.
    messages: Allowance,
    wire: Arc<Wire>,
    outlet: Arc<Outlet>,
    tracker: TaskTracker,
    limits: Limits,
    result_bytes_max: usize,
    noise_bytes: u64,
    noise_lines: u32,
    brake: Brake,
}

/// Why nothing more is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    /// The process closed its output.
    Closed,
    /// What it says makes no sense any more.
    Broken(String),
    /// It says more than it may.
    OverLimit(Overrun),
}

impl Reader {
    pub(super) fn new(output: Output, noise: Noise, wire: Arc<Wire>, seed: &Seed) -> Reader {
        Reader {
            output,
            noise,
            rate: seed.entry.output,
            messages: Allowance::new(seed.entry.output),
            wire,
            outlet: Arc::clone(&seed.outlet),
            tracker: seed.host.tracker.clone(),
            limits: frame_limits(seed.host.answer_size.get()),
            result_bytes_max: seed.host.answer_size.get(),
            noise_bytes: 0,
            noise_lines: 0,
            brake: Brake::new(),
        }
    }

    /// Reads until there is nothing more to read. Cancel safe.
    pub(super) async fn run(&mut self) -> Silence {
        loop {
            match self.output.next().await {
                Ok(Line::Frame(text)) if self.is_too_much(&text) => {
                    return Silence::OverLimit(self.rate.overrun());
                }
                Ok(Line::Frame(text)) => self.take(&text),
                Ok(Line::TooLong { bytes }) => self.refuse_giant(bytes),
                Err(Unread::Closed) => return Silence::Closed,
                Err(Unread::Broken(why)) => return Silence::Broken(why),
                Err(Unread::Giant) => {
                    self.refuse_giant(self.limits.bytes_max as u64);
                    return Silence::Broken("it sent a message that is too large".to_owned());
                }
                Err(Unread::TooMuch) => return Silence::OverLimit(self.rate.overrun()),
            }
            if self.noise == Noise::Fatal && self.noise_lines > 0 {
                return Silence::Broken("it sent something that is no message".to_owned());
            }
            if self.noise_bytes > NOISE_BYTES_MAX || self.noise_lines > NOISE_LINES_MAX {
                return Silence::Broken("it floods its output with text that is no message".to_owned());
            }
            self.brake.hold().await;
        }
    }

    /// Whether a whole message is more than the server may say in that time.
    fn is_too_much(&mut self, text: &Bytes) -> bool {
        match self.output {
            Output::Lines(..) => false,
            Output::Messages(_) | Output::Events(_) => {
                self.messages.spend(text.len() as u64) == Spent::TooMuch
            }
        }
    }

    fn take(&mut self, text: &Bytes) {
        match self.parse(text) {
            Ok(frames) => {
                (self.noise_bytes, self.noise_lines) = (0, 0);
                for frame in frames {
                    self.receive(frame);
                }
            }
            Err(fault) => {
                self.outlet.log("stdout", text);
                let why = format!("its answer cannot be read: {fault}");
                let was_answer = answered_id(text)
                    .is_some_and(|id| self.wire.desk.fail(Some(id), Fault::Protocol { why }));
                if was_answer && self.noise == Noise::Fatal {
                    return;
                }
                self.noise_bytes += text.len() as u64;
                self.noise_lines += 1;
            }
        }
    }

    fn parse(&self, text: &Bytes) -> Result<Vec<Frame>, frame::Fault> {
        match Frame::parse(text.clone(), &self.limits) {
            Err(frame::Fault::Batch) if self.wire.revision.get().is_some_and(|r| r.has_batches()) => {
                Frame::parse_batch(text.clone(), &self.limits)
            }
            parsed => parsed.map(|frame| vec![frame]),
        }
    }

    fn receive(&mut self, frame: Frame) {
        match self.wire.desk.receive(frame, None) {
            Reaction::Delivered => {}
            Reaction::Unasked => self.brake.count(),
            Reaction::Reply(text) => {
                self.brake.count();
                self.wire.send_now(text);
            }
            Reaction::Ask(asked) => {
                let wire = Arc::clone(&self.wire);
                self.tracker.spawn(async move {
                    if let Some(text) = asked.reply().await {
                        _ = wire.send(text).await;
                    }
                });
            }
        }
    }

    /// A line that is longer than any answer may be. Whose it was is known only when one call is under way.
    fn refuse_giant(&mut self, bytes: u64) {
        let limit = self.result_bytes_max;
        self.outlet
            .log("protocol", format!("a message of {bytes} bytes; at most {limit} are taken").as_bytes());
        self.wire.desk.fail(None, Fault::TooBig { limit });
    }
}

/// Why nothing was read.
pub(super) enum Unread {
    Closed,
    Broken(String),
    /// One message was larger than any may be.
    Giant,
    /// All of them together were too much in their time.
    TooMuch,
}

impl Output {
    /// Lines of a server, which may say so much and no more.
    pub(super) fn lines(output: Bytewise, seed: &Seed) -> Output {
        let limits = frame_limits(seed.host.answer_size.get());
        let line_bytes = Arc::new(AtomicU64::new(0));
        let most = (limits.bytes_max as u64).saturating_mul(2).saturating_add(NOISE_BYTES_MAX);
        let metered = Metered {
            output,
            line_bytes: Arc::clone(&line_bytes),
            line_bytes_max: most,
            allowance: Allowance::new(seed.entry.output),
        };
        Output::Lines(LineReader::new(metered, limits.bytes_max), line_bytes)
    }

    async fn next(&mut self) -> Result<Line, Unread> {
        match self {
            Output::Lines(lines, line_bytes) => match lines.next().await {
                Ok(Some(line)) => {
                    line_bytes.store(0, Ordering::Relaxed);
                    Ok(line)
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    Err(Unread::Broken("it wrote a line without end".to_owned()))
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => Err(Unread::TooMuch),
                Ok(None) | Err(_) => Err(Unread::Closed),
            },
            Output::Events(heard) => heard.next().await,
            Output::Messages(messages) => match messages.next().await {
                Received::Message(text) => Ok(Line::Frame(text)),
                Received::Said | Received::Over(Over::Closed) => Err(Unread::Closed),
                Received::Over(Over::TooLarge) => Err(Unread::Giant),
                Received::Over(Over::Broken(why)) => Err(Unread::Broken(why.into_owned())),
            },
        }
    }
}

/// Counts the bytes of the line that is being read, since one without end is not read forever, and all bytes over time.
pub(super) struct Metered {
    output: Bytewise,
    line_bytes: Arc<AtomicU64>,
    line_bytes_max: u64,
    allowance: Allowance,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buf))?;
        let read = (buf.filled().len() - before) as u64;
        let total = self.line_bytes.fetch_add(read, Ordering::Relaxed).saturating_add(read);
        if total > self.line_bytes_max {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        match self.allowance.spend(read) {
            Spent::Allowed => Poll::Ready(Ok(())),
            Spent::TooMuch => Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into())),
        }
    }
}
