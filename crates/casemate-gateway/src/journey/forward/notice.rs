//! What a server tells while a call runs, in the words of the client.

use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::call::Notice;
use casemate_mcp::frame::notification_text;
use casemate_mcp::method::Method;

use super::LOG_LEVELS;
use crate::catalog::Shelf;
use crate::journey::inspect::content;
use crate::journey::receive::Received;

/// How long a client may take to read a message of a running call before the message is dropped.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Longest progress token, in bytes.
const TOKEN_MAX: usize = 1024;

/// Brings a notice of the running call to the client.
pub(super) async fn pass(received: &Received, shelf: &Shelf, notice: Notice) {
    let Some(params) = content::told(received, shelf, notice.params) else { return };
    if let Some(text) = worded(received, &Notice { params, ..notice }) {
        _ = tokio::time::timeout(PATIENCE, received.passage.identified.head.outlet.send(text)).await;
    }
}

/// A notification as this client wants it; `None` when it does not.
fn worded(received: &Received, notice: &Notice) -> Option<Bytes> {
    let meta = &received.call.meta;
    let params = match &notice.method {
        Method::Progress => {
            // It is repeated with every notification, as often as the server likes.
            let token = meta.progress.clone().filter(|token| token.as_bytes().len() <= TOKEN_MAX)?;
            Some(notice.params.as_ref()?.edit().set("progressToken", token).finish())
        }
        Method::Message => {
            let level = notice.params.as_ref()?.string("level")?;
            let wanted = match meta.log_level.as_deref() {
                Some(from) => severity(&level) >= severity(from),
                // A legacy client that set no level gets what the server chooses; a modern one gets nothing.
                None => !meta.revision.is_modern(),
            };
            wanted.then_some(())?;
            notice.params.as_ref().map(|params| params.raw().clone())
        }
        _ => notice.params.as_ref().map(|params| params.raw().clone()),
    };
    Some(notification_text(&notice.method, params.as_ref()))
}

/// The place of a level in RFC 5424's order; unknown ones are as loud as they can be.
fn severity(level: &str) -> usize {
    LOG_LEVELS.iter().position(|known| *known == level).unwrap_or(LOG_LEVELS.len())
}
