//! The first exchange with a process: in which dialect, and what it is.

use std::time::Duration;

use casemate_mcp::frame::notification_text;
use casemate_mcp::method::Method;
use tokio::time::timeout;

use super::wire::Wire;
use crate::instance::Seed;
use crate::probe::{self, Era, Verdict};
use crate::{Fault, Hello};

/// How long a server may take to answer `server/discover` before it is taken for a legacy one.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// What the server is and, when it showed it and was not merely slow, its dialect.
type Greeted = Result<(Hello, Option<Era>), Fault>;

/// Does the handshake, beginning with the dialect that the server spoke the last time.
pub(super) async fn run(seed: &Seed, wire: &Wire, era: Option<Era>) -> Greeted {
    let (hello, proven) = match era {
        Some(Era::Legacy) => match initialize(seed, wire).await {
            Ok(hello) => (hello, Some(Era::Legacy)),
            // It no longer opens this way.
            Err(Fault::Start { .. }) => probe(seed, wire).await?,
            Err(fault) => return Err(fault),
        },
        _ => probe(seed, wire).await?,
    };
    _ = wire.revision.set(hello.revision);
    if !hello.revision.is_modern() {
        wire.send(notification_text(&Method::Initialized, None)).await?;
    }
    Ok((hello, proven))
}

async fn probe(seed: &Seed, wire: &Wire) -> Greeted {
    let params = probe::discover_params(&seed.offered, &seed.host.client_info);
    let ticket = wire.desk.open(&Method::Discover, None)?;
    let mut asked = Box::pin(wire.ask(ticket, &Method::Discover, &params));
    if let Ok(outcome) = timeout(PROBE_TIME, &mut asked).await {
        let mut answer = outcome?;
        if probe::wants_again(&answer) {
            let ticket = wire.desk.open(&Method::Discover, None)?;
            answer = wire.ask(ticket, &Method::Discover, &params).await?;
        }
        return match probe::judge(&answer) {
            Verdict::Modern(hello) => Ok((*hello, Some(Era::Modern))),
            Verdict::Stranger { why } => Err(Fault::Start { why }),
            Verdict::Legacy => Ok((initialize(seed, wire).await?, Some(Era::Legacy))),
        };
    }
    match initialize(seed, wire).await {
        Ok(hello) => Ok((hello, None)),
        // It was only slow (a package was being fetched): its answer to the first question still counts.
        Err(Fault::Start { why }) => match probe::judge(&asked.await?) {
            Verdict::Modern(hello) => Ok((*hello, Some(Era::Modern))),
            Verdict::Stranger { why } => Err(Fault::Start { why }),
            Verdict::Legacy => Err(Fault::Start { why }),
        },
        Err(fault) => Err(fault),
    }
}

async fn initialize(seed: &Seed, wire: &Wire) -> Result<Hello, Fault> {
    let params = probe::initialize_params(&seed.offered, &seed.host.client_info);
    let ticket = wire.desk.open(&Method::Initialize, None)?;
    probe::welcome(wire.ask(ticket, &Method::Initialize, &params).await?)
}
