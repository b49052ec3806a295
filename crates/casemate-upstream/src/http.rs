//! A server that is reached over Streamable HTTP, or over HTTP with SSE where it knows nothing newer.

mod answer;
mod door;
mod legacy;
mod modern;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Fault;
use super::instance::{Opened, Seed};
use super::probe::{Era, Verdict};
use super::stdio::{self, Origin};
use legacy::Greeting;

pub(super) use door::Door;
pub(super) use legacy::Legacy;
pub(super) use modern::Modern;

/// How long a server may take to answer `server/discover` before it is taken for a legacy one.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// Finds out the dialect and does the handshake, beginning with the dialect that the server spoke the last time.
pub(super) async fn open(seed: &Seed, door: &Arc<Door>) -> Result<Opened, Fault> {
    let door = &door.of_instance(seed);
    let opened = match seed.era {
        Some(Era::Legacy) => match legacy(seed, door, Some(Era::Legacy)).await {
            // It no longer opens this way.
            Err(Fault::Start { .. }) => probe(seed, door).await,
            opened => opened,
        },
        Some(Era::Modern) | None => probe(seed, door).await,
    };
    opened.map_err(|fault| match fault {
        Fault::Gone { why, .. } | Fault::Protocol { why } => Fault::Start { why },
        fault => fault,
    })
}

async fn probe(seed: &Seed, door: &Arc<Door>) -> Result<Opened, Fault> {
    let Ok(verdict) = timeout(PROBE_TIME, modern::discover(seed, door)).await else {
        return legacy(seed, door, None).await;
    };
    match verdict? {
        Verdict::Modern(hello) => Ok(modern::open(seed, door, *hello)),
        Verdict::Stranger { why } => Err(Fault::Start { why }),
        Verdict::Legacy => legacy(seed, door, Some(Era::Legacy)).await,
    }
}

/// Opens a session, over the transport of 2024-11-05 where the server takes no posts: the protocol has a client look for it
/// then, and only then.
async fn legacy(seed: &Seed, door: &Arc<Door>, proven: Option<Era>) -> Result<Opened, Fault> {
    match legacy::open(seed, door, proven).await? {
        Greeting::Opened(opened) => Ok(opened),
        Greeting::Unposted(fault) => match stdio::open(seed, &Origin::Events(Arc::clone(door))).await {
            // It is no such server either, or is one that is not to be trusted.
            Err(Fault::Start { why }) => {
                let first = match fault {
                    Fault::Start { why } | Fault::Protocol { why } | Fault::Gone { why, .. } => why,
                    fault => fault.to_string(),
                };
                Err(Fault::Start { why: format!("{first}; {why}") })
            }
            opened => opened,
        },
    }
}
