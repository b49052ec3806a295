use proptest::prelude::*;

use super::*;

fn of(address: &str) -> Class {
    Class::of(address.parse().expect("an address"))
}

#[test]
fn both_ends_of_each_network() {
    for (first, last, class) in [
        ("0.0.0.0", "0.255.255.255", Class::Unspecified),
        ("10.0.0.0", "10.255.255.255", Class::Private),
        ("100.64.0.0", "100.127.255.255", Class::Private),
        ("127.0.0.0", "127.255.255.255", Class::Loopback),
        ("169.254.0.0", "169.254.255.255", Class::LinkLocal),
        ("172.16.0.0", "172.31.255.255", Class::Private),
        ("192.0.0.0", "192.0.0.255", Class::Reserved),
        ("192.0.2.0", "192.0.2.255", Class::Documentation),
        ("192.88.99.0", "192.88.99.255", Class::Reserved),
        ("192.168.0.0", "192.168.255.255", Class::Private),
        ("198.18.0.0", "198.19.255.255", Class::Reserved),
        ("198.51.100.0", "198.51.100.255", Class::Documentation),
        ("203.0.113.0", "203.0.113.255", Class::Documentation),
        ("224.0.0.0", "239.255.255.255", Class::Multicast),
        ("240.0.0.0", "255.255.255.254", Class::Reserved),
        ("255.255.255.255", "255.255.255.255", Class::Multicast),
        ("::", "::", Class::Unspecified),
        ("::1", "::1", Class::Loopback),
        ("::2", "::fffe:ffff:ffff", Class::Reserved),
        ("100::", "100::ffff:ffff:ffff:ffff", Class::Reserved),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Class::Documentation),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Documentation),
        ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Private),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::LinkLocal),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Private),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Multicast),
    ] {
        assert_eq!((of(first), of(last)), (class, class), "{first} to {last}");
    }
}

#[test]
fn the_neighbors_of_special_networks_are_public() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "1.1.1.1",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2606:4700:4700::1111",
        "3ffe:ffff::",
    ] {
        assert_eq!(of(address), Class::Public, "{address}");
    }
}

#[test]
fn services_that_give_credentials() {
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.0.23",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
    ] {
        assert_eq!(of(address), Class::Metadata, "{address}");
    }
}

#[test]
fn an_embedded_address_decides() {
    for (address, class) in [
        ("::ffff:127.0.0.1", Class::Loopback),
        ("::ffff:10.1.2.3", Class::Private),
        ("::ffff:8.8.8.8", Class::Public),
        ("64:ff9b::192.168.0.1", Class::Private),
        ("64:ff9b::8.8.8.8", Class::Public),
        ("2002:7f00:1::", Class::Loopback),
        ("2002:c0a8:1::1", Class::Private),
        ("2002:808:808::1", Class::Public),
        // Compatible, locally translated and Teredo's: nobody has a use for them here.
        ("::127.0.0.1", Class::Reserved),
        ("::8.8.8.8", Class::Reserved),
        ("64:ff9b:1::10.0.0.1", Class::Reserved),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Class::Reserved),
    ] {
        assert_eq!(of(address), class, "{address}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot be made here says so")]
fn this_machine_is_loopback_whatever_its_addresses() {
    let route = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // Nothing is sent (RFC 5737).
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), DISCARD))?;
        socket.local_addr()
    };
    let own = match route() {
        Ok(own) if !own.ip().is_loopback() => own.ip(),
        other => {
            eprintln!("skipped: no interface but the loopback ({other:?})");
            return;
        }
    };
    assert_ne!(
        Class::of(own),
        Class::Loopback,
        "this proves something only where {own} is no loopback by itself"
    );
    assert_eq!(class(own), Class::Loopback);
}

#[test]
fn other_machines_are_what_their_addresses_say() {
    for address in ["1.1.1.1", "10.255.254.253", "2606:4700:4700::1111", "fe80::1234"] {
        let address = address.parse().expect("an address");
        assert_eq!(class(address), Class::of(address), "{address}");
    }
}

proptest! {
    /// What the standard library knows about an address, we know as well.
    #[test]
    fn no_special_address_is_public(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        let special = address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || address.is_broadcast()
            || address.is_documentation()
            || address.is_unspecified()
            || bits >> 28 == 0xf;
        prop_assert!(!special || Class::of(address.into()) != Class::Public);
    }

    #[test]
    fn mapping_an_address_changes_nothing(bits: u32) {
        let address = Ipv4Addr::from_bits(bits);
        prop_assert_eq!(Class::of(address.to_ipv6_mapped().into()), Class::of(address.into()));
    }

    #[test]
    fn no_special_address_of_ipv6_is_public(high in any::<u16>(), rest: u128) {
        let address = Ipv6Addr::from_bits((u128::from(high) << 112) | (rest >> 16));
        let special = address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_unique_local()
            || address.is_unicast_link_local();
        prop_assert!(!special || Class::of(address.into()) != Class::Public);
        prop_assert!(address.segments()[0] >> 13 == 1 || embedded(address).is_some() || Class::of(address.into()) != Class::Public);
    }
}
