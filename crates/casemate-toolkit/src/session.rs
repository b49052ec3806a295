//! One client of a built-in server: the loop that reads its messages and the answers to them.
//!
//! A client opens as it likes: with `initialize` it is legacy for the rest of the session, with the modern `_meta`
//! each request speaks for itself. Tool calls run beside the loop, so that a cancellation is heard in time.

mod answers;
mod running;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::call::{Call, Meta};
use casemate_mcp::dialect::legacy;
use casemate_mcp::dialect::modern::{self, Named};
use casemate_mcp::frame::{ErrorObject, Frame, Id, code, error_text, response_text};
use casemate_mcp::json::{Limits, Members, Raw};
use casemate_mcp::method::Method;
use casemate_transport::lines::{Line, LineReader, writer};
use casemate_transport::link::LinkSender;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::server::Server;
use crate::tool;
use running::Running;

/// The longest message that a client may send. Arguments of our tools are small.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Calls that are carried out at the same time; more wait.
const CALLS_MAX: usize = 8;
/// Calls and subscriptions that one client may have open, waiting ones included.
const OPEN_MAX: usize = 64;
/// Answers that may wait for a client that reads slowly.
const ANSWERS_MAX: usize = 64;
/// How long calls may still take when the client has closed its end. The longest tool takes 2 s.
const GRACE: Duration = Duration::from_secs(10);

/// Serves one client until it closes its end.
pub(crate) async fn serve<S: Server>(
    server: S,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let writing = TaskTracker::new();
    let sender = writer(output, ANSWERS_MAX, &writing);
    let mut session = Session::new(server, sender.clone());
    let mut lines = LineReader::new(input, MESSAGE_BYTES_MAX);
    let outcome = loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = sender.closed() => Ok(None),
        };
        match line {
            Ok(Some(line)) => session.hear(line).await,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(sender);
    session.finish().await;
    writing.close();
    writing.wait().await;
    outcome
}

/// What a message leads to.
enum Reaction {
    Nothing,
    Now(Bytes),
    Later(Id, Work),
}

/// A call under way; its output is the whole response.
type Work = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// What all calls share.
struct Desk<S> {
    server: S,
    permits: Semaphore,
}

struct Session<S> {
    desk: Arc<Desk<S>>,
    sender: LinkSender,
    /// What the client said in `initialize`, once it has.
    hello: Option<Meta>,
    running: Running,
    listening: HashSet<Id>,
}

impl<S: Server> Session<S> {
    fn new(server: S, sender: LinkSender) -> Self {
        let desk = Arc::new(Desk { server, permits: Semaphore::new(CALLS_MAX) });
        Session { desk, sender, hello: None, running: Running::default(), listening: HashSet::new() }
    }

    async fn hear(&mut self, line: Line) {
        let text = match line {
            Line::Frame(text) => text,
            Line::TooLong { bytes } => {
                let message = format!("a message has at most {MESSAGE_BYTES_MAX} bytes, not {bytes}");
                let error = ErrorObject::new(code::INVALID_REQUEST, message);
                return self.send(error_text(None, &error)).await;
            }
        };
        if self.hello.as_ref().is_some_and(|hello| hello.revision.has_batches()) && text.starts_with(b"[") {
            return self.hear_batch(text).await;
        }
        match Frame::parse(text, &limits()) {
            Err(fault) => self.send(answers::unreadable(&fault)).await,
            Ok(frame) => match self.react(frame).await {
                Reaction::Nothing => {}
                Reaction::Now(text) => self.send(text).await,
                Reaction::Later(id, work) => self.running.start(id, work, self.sender.clone()),
            },
        }
    }

    /// Revision 2025-03-26 alone has batches. The answers leave as one batch, when the last of them is there.
    async fn hear_batch(&mut self, text: Bytes) {
        let frames = match Frame::parse_batch(text, &limits()) {
            Ok(frames) => frames,
            Err(fault) => return self.send(answers::unreadable(&fault)).await,
        };
        let mut parts: Vec<Work> = Vec::new();
        let mut first = None;
        for frame in frames {
            match self.react(frame).await {
                Reaction::Nothing => {}
                Reaction::Now(text) => parts.push(Box::pin(std::future::ready(text))),
                Reaction::Later(id, work) => {
                    first.get_or_insert(id);
                    parts.push(work);
                }
            }
        }
        if parts.is_empty() {
            return;
        }
        let whole = async move {
            let mut texts = Vec::with_capacity(parts.len());
            for part in parts {
                texts.push(part.await);
            }
            Bytes::from([b"[".as_slice(), &texts.join(b",".as_slice()), b"]"].concat())
        };
        match first {
            Some(id) => self.running.start(id, Box::pin(whole), self.sender.clone()),
            None => self.send(whole.await).await,
        }
    }

    async fn react(&mut self, frame: Frame) -> Reaction {
        match frame {
            // We never ask, so nothing is an answer to us.
            Frame::Response { .. } => Reaction::Nothing,
            Frame::Notification { method, params } => {
                if method == Method::Cancelled
                    && let Some(id) = params.as_ref().and_then(answers::cancelled_id)
                {
                    self.running.give_up(&id);
                    self.listening.remove(&id);
                }
                Reaction::Nothing
            }
            Frame::Request { id, method, params } => match self.request(&id, method, params).await {
                Ok(reaction) => reaction,
                Err(error) => Reaction::Now(error_text(Some(&id), &error)),
            },
        }
    }

    async fn request(
        &mut self,
        id: &Id,
        method: Method,
        params: Option<Members>,
    ) -> Result<Reaction, ErrorObject> {
        if method == Method::Initialize && Named::find(params.as_ref()).is_none() {
            return Ok(Reaction::Now(response_text(id, &self.initialize(params.as_ref())?)));
        }
        let call = self.understand(method, params)?;
        let tools = self.desk.server.tools();
        let result = match (&call.method, call.meta.revision.is_modern()) {
            (Method::Ping, false) => Raw::EMPTY_OBJECT,
            (Method::Discover, true) => answers::discovered::<S>(),
            (Method::ToolsList, _) => answers::listed(tools, &call)?,
            (Method::ToolsCall, _) => return self.call(id, &call),
            (Method::Listen, true) => return self.listen(id).await,
            (method, _) => {
                return Err(ErrorObject::new(code::METHOD_NOT_FOUND, format!("Method not found: {method}")));
            }
        };
        Ok(Reaction::Now(response_text(id, &answers::dressed::<S>(&call, result))))
    }

    fn initialize(&mut self, params: Option<&Members>) -> Result<Raw, ErrorObject> {
        let hello = legacy::Hello::read(params)?;
        let revision = hello.agreed();
        let (capabilities, client_info) = (hello.capabilities, hello.client_info);
        self.hello = Some(Meta { revision, progress: None, capabilities, client_info, log_level: None });
        Ok(answers::initialized::<S>(revision))
    }

    /// Reads a request in the dialect that it is written in.
    fn understand(&self, method: Method, params: Option<Members>) -> Result<Call, ErrorObject> {
        match (&self.hello, Named::find(params.as_ref())) {
            (Some(hello), None) => Ok(legacy::call(method, params, hello)),
            // A client that has not opened a session has to be modern, and hears what its `_meta` lacks.
            (_, named) => modern::call(method, params, named),
        }
    }

    fn call(&self, id: &Id, call: &Call) -> Result<Reaction, ErrorObject> {
        self.check_room()?;
        let (tool, sent) = answers::called(self.desk.server.tools(), call)?;
        let revision = call.meta.revision;
        let arguments = match tool.check(&sent) {
            Ok(arguments) => arguments,
            Err(message) => {
                let result = answers::dressed::<S>(call, tool::failure(&message));
                return Ok(Reaction::Now(response_text(id, &result)));
            }
        };
        let (desk, call, own) = (Arc::clone(&self.desk), call.clone(), id.clone());
        let work = async move {
            // The semaphore is never closed; without a permit the call would merely not be held back.
            let _permit = desk.permits.acquire().await;
            let result = match desk.server.call(tool, arguments).await {
                Ok(structured) => tool::result(&structured, revision),
                Err(fault) => tool::failure(&fault.to_string()),
            };
            response_text(&own, &answers::dressed::<S>(&call, result))
        };
        Ok(Reaction::Later(id.clone(), Box::pin(work)))
    }

    /// Acknowledges a subscription to nothing, since nothing here ever changes; it stays open until it is given up.
    async fn listen(&mut self, id: &Id) -> Result<Reaction, ErrorObject> {
        self.check_room()?;
        self.listening.insert(id.clone());
        Ok(Reaction::Now(answers::listening(id)))
    }

    fn check_room(&self) -> Result<(), ErrorObject> {
        if self.running.count() + self.listening.len() < OPEN_MAX {
            return Ok(());
        }
        let message = format!("{OPEN_MAX} requests are open already; wait for some of them to be answered");
        Err(ErrorObject::new(code::INTERNAL, message))
    }

    /// A client that no longer reads is noticed by the loop.
    async fn send(&self, text: Bytes) {
        let _ = self.sender.send(text).await;
    }

    /// Lets the calls under way come to their end, within reason.
    async fn finish(self) {
        drop(self.sender);
        self.running.finish(GRACE).await;
    }
}

fn limits() -> Limits {
    Limits { bytes_max: MESSAGE_BYTES_MAX, ..Limits::default() }
}
