//! One connection of a cell, from its first packet to its last.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Tasks;
use super::gate::{Call, Gate};
use super::relay::Relay;
use super::screen::Screen;
use super::usage::Place;
use crate::attempt::{End, Protocol, Reason, Verdict};
use crate::dialer::Failure;

/// How long it is waited for a client to speak. Where it does not, its server may be one that speaks first (SSH, SMTP,
/// MySQL); what the client says later is judged later.
const FIRST_WORD_TIME_MAX: Duration = Duration::from_millis(200);

/// Accepts the connections to one port for as long as the cell lives.
pub(super) async fn accept(gate: Arc<Gate>, listener: TcpListener, tasks: Tasks) {
    loop {
        gate.pace.step().await;
        let Ok((client, _)) = listener.accept().await else { continue };
        let Ok(dialed) = client.local_addr() else { continue };
        let call = gate.call(dialed);
        match gate.usage.begin() {
            Err(quota) => refuse(&gate, &call, client, Reason::Quota(quota)),
            Ok(place) => {
                let carried = carry(Arc::clone(&gate), call, client, tasks.stop.clone());
                tasks.tracker.spawn(held(place, carried));
            }
        }
    }
}

async fn held(place: Place, carried: impl Future<Output = ()>) {
    carried.await;
    drop(place);
}

async fn carry(gate: Arc<Gate>, mut call: Call, mut client: TcpStream, stop: CancellationToken) {
    let opened = match stop.run_until_cancelled(open(&gate, &mut call, &mut client)).await {
        Some(opened) => opened,
        None => return reset(&client),
    };
    let (mut server, screen) = match opened {
        Ok(opened) => opened,
        Err(reason) => return refuse(&gate, &call, client, reason),
    };
    gate.notes.carried(&call.attempt(Protocol::Tcp, Verdict::Allowed));
    let relay = Relay::new(&gate.usage);
    let end = tokio::select! {
        end = relay.run(&mut client, &mut server, screen) => end,
        () = stop.cancelled() => End::Stopped,
    };
    if end != End::Closed {
        reset(&client);
        reset(&server);
    }
    gate.notes.carried(&call.attempt(Protocol::Tcp, Verdict::Ended(relay.traffic(end))));
}

/// Judges a connection and opens its other half.
async fn open(gate: &Gate, call: &mut Call, client: &mut TcpStream) -> Result<(TcpStream, Screen), Reason> {
    let target = gate.target(call)?;
    let mut screen = Screen::new(call.name.clone());
    if timeout(FIRST_WORD_TIME_MAX, screen.listen(client)).await.is_ok() {
        screen.clear(client).await?;
    }
    match gate.dialer.dial(&target, call.port).await {
        Ok((server, address)) => {
            call.address = Some(address);
            for stream in [&*client, &server] {
                // What was sent in one piece arrives in one piece; waiting for more is up to the two ends.
                stream.set_nodelay(true).map_err(|_| Reason::Unreachable)?;
            }
            Ok((server, screen))
        }
        Err(Failure { reason, address }) => {
            call.address = address.or(call.address);
            Err(reason)
        }
    }
}

fn refuse(gate: &Gate, call: &Call, client: TcpStream, reason: Reason) {
    gate.notes.refused(call.attempt(Protocol::Tcp, Verdict::Refused(reason)));
    reset(&client);
}

/// Lets the connection end with a reset as soon as it is dropped: what is cut off shall not look as if it were complete.
fn reset(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}
