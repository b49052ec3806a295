//! Stage 1 gives a head: who connects, where to, and what the headers say. It comes from the edges.

use std::time::Duration;

use bytes::Bytes;
use casemate_transport::http::ClientCertificate;
use casemate_transport::http::inbound::{BodyFault, Inbound};
use casemate_transport::listener::Peer;
use std::sync::Arc;

use crate::client::{Outlet, Session};
use crate::endpoint::Endpoint;

/// What is known of a message before its body is read.
#[derive(Debug)]
pub struct Head {
    /// Who sits at the other end.
    pub peer: Peer,
    /// The bearer credential that came with it.
    pub credential: Option<Box<str>>,
    /// The certificate that its sender showed when the connection was made; verified then.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Where it is addressed to.
    pub endpoint: Endpoint,
    /// What the HTTP headers claim about the body; `None` where there are no headers.
    pub claims: Option<Claims>,
    /// The legacy session that it belongs to.
    pub session: SessionRef,
    /// Where messages go that belong to this call and are not its answer.
    pub outlet: Outlet,
}

/// How a message names its session.
#[derive(Debug, Clone)]
pub enum SessionRef {
    /// It names none.
    None,
    /// By the id in its header, which proves nothing yet.
    Id(Box<str>),
    /// The connection is the session.
    Connection(Arc<Session>),
}

/// What HTTP headers say about the body. The body has the last word; a contradiction is refused.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// `MCP-Protocol-Version`.
    pub revision: Option<Box<str>>,
    /// `Mcp-Method`.
    pub method: Option<Box<str>>,
    /// `Mcp-Name`, decoded; an error when it could not be.
    pub name: Option<Result<Box<str>, ()>>,
    /// `Mcp-Param-*`: the name after the prefix in lower case, and the value as it came.
    pub params: Vec<(Box<str>, Box<str>)>,
}

/// A body that can be read once, within bounds.
pub trait Incoming: Send {
    /// Reads it all.
    fn read(self, limit: usize, deadline: Duration) -> impl Future<Output = Result<Bytes, BodyFault>> + Send;
}

impl Incoming for Inbound {
    fn read(self, limit: usize, deadline: Duration) -> impl Future<Output = Result<Bytes, BodyFault>> + Send {
        Inbound::read(self, limit, deadline)
    }
}

/// A frame of a line-framed connection: it is there already, and was bounded when it was read.
impl Incoming for Bytes {
    async fn read(self, _: usize, _: Duration) -> Result<Bytes, BodyFault> {
        Ok(self)
    }
}
