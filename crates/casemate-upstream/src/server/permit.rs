//! A call that was let through, and what its outcome says about the server's health.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Shared;
use crate::breaker::Pass;
use crate::desk::Outcome;
use crate::instance::Instance;
use crate::{Fault, guard};

/// A call that was let through.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    shared: &'a Shared,
    pass: Pass,
    /// A probe that ends without an outcome leaves the circuit to the next call.
    is_settled: bool,
}

impl<'a> Permit<'a> {
    /// Asks the breaker.
    pub(super) fn ask(shared: &'a Arc<Shared>) -> Result<Permit<'a>, Fault> {
        let mut room = guard(&shared.room);
        if room.is_halted() {
            return Err(Fault::Stopping);
        }
        let pass = room.breaker.admit(Instant::now());
        let pass = pass.map_err(|retry_after| Fault::CircuitOpen { retry_after })?;
        Ok(Permit { shared, pass, is_settled: false })
    }

    /// Reports what became of the call.
    pub(super) fn note(&mut self, outcome: &Outcome, instance: &Instance) {
        match outcome {
            Ok(_) | Err(Fault::TooBig { .. }) => {
                self.is_settled = true;
                if self.shared.troubled.load(Ordering::Relaxed) {
                    self.shared.recovered();
                }
            }
            Err(Fault::Timeout { .. } | Fault::Protocol { .. }) => self.fail(outcome),
            // The end of a process is counted once, where it is noticed, and not for every call that it takes along.
            Err(Fault::OverLimit { .. }) => self.is_settled = self.pass == Pass::Normal,
            Err(Fault::Gone { .. }) if instance.is_process() && instance.life.is_stopping() => {
                self.is_settled = self.pass == Pass::Normal;
            }
            Err(Fault::Gone { .. }) => {
                instance.leave();
                self.fail(outcome);
            }
            Err(_) => {}
        }
    }

    /// The server answered the handshake, which is enough for a probe. It does not clear earlier failures: a server
    /// that starts well and ends at the first call would never be left alone.
    pub(super) fn handshake_done(&mut self) {
        if self.pass == Pass::Probe {
            self.is_settled = true;
            self.shared.recovered();
        }
    }

    fn fail(&mut self, outcome: &Outcome) {
        self.is_settled = true;
        if let Err(fault) = outcome {
            self.shared.failed(&mut guard(&self.shared.room), fault.to_string());
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.pass == Pass::Probe && !self.is_settled {
            guard(&self.shared.room).breaker.probe_lost(Instant::now());
        }
    }
}
