//! The pipe into a process, and the requests that went through it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::frame::{Id, request_text};
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_sandbox::Report;
use casemate_transport::lines::{LineFault, LineSender};
use tokio::time::timeout;

use crate::upstream::desk::{Desk, Outcome, Ticket, cancellation};
use crate::upstream::{Fault, guard};

/// The pipe into a process, and the requests that went through it.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) desk: Arc<Desk>,
    /// Absent once the process is being ended: closing its input is how it is asked to end.
    pub(super) sender: Mutex<Option<LineSender>>,
    /// Known after the handshake.
    pub(super) revision: OnceLock<Revision>,
    pub(super) pid: Option<u32>,
    pub(super) report: Option<Report>,
}

impl Wire {
    /// Sends a request and waits for what becomes of it. Dropping the future cancels the request.
    pub(super) async fn exchange(&self, ticket: Ticket, method: &Method, params: &Raw) -> Outcome {
        let text = request_text(&Id::Number(ticket.id()), method, Some(params));
        let mut errand = Errand { wire: self, ticket, stage: Stage::Home };
        self.send(text).await?;
        errand.stage = Stage::Out;
        let outcome = errand.ticket.outcome().await;
        errand.stage = Stage::Home;
        outcome
    }

    /// Sends a request of the handshake: one that is never canceled, as the protocol has it.
    pub(super) async fn ask(&self, mut ticket: Ticket, method: &Method, params: &Raw) -> Outcome {
        self.send(request_text(&Id::Number(ticket.id()), method, Some(params))).await?;
        ticket.outcome().await
    }

    /// Sends a request of our own and waits at most `time` for its answer.
    pub(super) async fn request(&self, method: &Method, params: &Raw, time: Duration) -> Outcome {
        let ticket = self.desk.open(method, None)?;
        let late = |_| Err(Fault::Timeout { after: time, hard: false });
        timeout(time, self.exchange(ticket, method, params)).await.unwrap_or_else(late)
    }

    /// Sends a frame; waits while the process does not read.
    ///
    /// # Errors
    /// [`Fault::Gone`], not sent.
    pub(super) async fn send(&self, frame: Bytes) -> Result<(), Fault> {
        let gone = || Fault::Gone { sent: false, why: "its input is closed".into() };
        let sender = guard(&self.sender).clone().ok_or_else(gone)?;
        match sender.send(frame.clone()).await {
            Err(LineFault::LineBreak) => sender.send(one_line(&frame)).await.map_err(|_| gone()),
            sent => sent.map_err(|_| gone()),
        }
    }

    /// Sends a frame if there is room for it now.
    pub(super) fn send_now(&self, frame: Bytes) {
        if let Some(sender) = &*guard(&self.sender) {
            _ = sender.try_send(frame);
        }
    }

    /// Closes the process's input.
    pub(super) fn hang_up(&self) {
        guard(&self.sender).take();
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

/// Between the tokens of checked JSON a line break is white space; inside a string there is none.
fn one_line(frame: &Bytes) -> Bytes {
    frame.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        assert_eq!(one_line(&Bytes::from_static(b"{\r\n\"a\":\n1}")), "{  \"a\": 1}");
    }
}
