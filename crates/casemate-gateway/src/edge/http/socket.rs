//! MCP over WebSocket: a request that asks for one becomes a link. Who asks is known before anything is answered.

use std::sync::Arc;

use casemate_transport::http::{Head as HttpHead, Reply, Takeover};
use casemate_transport::websocket::{self, Bounds, Side};
use tokio::sync::mpsc;

use super::head_of;
use crate::client::{Outlet, Way};
use crate::edge::link::{Guest, Papers, Stay, converse};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::{self, Identified};
use crate::refusal::{Code, Refusal};

/// Messages that wait for a client which does not read.
const QUEUE_MESSAGES: usize = 256;

/// Opens a WebSocket to an endpoint.
pub(super) async fn open(gate: &Arc<Gate>, head: HttpHead, endpoint: Endpoint) -> Result<Reply, Refusal> {
    // The queue is only there to complete the head; nothing is sent on it.
    let (queue, _) = mpsc::channel(1);
    let identified = journey::identify(gate, head_of(&head, endpoint, Outlet::Call(queue))).await?;
    if gate.is_stopping() {
        return Err(Refusal::new(Code::Stopping, "The gateway is stopping."));
    }
    let headers = websocket::accept(&head).map_err(|fault| {
        Refusal::new(Code::NoWebSocket, format!("There is no WebSocket to be had with this: {fault}."))
    })?;
    let gate = Arc::clone(gate);
    let takeover = Takeover::new(move |stream| serve(gate, identified, stream));
    Ok(Reply::switching(headers, takeover))
}

async fn serve(gate: Arc<Gate>, identified: Identified, stream: Box<dyn casemate_transport::http::Duplex>) {
    let Identified { subject, head, snapshot, .. } = identified;
    let limits = &snapshot.limits;
    let bounds = Bounds {
        message_bytes_max: limits.request_bytes_max,
        message_time_max: limits.body_time_max,
        queue_messages: QUEUE_MESSAGES,
    };
    let guest = Guest {
        papers: Arc::new(Papers::of(&head)),
        subject: subject.id.clone(),
        endpoint: head.endpoint,
        way: Way::WebSocket,
        stay: Some(Stay { idle: limits.session_idle_max, life: limits.session_life_max }),
    };
    // What a connection was opened under does not keep the whole configuration of that time alive.
    drop(snapshot);
    let (sender, messages, carrying) = websocket::link(stream, Side::Server, &bounds);
    tokio::join!(converse(gate, (messages, sender), guest), carrying);
}
