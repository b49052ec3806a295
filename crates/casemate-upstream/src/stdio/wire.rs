//! The way to a server, and the requests that went through it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::frame::{Id, request_text};
use casemate_mcp::json::{Raw, one_line};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_transport::link::{LinkFault, LinkSender};
use tokio::time::timeout;

use crate::desk::{Desk, Outcome, Ticket, cancellation};
use crate::report::CellReport;
use crate::{Fault, guard};

/// The way to a server, and the requests that went through it.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) desk: Arc<Desk>,
    /// Absent once the process is being ended: closing its input is how it is asked to end.
    pub(super) outbound: Mutex<Option<Outbound>>,
    /// How many bytes the process read in its life; known after its end, if it can be known.
    pub(super) read_bytes: OnceLock<u64>,
    /// Known after the handshake.
    pub(super) revision: OnceLock<Revision>,
    pub(super) pid: Option<u32>,
    /// What is enforced around the process, where there is one.
    pub(super) report: Option<Arc<CellReport>>,
}

impl Wire {
    /// Sends a request and waits for what becomes of it. Dropping the future cancels the request.
    pub(super) async fn exchange(&self, ticket: Ticket, method: &Method, params: &Raw) -> Outcome {
        let text = request_text(&Id::Number(ticket.id()), method, Some(params));
        let mut errand = Errand { wire: self, ticket, stage: Stage::Home };
        let start = self.send(text).await?;
        errand.stage = Stage::Out;
        let outcome = errand.ticket.outcome().await;
        errand.stage = Stage::Home;
        self.judge(outcome, start)
    }

    /// Sends a request of the handshake: one that is never canceled, as the protocol has it.
    pub(super) async fn ask(&self, mut ticket: Ticket, method: &Method, params: &Raw) -> Outcome {
        let start = self.send(request_text(&Id::Number(ticket.id()), method, Some(params))).await?;
        let outcome = ticket.outcome().await;
        self.judge(outcome, start)
    }

    /// Sends a request of our own and waits at most `time` for its answer.
    pub(super) async fn request(&self, method: &Method, params: &Raw, time: Duration) -> Outcome {
        let ticket = self.desk.open(method, None)?;
        let late = |_| Err(Fault::Timeout { after: time, hard: false });
        timeout(time, self.exchange(ticket, method, params)).await.unwrap_or_else(late)
    }

    /// Sends a frame; waits while the process does not read. Returns where in the pipe it begins, when that is known.
    ///
    /// # Errors
    /// [`Fault::Gone`], not sent.
    pub(super) async fn send(&self, frame: Bytes) -> Result<Option<u64>, Fault> {
        let gone = || Fault::Gone { sent: false, why: "its input is closed".into() };
        let mut frame = frame;
        let sender = loop {
            let mut outbound = guard(&self.outbound);
            let outbound = outbound.as_mut().ok_or_else(gone)?;
            match outbound.try_send(frame.clone()) {
                Ok(start) => return Ok(start),
                Err(LinkFault::LineBreak) => frame = one_line(frame),
                Err(LinkFault::Full) => break outbound.give_up_counting(),
                Err(LinkFault::Closed) => return Err(gone()),
            }
        };
        sender.send(frame).await.map(|()| None).map_err(|_| gone())
    }

    /// Sends a frame if there is room for it now.
    pub(super) fn send_now(&self, frame: Bytes) {
        if let Some(outbound) = &mut *guard(&self.outbound) {
            _ = outbound.try_send(frame);
        }
    }

    /// A loss, told apart: a process that died before it read the call has certainly not acted on it.
    fn judge(&self, outcome: Outcome, start: Option<u64>) -> Outcome {
        match outcome {
            Err(Fault::Gone { sent: true, why }) => Err(Fault::Gone { sent: !self.is_unread(start), why }),
            // One that died of something else than the call may well be given it again.
            Err(Fault::OverLimit { overrun }) if self.is_unread(start) => {
                Err(Fault::Gone { sent: false, why: format!("it was over its limit {overrun}") })
            }
            outcome => outcome,
        }
    }

    fn is_unread(&self, start: Option<u64>) -> bool {
        start.zip(self.read_bytes.get()).is_some_and(|(start, read)| start >= *read)
    }

    /// Closes the process's input.
    pub(super) fn hang_up(&self) {
        guard(&self.outbound).take();
    }
}

/// The queue in front of the pipe, and how much went into it.
#[derive(Debug)]
pub(super) struct Outbound {
    sender: LinkSender,
    /// Where the next frame will begin; absent once that can no longer be known.
    end: Option<u64>,
}

impl Outbound {
    pub(super) fn new(sender: LinkSender) -> Outbound {
        Outbound { sender, end: Some(0) }
    }

    /// Queues a frame, and says where it begins. Frames are written in the order in which they are queued under the lock.
    fn try_send(&mut self, frame: Bytes) -> Result<Option<u64>, LinkFault> {
        let line_bytes = frame.len() as u64 + 1;
        self.sender.try_send(frame)?;
        let start = self.end;
        self.end = start.map(|start| start + line_bytes);
        Ok(start)
    }

    /// Whoever waits for room in the queue gets in at some time: from then on no place is certain.
    fn give_up_counting(&mut self) -> LinkSender {
        self.end = None;
        self.sender.clone()
    }
}

/// A request that may have to be canceled.
struct Errand<'a> {
    wire: &'a Wire,
    ticket: Ticket,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not sent yet, or answered.
    Home,
    /// The server works on it.
    Out,
}

impl Drop for Errand<'_> {
    fn drop(&mut self) {
        if self.stage == Stage::Out {
            self.wire.send_now(cancellation(self.ticket.id()));
        }
    }
}
