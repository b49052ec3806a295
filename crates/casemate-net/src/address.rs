//! What kind of place an address is.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What kind of place an address is, by the registries of IANA for special addresses (RFC 6890 and its successors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Anywhere on the Internet.
    Public,
    /// This machine: its loopback, and the addresses of its interfaces.
    Loopback,
    /// A network of somebody's own (RFC 1918, RFC 4193, RFC 3879), or of a provider behind its translation (RFC 6598).
    Private,
    /// Whoever is on the same wire (RFC 3927, RFC 4291 section 2.5.6).
    LinkLocal,
    /// The service from which a machine in a cloud gets its credentials. Only a literal address opens it.
    Metadata,
    /// Many at once (RFC 1112, RFC 4291 section 2.7), or everybody on the wire (RFC 919).
    Multicast,
    /// "This host" (RFC 1122 section 3.2.1.3): dialing it reaches this machine.
    Unspecified,
    /// Examples in documents (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Nowhere, not yet, or somewhere behind a tunnel that hides where.
    Reserved,
}

impl Class {
    /// The class of an address, whose embedded address decides where there is one.
    #[must_use]
    pub fn of(address: IpAddr) -> Class {
        match address {
            IpAddr::V4(address) => Class::of_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(inner) => Class::of_v4(inner),
                None => Class::of_v6(address),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Class {
        let holds = |network: &&(Ipv4Addr, u32, Class)| {
            let distance = network.0.to_bits() ^ address.to_bits();
            distance.leading_zeros() >= network.1
        };
        SPECIAL_V4.iter().find(holds).map_or(Class::Public, |network| network.2)
    }

    fn of_v6(address: Ipv6Addr) -> Class {
        let holds = |network: &&(Ipv6Addr, u32, Class)| {
            let distance = network.0.to_bits() ^ address.to_bits();
            distance.leading_zeros() >= network.1
        };
        // Nothing else than 2000::/3 has been given to anybody (RFC 4291 section 2.4).
        let elsewhere = if address.to_bits() >> 125 == 1 { Class::Public } else { Class::Reserved };
        SPECIAL_V6.iter().find(holds).map_or(elsewhere, |network| network.2)
    }
}

impl Class {
    /// Whether an address of this class may be dialed because somebody has written it out.
    pub(crate) fn may_be_named(self) -> bool {
        matches!(self, Class::Public | Class::Loopback | Class::Private)
    }
}

impl Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Public => "a public address",
            Class::Loopback => "an address of this machine",
            Class::Private => "a private address",
            Class::LinkLocal => "a link-local address",
            Class::Metadata => "the metadata service of a cloud",
            Class::Multicast => "a multicast or broadcast address",
            Class::Unspecified => "the unspecified address",
            Class::Documentation => "an address for documentation",
            Class::Reserved => "a reserved address",
        })
    }
}

/// What kind of place an address is from here: an interface of this machine may have an address of nearly any class.
pub(crate) fn class(address: IpAddr) -> Class {
    match Class::of(address) {
        class @ (Class::Loopback | Class::Metadata | Class::Multicast | Class::Unspecified) => class,
        Class::Public | Class::Private | Class::LinkLocal | Class::Documentation | Class::Reserved
            if is_own(address) =>
        {
            Class::Loopback
        }
        class => class,
    }
}

/// Whether an interface of this machine has the address. The kernel is asked which address it would send from: to itself,
/// it sends from where it sends to. Nothing is sent. No list of interfaces can be as current.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(SocketAddr::new(address, DISCARD))?;
        socket.local_addr()
    };
    // Where there is no route there is nothing of ours either, and the connection fails by itself.
    source().is_ok_and(|source| source.ip() == address)
}

/// Any port does, since nothing is sent (RFC 863).
const DISCARD: u16 = 9;

/// The IPv4 address that is reached through an IPv6 address: mapped (RFC 4291 section 2.5.5.2), translated (RFC 6052
/// section 2.1) or tunneled (RFC 3056 section 2).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => of(g, h),
        [0x2002, high, low, ..] => of(high, low),
        _ => None,
    }
}

/// The first network that holds an address decides.
const SPECIAL_V4: [(Ipv4Addr, u32, Class); 24] = [
    // Amazon, Google, Azure, Oracle, DigitalOcean and others; containers and pods at Amazon; Tencent.
    (Ipv4Addr::new(169, 254, 169, 254), 32, Class::Metadata),
    (Ipv4Addr::new(169, 254, 170, 2), 32, Class::Metadata),
    (Ipv4Addr::new(169, 254, 170, 23), 32, Class::Metadata),
    (Ipv4Addr::new(169, 254, 0, 23), 32, Class::Metadata),
    // Alibaba; Oracle's older machines; the host of a machine at Azure.
    (Ipv4Addr::new(100, 100, 100, 200), 32, Class::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, Class::Metadata),
    (Ipv4Addr::new(168, 63, 129, 16), 32, Class::Metadata),
    (Ipv4Addr::new(0, 0, 0, 0), 8, Class::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Class::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Class::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Class::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Class::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Class::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Class::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Class::Documentation),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Class::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Class::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Class::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Class::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Class::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Class::Multicast),
    (Ipv4Addr::new(255, 255, 255, 255), 32, Class::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Class::Reserved),
    // Relays of automatic multicast tunneling (RFC 7450).
    (Ipv4Addr::new(192, 52, 193, 0), 24, Class::Reserved),
];

/// The first network that holds an address decides. Addresses with an embedded one never come here.
const SPECIAL_V6: [(Ipv6Addr, u32, Class); 12] = [
    // Amazon: machines, pods, clocks and names; Google; OpenStack.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, Class::Metadata),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Class::Metadata),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, Class::Metadata),
    (Ipv6Addr::UNSPECIFIED, 128, Class::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Class::Loopback),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Class::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Class::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Class::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Class::Multicast),
    // Protocols of the IETF (RFC 2928), among them Teredo (RFC 4380), which hides an address of IPv4.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Class::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Class::Documentation),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Class::Documentation),
];

#[cfg(test)]
mod tests;
