//! One issuer and its keys.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_net::Resolver;
use casemate_net::fetch::{Fetcher, Trust};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Issuer, discovery};
use crate::token::KeySet;

/// How soon it is tried again when keys could not be fetched.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long keys count that could not be fetched anew. An outage of the issuer must not lock everybody out at once; a key
/// that it has withdrawn in the meantime must not count for ever.
const KEYS_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// An issuer, the keys that it was last seen to have, and the task that fetches them.
pub(super) struct Source {
    pub(super) issuer: Issuer,
    pub(super) keys: ArcSwap<KeySet>,
    pub(super) stop: CancellationToken,
    generation: Arc<AtomicU64>,
    wanted: Notify,
    /// How many times the keys were fetched, or tried to be.
    rounds: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// They are being fetched, or are about to be.
    Fetching,
    /// They were fetched, or tried to be, at that time.
    Rested(Instant),
}

impl Source {
    pub(super) fn new(issuer: Issuer, stop: CancellationToken, generation: Arc<AtomicU64>) -> Source {
        Source {
            issuer,
            keys: ArcSwap::default(),
            stop,
            generation,
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
            state: Mutex::new(State::Fetching),
        }
    }

    /// Waits for the next round, when one is under way or may begin.
    pub(super) async fn refreshed(&self) {
        let mut rounds = self.rounds.subscribe();
        if self.ask() {
            _ = rounds.changed().await;
        }
    }

    /// Whether there is, or will be, a round to wait for.
    fn ask(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match *state {
            State::Fetching => true,
            State::Rested(since) if since.elapsed() < self.issuer.refresh_pause => false,
            State::Rested(_) => {
                *state = State::Fetching;
                self.wanted.notify_one();
                true
            }
        }
    }

    /// Fetches the keys again and again. Ends when the issuer is not configured any more.
    pub(super) async fn follow(self: Arc<Self>, resolver: Arc<dyn Resolver>) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.rounds(resolver)).await;
    }

    async fn rounds(&self, resolver: Arc<dyn Resolver>) {
        let trust = match &self.issuer.certificates {
            None => Trust::system(),
            Some(pem) => match Trust::and_pem(pem.as_bytes()) {
                Ok(trust) => trust,
                Err(fault) => {
                    let name = &self.issuer.name;
                    tracing::error!(issuer = name, %fault, "the certificates for an issuer cannot be used");
                    // Nothing is fetched, so that nothing is trusted instead.
                    return self.rest(None);
                }
            },
        };
        let fetcher = Fetcher::new(resolver, trust);
        let mut good_until = Instant::now() + KEYS_AGE_MAX;
        loop {
            let pause = match discovery::keys(&fetcher, &self.issuer).await {
                Ok(keys) => {
                    good_until = Instant::now() + KEYS_AGE_MAX;
                    self.rest(Some(keys));
                    self.issuer.refresh_every
                }
                Err(fault) => {
                    let name = &self.issuer.name;
                    tracing::warn!(issuer = name, %fault, "the keys of an issuer cannot be fetched");
                    self.rest((Instant::now() >= good_until).then(KeySet::default));
                    RETRY_AFTER.min(self.issuer.refresh_every)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Fetching;
        }
    }

    /// Ends a round.
    fn rest(&self, keys: Option<KeySet>) {
        if let Some(keys) = keys {
            self.take(keys);
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Rested(Instant::now());
        self.rounds.send_modify(|round| *round += 1);
    }

    fn take(&self, keys: KeySet) {
        if **self.keys.load() == keys {
            return;
        }
        tracing::info!(issuer = self.issuer.name, keys = keys.len(), "an issuer has other keys than before");
        let before = self.keys.swap(Arc::new(keys));
        // A key that was added makes nothing wrong that was right.
        if !self.keys.load().includes(&before) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }
}

impl Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("issuer", &self.issuer.name).finish_non_exhaustive()
    }
}
