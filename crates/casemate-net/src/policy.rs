//! All that one cell may reach.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::address::Class;
use crate::destination::{Destination, Place, Reach};
use crate::name::Name;

/// All that one cell may reach. Nothing else; so an empty one is no network at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    destinations: Arc<[Destination]>,
}

/// Which addresses a name may stand for, on one port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reaches(BTreeSet<Reach>);

impl Policy {
    /// The union of the grants, in order and without duplicates.
    pub fn new(destinations: impl IntoIterator<Item = Destination>) -> Policy {
        let sorted = destinations.into_iter().collect::<BTreeSet<_>>();
        Policy { destinations: sorted.into_iter().collect() }
    }

    /// Every port that some destination names: where the cell's own network has to listen.
    #[must_use]
    pub fn ports(&self) -> BTreeSet<u16> {
        self.destinations.iter().map(Destination::port).collect()
    }

    /// Whether nothing at all may be reached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }

    /// What may be reached.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Whether the name is granted with any port.
    pub(crate) fn names(&self, name: &Name) -> bool {
        self.destinations.iter().any(|destination| destination.reach(name).is_some())
    }

    /// Which addresses the name may stand for on that port. None, where it is not granted there.
    pub(crate) fn reaches(&self, name: &Name, port: u16) -> Option<Reaches> {
        let here = self.destinations.iter().filter(|destination| destination.port() == port);
        let reaches = here.filter_map(|destination| destination.reach(name)).collect::<BTreeSet<_>>();
        (!reaches.is_empty()).then_some(Reaches(reaches))
    }

    /// The ports with which the address itself is granted.
    pub(crate) fn ports_of(&self, address: IpAddr) -> impl Iterator<Item = u16> {
        let is_it = move |destination: &&Destination| *destination.place() == Place::Address(address);
        self.destinations.iter().filter(is_it).map(Destination::port)
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::new([])
    }
}

impl Reaches {
    /// Whether the name may stand for an address of that class.
    pub(crate) fn admit(&self, class: Class) -> bool {
        self.0.iter().any(|reach| reach.admits(class))
    }
}

impl Destination {
    /// Which addresses the name may stand for, where this destination grants it.
    fn reach(&self, name: &Name) -> Option<Reach> {
        match self.place() {
            Place::Name(reach, granted) => (granted == name).then_some(*reach),
            Place::Below(reach, base) => name.is_below(base).then_some(*reach),
            Place::Address(_) => None,
        }
    }
}

/// The address to which programs go for `localhost` without asking anybody (RFC 6761 section 6.3).
pub(crate) fn is_localhost(address: IpAddr) -> bool {
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}
