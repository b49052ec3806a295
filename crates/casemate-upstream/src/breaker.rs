//! When a server that fails is left alone: backoff between starts, and a circuit that opens after repeated
//! failures. Pure: time and chance are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::entry::Resilience;

#[cfg(test)]
mod tests;

/// What a call is told while another one probes: the probe is over about then.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Counts consecutive failures and says what follows from them.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: Resilience,
    /// Failures since the last answer.
    failures: u32,
    circuit: Circuit,
    /// No instance is started before then.
    start_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed,
    /// Refuses until then; afterwards the first call becomes the probe.
    Open {
        until: Instant,
    },
    /// One call is out to see whether the server is back.
    Probing,
}

/// What a call that was let through is to the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// One of many.
    Normal,
    /// The one that decides whether the circuit closes.
    Probe,
}

impl Breaker {
    pub(super) fn new(settings: Resilience) -> Breaker {
        Breaker { settings, failures: 0, circuit: Circuit::Closed, start_at: None }
    }

    /// Lets a call through, or says for how long calls are refused.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Pass, Duration> {
        match self.circuit {
            Circuit::Closed => Ok(Pass::Normal),
            Circuit::Open { until } if now < until => Err(until - now),
            Circuit::Open { .. } => {
                self.circuit = Circuit::Probing;
                // The pause was long enough: the probe does not wait for the backoff on top of it.
                self.start_at = None;
                Ok(Pass::Probe)
            }
            Circuit::Probing => Err(PROBE_WAIT),
        }
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.circuit = Circuit::Closed;
        self.start_at = None;
    }

    /// The server failed to start, to answer in time or to stay alive. `chance` is from 0 to 1 and spreads the
    /// restarts of many servers.
    pub(super) fn failed(&mut self, now: Instant, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        self.start_at = Some(now + self.pause(chance));
        let is_open = matches!(self.circuit, Circuit::Open { .. });
        if self.circuit == Circuit::Probing || !is_open && self.failures >= self.settings.failures_max {
            self.circuit = Circuit::Open { until: now + self.settings.open_for };
        }
    }

    /// The probing call was given up before it had an outcome: the next call probes.
    pub(super) fn probe_lost(&mut self, now: Instant) {
        if self.circuit == Circuit::Probing {
            self.circuit = Circuit::Open { until: now };
        }
    }

    /// Whether any failure is remembered, so that a success has to be reported.
    pub(super) fn is_troubled(&self) -> bool {
        self.failures > 0 || self.circuit != Circuit::Closed
    }

    /// Until when no instance is started, when that is after `now`.
    pub(super) fn start_at(&self, now: Instant) -> Option<Instant> {
        self.start_at.filter(|at| *at > now)
    }

    /// Until when calls are refused, when they are.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        match self.circuit {
            Circuit::Open { until } if until > now => Some(until),
            _ => None,
        }
    }

    /// The first failure costs no pause: a server that was killed is back for the next call. Each further one
    /// doubles it; half of it is left to chance.
    fn pause(&self, chance: f64) -> Duration {
        let Some(doublings) = self.failures.checked_sub(2) else { return Duration::ZERO };
        let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
        let longest = self.settings.backoff_min.saturating_mul(factor).min(self.settings.backoff_max);
        longest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
    }
}
