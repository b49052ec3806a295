//! A way that is gone often, whose connections are kept.

use std::fmt::{self, Debug};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::exchange::Talk;
use super::fault::{FetchCause, FetchFault};
use super::request::{Fetched, Request};
use super::{Fetcher, Terms};

/// Connections that are kept of one line. More than these at once are somebody's burst, and are dialed.
const KEPT_MAX: usize = 16;

/// How long an idle connection is kept: less than servers commonly keep it. Its address was judged when it was dialed.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The connections to one place that are kept between fetches. Whoever has it asks for that place alone, and always under
/// the same [`Terms::reachable`].
#[derive(Default)]
pub struct Line {
    idle: Mutex<Vec<(Talk, Instant)>>,
}

impl Line {
    /// A connection that was left and is still there.
    fn take(&self) -> Option<Talk> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((mut talk, since)) = idle.pop() {
            if since.elapsed() < KEPT_FOR && talk.is_idle() {
                return Some(talk);
            }
        }
        None
    }

    fn keep(&self, mut talk: Talk) {
        if !talk.is_idle() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_MAX {
            idle.push((talk, Instant::now()));
        }
    }
}

impl Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Fetcher {
    /// [`Fetcher::fetch`] over connections that are kept. Redirects are not followed. What is asked has to be of a kind that
    /// may be asked twice: a kept connection may end while something is sent over it, and then it is sent over another.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn fetch_over(
        &self,
        line: &Line,
        request: &Request,
        terms: &Terms,
    ) -> Result<Fetched, FetchFault> {
        let fault = |cause| FetchFault::new(&request.url, cause);
        let fetched = async {
            let _place = self.places.acquire().await.map_err(|_| fault(FetchCause::Time))?;
            if let Some(mut talk) = line.take() {
                match talk.ask(request, terms).await {
                    Err(FetchCause::Broken(_)) => {}
                    outcome => return kept(line, talk, outcome.map_err(fault)),
                }
            }
            let mut talk = self.dial(request, terms).await?;
            let outcome = talk.ask(request, terms).await.map_err(fault);
            kept(line, talk, outcome)
        };
        match tokio::time::timeout(terms.time_max, fetched).await {
            Ok(outcome) => outcome,
            Err(_) => Err(fault(FetchCause::Time)),
        }
    }
}

/// Keeps a connection whose answer came as a whole.
fn kept(line: &Line, talk: Talk, outcome: Result<Fetched, FetchFault>) -> Result<Fetched, FetchFault> {
    if outcome.is_ok() {
        line.keep(talk);
    }
    outcome
}
