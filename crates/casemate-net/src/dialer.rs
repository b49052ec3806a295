//! From a name to a connection, without the address changing in between.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::class;
use crate::attempt::Reason;
use crate::name::Name;
use crate::policy::Reaches;
use crate::resolver::Resolver;

/// How long a resolver may take.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long all of the dialing may take, and how long one address may where a further one is left.
const DIAL_TIME_MAX: Duration = Duration::from_secs(15);
const TRY_TIME_MAX: Duration = Duration::from_secs(3);

/// How many addresses of an answer are looked at. More are used by nobody.
const ADDRESSES_MAX: usize = 16;

/// How many names one cell may have resolved at once, so that its slow ones do not keep the others' waiting.
const LOOKUPS_MAX: usize = 8;

/// Opens the connections of one cell. It resolves a name once, judges every address of the answer, and dials the very
/// addresses that it has judged: what the name stands for a moment later does not matter.
#[derive(Debug)]
pub(crate) struct Dialer {
    resolver: Arc<dyn Resolver>,
    lookups: Semaphore,
}

/// Where a connection shall go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// To a name, as long as it stands for what it may stand for.
    Name(Name, Reaches),
    /// To an address that was granted as such.
    Address(IpAddr),
}

/// Why there is no connection, and the address that it failed with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) address: Option<IpAddr>,
}

impl Dialer {
    pub(crate) fn new(resolver: Arc<dyn Resolver>) -> Dialer {
        Dialer { resolver, lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// A connection to one of the target's addresses, and which one.
    pub(crate) async fn dial(&self, target: &Target, port: u16) -> Result<(TcpStream, IpAddr), Failure> {
        let addresses = match target {
            Target::Address(address) => vec![*address],
            Target::Name(name, reaches) => self.vetted(name, reaches).await?,
        };
        let first = addresses.first().copied();
        let deadline = Instant::now() + DIAL_TIME_MAX;
        let last = addresses.len().saturating_sub(1);
        for (index, address) in addresses.into_iter().enumerate() {
            let until = if index == last { deadline } else { deadline.min(Instant::now() + TRY_TIME_MAX) };
            let dialed = TcpStream::connect(SocketAddr::new(address, port));
            if let Ok(Ok(stream)) = timeout_at(until, dialed).await {
                return Ok((stream, address));
            }
        }
        Err(Failure { reason: Reason::Unreachable, address: first })
    }

    /// The addresses of the name that it may stand for, in the order of the resolver.
    async fn vetted(&self, name: &Name, reaches: &Reaches) -> Result<Vec<IpAddr>, Failure> {
        let resolved = async {
            let _permit = self.lookups.acquire().await.ok()?;
            self.resolver.resolve(name.as_str()).await.ok()
        };
        let answer = timeout(RESOLVE_TIME_MAX, resolved).await.ok().flatten().unwrap_or_default();
        let mut vetted = Vec::new();
        let mut refused = None;
        for address in answer.into_iter().take(ADDRESSES_MAX).map(|address| address.to_canonical()) {
            let class = class(address);
            if !reaches.admit(address, class) {
                refused.get_or_insert((address, class));
            } else if !vetted.contains(&address) {
                vetted.push(address);
            }
        }
        match refused {
            _ if !vetted.is_empty() => Ok(vetted),
            Some((address, class)) => Err(Failure { reason: Reason::Address(class), address: Some(address) }),
            None => Err(Failure { reason: Reason::Unresolved, address: None }),
        }
    }
}

#[cfg(test)]
mod tests;
