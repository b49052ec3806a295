//! Fetching on somebody's behalf: keys of an issuer, metadata of an authorization server, tokens.
//!
//! Whoever may say what we fetch could send us where they cannot go themselves: to a service of this machine, to the
//! network behind it, to the cloud's metadata service. So there is one client for all of it, which goes over HTTPS to
//! public addresses, unless its caller says otherwise ([`Reachable`]). A name is resolved once, every address of the
//! answer is judged, and the very address that was judged is dialed. Redirects are not followed, or each is judged like
//! the first address. Time, sizes and types of content are bounded. There are no cookies, and no proxy is looked up.
//! Nothing that a fault tells holds a header, a body or a query, since secrets travel there.

mod exchange;
mod fault;
mod line;
mod reachable;
mod request;
mod shown;
mod trust;
mod url;

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;

pub use fault::{FetchCause, FetchFault};
pub use line::Line;
pub use reachable::Reachable;
pub use request::{Fetched, Request};
pub use shown::{ShownFault, accepted};
pub use trust::{Trust, TrustFault};
pub use url::{Url, UrlFault};

use crate::dialer::Dialer;
use crate::resolver::Resolver;
use exchange::Talk;

/// How many fetches run at once. They are few and short; more than this is somebody who makes us fetch.
const FETCHES_MAX: usize = 32;

/// Fetches. One for each set of certificates that is trusted; clones of the `Arc` around it share its bounds.
pub struct Fetcher {
    dialer: Dialer,
    trust: Trust,
    places: Semaphore,
}

/// What a fetch may cost, where it may go, and what it may bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Which addresses may be reached. Default: public ones, over HTTPS.
    pub reachable: Reachable,
    /// The types of content that are taken, in lower case and without parameters. Default: `application/json`.
    pub content_types: &'static [&'static str],
    /// Bytes of the answer's body. Default 256 KiB: metadata and key sets of large issuers have some 20 KiB.
    pub body_bytes_max: usize,
    /// All of it together, redirects included. Default 10 s.
    pub time_max: Duration,
    /// How many redirects are followed; a request with a body is never redirected. Default 0.
    pub redirects_max: u8,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            reachable: Reachable::public(),
            content_types: &["application/json"],
            body_bytes_max: 256 * 1024,
            time_max: Duration::from_secs(10),
            redirects_max: 0,
        }
    }
}

impl Fetcher {
    /// One that resolves names by that resolver and trusts those certificates.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>, trust: Trust) -> Fetcher {
        Fetcher { dialer: Dialer::new(resolver), trust, places: Semaphore::new(FETCHES_MAX) }
    }

    /// The same, with room for so many fetches at once.
    #[must_use]
    pub fn with_places(self, places: usize) -> Fetcher {
        Fetcher { places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)), ..self }
    }

    /// Sends the request and gathers the answer, whatever its status; redirects that are not followed are answers too.
    /// An answer of success has one of the types of content that were asked for; of others, the body is left away when
    /// its type was not asked for.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn fetch(&self, request: Request, terms: &Terms) -> Result<Fetched, FetchFault> {
        let place = request.url.clone();
        let fetched = async {
            let _place =
                self.places.acquire().await.map_err(|_| FetchFault::new(&place, FetchCause::Time))?;
            self.follow(request, terms).await
        };
        match tokio::time::timeout(terms.time_max, fetched).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchFault::new(&place, FetchCause::Time)),
        }
    }

    async fn follow(&self, mut request: Request, terms: &Terms) -> Result<Fetched, FetchFault> {
        for left in (0..=terms.redirects_max).rev() {
            let fetched = self.once(&request, terms).await?;
            if !is_redirect(fetched.status) || request.has_body() || terms.redirects_max == 0 {
                return Ok(fetched);
            }
            if left == 0 {
                return Err(FetchFault::new(&request.url, FetchCause::Redirects(terms.redirects_max)));
            }
            request = redirected(request, &fetched.headers)?;
        }
        Err(FetchFault::new(&request.url, FetchCause::Redirects(terms.redirects_max)))
    }

    async fn once(&self, request: &Request, terms: &Terms) -> Result<Fetched, FetchFault> {
        let mut talk = self.dial(request, terms).await?;
        talk.ask(request, terms).await.map_err(|cause| FetchFault::new(&request.url, cause))
    }

    async fn dial(&self, request: &Request, terms: &Terms) -> Result<Talk, FetchFault> {
        let fault = |cause| FetchFault::new(&request.url, cause);
        let target = terms.reachable.target(&request.url).map_err(fault)?;
        let (stream, _) = self.dialer.dial(&target, request.url.port()).await.map_err(|failure| {
            fault(FetchCause::Dial { reason: failure.reason, address: failure.address })
        })?;
        Talk::begin(stream, request, &self.trust).await.map_err(fault)
    }
}

impl Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The same request at the place that an answer points to. Another origin gets nothing that was meant for the first.
fn redirected(request: Request, headers: &HeaderMap) -> Result<Request, FetchFault> {
    let fault = |cause| FetchFault::new(&request.url, cause);
    let mut pointers = headers.get_all(LOCATION).iter();
    let (Some(pointer), None) = (pointers.next(), pointers.next()) else {
        return Err(fault(FetchCause::Pointer("there is no `Location`, or more than one")));
    };
    let pointer = pointer.to_str().map_err(|_| fault(FetchCause::Pointer("`Location` is no text")))?;
    let url = request.url.joined(pointer).map_err(|_| {
        fault(FetchCause::Pointer("`Location` is neither an address that may be fetched nor a path"))
    })?;
    if request.url.is_secure() && !url.is_secure() {
        return Err(fault(FetchCause::Pointer("it leads from https to http")));
    }
    Ok(request.moved(url))
}

#[cfg(test)]
mod tests;
