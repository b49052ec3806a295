//! Reads what a process says, and survives what is no message.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use casemate_mcp::frame::{self, Frame};
use casemate_mcp::json::Limits;
use casemate_transport::lines::{Line, LineReader};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::task::TaskTracker;

use super::allowance::{Allowance, Spent};
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

type Output = Box<dyn AsyncRead + Send + Unpin>;

/// Reads what a process says.
pub(super) struct Reader {
    lines: LineReader<Metered>,
    line_bytes: Arc<AtomicU64>,
    rate: OutputRate,
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
    pub(super) fn new(output: Output, wire: Arc<Wire>, seed: &Seed) -> Reader {
        let limits = frame_limits(seed.host.result_bytes_max);
        let line_bytes = Arc::new(AtomicU64::new(0));
        let most = (limits.bytes_max as u64).saturating_mul(2).saturating_add(NOISE_BYTES_MAX);
        let rate = seed.entry.output;
        let metered = Metered {
            output,
            line_bytes: Arc::clone(&line_bytes),
            line_bytes_max: most,
            allowance: Allowance::new(rate),
        };
        Reader {
            lines: LineReader::new(metered, limits.bytes_max),
            line_bytes,
            rate,
            wire,
            outlet: Arc::clone(&seed.outlet),
            tracker: seed.host.tracker.clone(),
            limits,
            result_bytes_max: seed.host.result_bytes_max,
            noise_bytes: 0,
            noise_lines: 0,
            brake: Brake::new(),
        }
    }

    /// Reads until there is nothing more to read. Cancel safe.
    pub(super) async fn run(&mut self) -> Silence {
        loop {
            let line = match self.lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => return Silence::Closed,
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Silence::Broken("it wrote a line without end".to_owned());
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                    return Silence::OverLimit(self.rate.overrun());
                }
                Err(_) => return Silence::Closed,
            };
            self.line_bytes.store(0, Ordering::Relaxed);
            match line {
                Line::Frame(text) => self.take(&text),
                Line::TooLong { bytes } => self.refuse_giant(bytes),
            }
            if self.noise_bytes > NOISE_BYTES_MAX || self.noise_lines > NOISE_LINES_MAX {
                return Silence::Broken("it floods its output with text that is no message".to_owned());
            }
            self.brake.hold().await;
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
                self.noise_bytes += text.len() as u64;
                self.noise_lines += 1;
                self.outlet.log("stdout", text);
                if let Some(id) = answered_id(text) {
                    let why = format!("its answer cannot be read: {fault}");
                    self.wire.desk.fail(Some(id), Fault::Protocol { why });
                }
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

/// Counts the bytes of the line that is being read, since one without end is not read forever, and all bytes over time.
struct Metered {
    output: Output,
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
