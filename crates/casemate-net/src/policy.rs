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
pub(crate) struct Reaches {
    reaches: BTreeSet<Reach>,
    /// Granted themselves with that port, so that a name adds nothing to what may be dialed.
    addresses: BTreeSet<IpAddr>,
}

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
        let here = || self.destinations.iter().filter(|destination| destination.port() == port);
        let reaches = here().filter_map(|destination| destination.reach(name)).collect::<BTreeSet<_>>();
        let address = |destination: &Destination| match destination.place() {
            Place::Address(address) => Some(*address),
            Place::Name(..) | Place::Below(..) => None,
        };
        (!reaches.is_empty()).then(|| Reaches { reaches, addresses: here().filter_map(address).collect() })
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
    /// All addresses of some classes.
    pub(crate) fn of(reaches: impl IntoIterator<Item = Reach>) -> Reaches {
        Reaches { reaches: reaches.into_iter().collect(), addresses: BTreeSet::new() }
    }

    /// Whether the name may stand for an address, which is of that class.
    pub(crate) fn admit(&self, address: IpAddr, class: Class) -> bool {
        self.reaches.iter().any(|reach| reach.admits(class)) || self.addresses.contains(&address)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(grants: &[&str]) -> Policy {
        Policy::new(grants.iter().map(|grant| grant.parse::<Destination>().expect("a destination")))
    }

    fn classes(policy: &Policy, name: &str, port: u16) -> Vec<Class> {
        let name = Name::parse(name).expect("a name");
        let all = [Class::Public, Class::Loopback, Class::Private, Class::LinkLocal, Class::Metadata];
        let reaches = policy.reaches(&name, port).unwrap_or_default();
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        all.into_iter().filter(|class| reaches.admit(nobody, *class)).collect()
    }

    #[test]
    fn a_name_may_stand_for_an_address_that_is_granted_itself() {
        let policy = policy(&["registry.example:443", "192.0.2.1:443", "192.0.2.2:80"]);
        let name = Name::parse("registry.example").expect("a name");
        let reaches = policy.reaches(&name, 443).expect("granted");
        let admits = |text: &str| reaches.admit(text.parse().expect("an address"), Class::Documentation);
        assert!(admits("192.0.2.1"));
        assert!(!admits("192.0.2.2"), "granted with another port");
        assert!(!admits("192.0.2.3"));
        let other = Name::parse("other.example").expect("a name");
        assert!(policy.reaches(&other, 443).is_none(), "the address grants no name");
    }

    #[test]
    fn an_empty_policy_is_no_network() {
        let policy = policy(&[]);
        assert!(policy.is_empty() && policy.ports().is_empty());
        assert!(!policy.names(&Name::parse("example.org").expect("a name")));
    }

    #[test]
    fn the_same_twice_is_once() {
        let policy = policy(&["b.example:2", "a.example:1", "A.example.:1"]);
        let shown = policy.destinations().iter().map(Destination::to_string).collect::<Vec<_>>();
        assert_eq!(shown, ["a.example:1", "b.example:2"]);
        assert_eq!(policy.ports(), BTreeSet::from([1, 2]));
    }

    #[test]
    fn a_star_does_not_include_what_stands_behind_it() {
        let policy = policy(&["*.example.org:443"]);
        assert_eq!(classes(&policy, "a.example.org", 443), [Class::Public]);
        assert_eq!(classes(&policy, "c.b.a.example.org", 443), [Class::Public]);
        for other in ["example.org", "evil-example.org", "example.org.evil.net", "org"] {
            assert_eq!(classes(&policy, other, 443), [], "{other}");
        }
        assert_eq!(classes(&policy, "a.example.org", 80), []);
    }

    #[test]
    fn grants_add_up() {
        let policy = policy(&["wiki.corp:443", "private wiki.corp:443", "loopback *.corp:443"]);
        assert_eq!(classes(&policy, "wiki.corp", 443), [Class::Public, Class::Loopback, Class::Private]);
        assert_eq!(classes(&policy, "other.corp", 443), [Class::Loopback]);
    }

    #[test]
    fn an_address_is_no_name() {
        let policy = policy(&["10.1.2.3:443", "10.1.2.3:80"]);
        let address = IpAddr::from(Ipv4Addr::new(10, 1, 2, 3));
        assert_eq!(policy.ports_of(address).collect::<Vec<_>>(), [80, 443]);
        assert_eq!(policy.ports_of(Ipv4Addr::new(10, 1, 2, 4).into()).count(), 0);
    }
}
