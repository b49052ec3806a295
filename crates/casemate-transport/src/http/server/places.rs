//! How many connections there are, in all and by address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::shell::HttpLimits;

/// The connections of one server.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    network: Option<IpAddr>,
}

impl Places {
    /// Takes a place, unless all are taken or the address's network has its share; without an address only the total
    /// counts.
    pub(super) fn take(places: &Arc<Self>, address: Option<IpAddr>, limits: &HttpLimits) -> Option<Place> {
        let network = address.map(network);
        let mut taken = places.lock();
        if taken.total >= limits.connections_max {
            return None;
        }
        if let Some(network) = network {
            let count = taken.by_network.entry(network).or_default();
            if *count >= limits.connections_per_address_max {
                return None;
            }
            *count += 1;
        }
        taken.total += 1;
        drop(taken);
        Some(Place { places: Arc::clone(places), network })
    }

    /// A panic while the lock was held cannot leave a half-taken place: nothing in there panics.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(network) = self.network
            && let Some(count) = taken.by_network.get_mut(&network)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}

/// What counts as one address: with IPv6 everyone has a /64 to choose from.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections_max: usize, connections_per_address_max: usize) -> HttpLimits {
        HttpLimits { connections_max, connections_per_address_max, ..HttpLimits::default() }
    }

    fn tcp(addr: &str) -> Option<IpAddr> {
        Some(addr.parse().unwrap())
    }

    #[test]
    fn an_address_gets_its_share_and_no_more() {
        let places = Arc::new(Places::default());
        let take = |addr| Places::take(&places, tcp(addr), &limits(10, 1));
        let first = take("192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        assert!(take("::ffff:192.0.2.1").is_none(), "the same address in another spelling");
        let _other = take("192.0.2.2").unwrap();
        let _six = take("2001:db8::1").unwrap();
        assert!(take("2001:db8::2").is_none(), "the same network");
        let _far = take("2001:db8:0:1::1").unwrap();
        drop(first);
        let _again = take("192.0.2.1").unwrap();
    }

    #[test]
    fn the_total_counts_every_kind() {
        let places = Arc::new(Places::default());
        let socket = None;
        let take = |address| Places::take(&places, address, &limits(2, 1));
        let _first = take(socket).unwrap();
        let second = take(socket).unwrap();
        assert!(take(tcp("192.0.2.1")).is_none());
        drop(second);
        assert!(take(tcp("192.0.2.1")).is_some());
        assert!(places.lock().by_network.is_empty(), "a freed address leaves nothing behind");
    }
}
