//! A server that is reached over Streamable HTTP.

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

pub(super) use door::Door;
pub(super) use legacy::Legacy;
pub(super) use modern::Modern;

/// How long a server may take to answer `server/discover` before it is taken for a legacy one.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// Finds out the dialect and does the handshake, beginning with the dialect that the server spoke the last time.
pub(super) async fn open(seed: &Seed, door: &Arc<Door>) -> Result<Opened, Fault> {
    let door = &door.of_instance(seed);
    let opened = match seed.era {
        Some(Era::Legacy) => match legacy::open(seed, door, Some(Era::Legacy)).await {
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
        return legacy::open(seed, door, None).await;
    };
    match verdict? {
        Verdict::Modern(hello) => Ok(modern::open(seed, door, *hello)),
        Verdict::Stranger { why } => Err(Fault::Start { why }),
        Verdict::Legacy => legacy::open(seed, door, Some(Era::Legacy)).await,
    }
}
