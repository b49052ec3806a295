//! What the system tells the gateway to do.

use std::io::IsTerminal;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the gateway listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// What the third one asks for: a gateway in a terminal ends with it, one without reads its files anew, as
    /// is the custom.
    hung_up: Asked,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To stop: within the grace time when asked once, at once when asked again.
    Stop,
    /// To read the configuration anew.
    Reload,
}

impl Signals {
    /// Starts listening. From here on these signals do not end the process by themselves.
    pub fn listen() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
            hung_up: if std::io::stdin().is_terminal() { Asked::Stop } else { Asked::Reload },
        })
    }

    /// Waits for the next one. Cancel-safe.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => self.hung_up,
        }
    }
}
