//! The issuers whose tokens are accepted, with their keys: fetched, kept fresh, and dropped when they rotate.
//!
//! Keys are fetched in the background alone: at the start, every few minutes, and when a token names a key that is not
//! known, at most once in an interval, so that nobody makes us fetch by sending tokens. A set that was fetched replaces
//! the one before whole: a key that its issuer has withdrawn counts no more.

mod discovery;
mod memory;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_net::Resolver;
use casemate_net::fetch::{Reachable, Url};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::token::{Jws, Rules, TokenFault, Verified};
pub use memory::Memory;
use source::Source;

/// How long a request waits for keys that are being fetched. Its client waits no longer either.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// An issuer as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Our name for it, which its subjects' ids begin with.
    pub name: String,
    /// What its tokens have to be.
    pub rules: Rules,
    /// Where its keys are; `None` when its metadata say so (RFC 8414, OpenID Connect Discovery).
    pub keys_at: Option<Url>,
    /// Which addresses it may have.
    pub reachable: Reachable,
    /// Further certificates that are trusted for it, as PEM.
    pub certificates: Option<String>,
    /// How often its keys are fetched.
    pub refresh_every: Duration,
    /// How often they are fetched, at most, because a token names one that is not known.
    pub refresh_pause: Duration,
}

/// All issuers. One for the whole program.
pub struct Issuers {
    sources: ArcSwap<BTreeMap<String, Arc<Source>>>,
    generation: Arc<AtomicU64>,
    resolver: Arc<dyn Resolver>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A token that was judged good, and what that rests on.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Our name for its issuer.
    pub issuer: String,
    /// What it says.
    pub verified: Verified,
    /// [`Issuers::generation`] from before it was judged: when that has changed, it has to be judged anew.
    pub generation: u64,
    rules: Arc<Source>,
}

impl Accepted {
    /// Whether it may be used at a resource, as it was judged for another one.
    #[must_use]
    pub fn is_for(&self, resource: &str) -> bool {
        self.rules.issuer.rules.is_for(&self.verified.audiences, resource)
    }
}

impl Issuers {
    /// None yet. Tasks run on the tracker and end with `stop`.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>, tracker: TaskTracker, stop: CancellationToken) -> Issuers {
        Issuers { sources: ArcSwap::default(), generation: Arc::default(), resolver, tracker, stop }
    }

    /// Takes other issuers. One that is as it was keeps its keys; what was accepted has to be judged anew.
    pub fn replace(&self, issuers: impl IntoIterator<Item = Issuer>) {
        let before = self.sources.load();
        let mut after = BTreeMap::new();
        for issuer in issuers {
            let kept = before.get(&issuer.rules.issuer).filter(|source| source.issuer == issuer);
            let source = match kept {
                Some(source) => Arc::clone(source),
                None => self.begin(issuer),
            };
            after.insert(source.issuer.rules.issuer.clone(), source);
        }
        for (name, source) in before.iter() {
            if !after.get(name).is_some_and(|kept| Arc::ptr_eq(kept, source)) {
                source.stop.cancel();
            }
        }
        self.sources.store(Arc::new(after));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// A number that changes whenever a token that was accepted may be accepted no more: with the issuers and with the
    /// keys of any of them.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.load().is_empty()
    }

    /// The issuers' names for themselves, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.sources.load().keys().cloned().collect()
    }

    /// Judges a token; `resource` is the address of the endpoint that is called. On [`TokenFault::UnknownKey`] it may be
    /// good after [`Issuers::settled`].
    ///
    /// # Errors
    /// [`TokenFault`].
    pub fn judge(
        &self,
        presented: &str,
        (resource, now_unix_s): (&str, u64),
    ) -> Result<Accepted, TokenFault> {
        let generation = self.generation();
        let token = Jws::read(presented)?;
        let source = self.source(&token)?;
        let keys = source.keys.load();
        let verified = source.issuer.rules.judge(&token, &keys, (resource, now_unix_s))?;
        Ok(Accepted { issuer: source.issuer.name.clone(), verified, generation, rules: source })
    }

    /// Waits until the keys of a token's issuer are as new as they can be, for a few seconds at most. Whether they are
    /// fetched for it depends on when they were fetched last.
    pub async fn settled(&self, presented: &str) {
        let Ok(source) = Jws::read(presented).and_then(|token| self.source(&token)) else { return };
        _ = tokio::time::timeout(WAIT_MAX, source.refreshed()).await;
    }

    fn source(&self, token: &Jws<'_>) -> Result<Arc<Source>, TokenFault> {
        let sources = self.sources.load();
        sources.get(token.issuer()).map(Arc::clone).ok_or(TokenFault::of("its issuer is not configured"))
    }

    fn begin(&self, issuer: Issuer) -> Arc<Source> {
        let source = Arc::new(Source::new(issuer, self.stop.child_token(), Arc::clone(&self.generation)));
        self.tracker.spawn(Arc::clone(&source).follow(Arc::clone(&self.resolver)));
        source
    }
}

impl Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers").field("names", &self.names()).finish_non_exhaustive()
    }
}
