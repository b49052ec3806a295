//! Where messages to a client go that are not the answer itself.

use bytes::Bytes;
use casemate_mcp::json::one_line;
use casemate_transport::http::streams::Streams;
use casemate_transport::link::LinkSender;
use tokio::sync::mpsc;

/// A way to one client. Cloning is cheap.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// The one connection that everything of the client goes through.
    Link(LinkSender),
    /// The general stream (GET) of a legacy HTTP session.
    General(Streams),
    /// The queue of one call, whose edge decides how the messages travel.
    Call(mpsc::Sender<Bytes>),
}

impl Outlet {
    /// Hands a message over without waiting. `false` when there is no room or nobody listens any more: such a
    /// message is one that a client can do without.
    pub fn push(&self, message: Bytes) -> bool {
        match self {
            Outlet::Link(link) => link.try_send(one_line(message)).is_ok(),
            Outlet::General(streams) => streams.push_general(message),
            Outlet::Call(queue) => queue.try_send(message).is_ok(),
        }
    }

    /// Hands a message over and waits for room. `false` when nobody listens any more.
    pub async fn send(&self, message: Bytes) -> bool {
        match self {
            Outlet::Link(link) => link.send(one_line(message)).await.is_ok(),
            Outlet::General(streams) => streams.push_general(message),
            Outlet::Call(queue) => queue.send(message).await.is_ok(),
        }
    }
}
