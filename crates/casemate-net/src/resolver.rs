//! From a name to its addresses, outside of the cell.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long an answer is used again. Short, since the system does not tell how long its answers live.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// How many answers are kept. Beyond that, those that have expired go, or else all.
const KEPT_MAX: usize = 1024;

/// How many threads may wait for the system's resolver, which cannot be interrupted. It gives up after some 30 seconds
/// (resolv.conf(5): 5 seconds, twice, for each of three servers).
const WAITING_MAX: usize = 128;

/// The answer of a resolver, once it comes.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Knows which addresses a name stands for. What it answers is not trusted: each address is judged, and the very address
/// that was judged is dialed.
pub trait Resolver: Send + Sync + Debug {
    /// The addresses of `name`, which is in lower case and has no final dot. The caller bounds the time and the number.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// Asks as every program of this machine does: `/etc/hosts`, then DNS, or what `nsswitch.conf` says (`getaddrinfo(3)`).
/// An answer is used again for 30 seconds. One of these serves all cells.
pub struct SystemResolver {
    kept: Mutex<HashMap<String, Kept>>,
    threads: Arc<Semaphore>,
}

struct Kept {
    since: Instant,
    addresses: Vec<IpAddr>,
}

impl SystemResolver {
    /// One that has no answer yet.
    #[must_use]
    pub fn new() -> SystemResolver {
        SystemResolver { kept: Mutex::default(), threads: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    fn kept(&self, name: &str) -> Option<Vec<IpAddr>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(name).filter(|kept| kept.is_fresh()).map(|kept| kept.addresses.clone())
    }

    fn keep(&self, name: &str, addresses: &[IpAddr]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, kept| kept.is_fresh());
        }
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let answer = Kept { since: Instant::now(), addresses: addresses.to_vec() };
        kept.insert(name.to_owned(), answer);
    }

    async fn ask(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.threads).acquire_owned().await.map_err(io::Error::other)?;
        let asked = name.to_owned();
        let answer = tokio::task::spawn_blocking(move || {
            // Held until the thread is free again, also when nobody waits for it any more.
            let _permit = permit;
            let found = (asked.as_str(), 0).to_socket_addrs()?;
            io::Result::Ok(found.map(|found| found.ip()).collect::<Vec<_>>())
        });
        let addresses = answer.await.map_err(io::Error::other)??;
        self.keep(name, &addresses);
        Ok(addresses)
    }
}

impl Kept {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < KEPT_FOR
    }
}

impl Default for SystemResolver {
    fn default() -> SystemResolver {
        SystemResolver::new()
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            match self.kept(name) {
                Some(addresses) => Ok(addresses),
                None => self.ask(name).await,
            }
        })
    }
}

impl Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_half_a_minute() {
        let resolver = SystemResolver::new();
        resolver.keep("example.org", &[ADDRESS]);
        tokio::time::advance(KEPT_FOR - Duration::from_millis(1)).await;
        assert_eq!(resolver.resolve("example.org").await.unwrap(), [ADDRESS]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(resolver.kept("example.org"), None);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let resolver = SystemResolver::new();
        for index in 0..3 * KEPT_MAX {
            resolver.keep(&format!("a{index}.example.org"), &[ADDRESS]);
            assert!(resolver.kept.lock().unwrap().len() <= KEPT_MAX);
        }
        assert!(resolver.kept(&format!("a{}.example.org", 3 * KEPT_MAX - 1)).is_some());
    }

    #[tokio::test]
    async fn this_machine_has_a_name_for_itself() {
        let addresses = SystemResolver::new().resolve("localhost").await.unwrap();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_has_no_addresses() {
        // A label is too long to be asked for, so that no test waits for a name server.
        let name = format!("{}.example", "a".repeat(64));
        assert!(SystemResolver::new().resolve(&name).await.is_err());
    }
}
