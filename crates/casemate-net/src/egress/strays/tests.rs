use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::tests::{Seen, gate_with};
use super::*;
use crate::attempt::Attempt;
use crate::name::Name;

/// A packet as the kernel shows it: with `options` words of options.
fn packet(protocol: u8, from: &str, to: &str, options: u8) -> Vec<u8> {
    let ends = [from, to].map(|end| end.parse::<SocketAddrV4>().expect("an address and a port"));
    let mut packet = vec![0x45 + options, 0, 0, 40, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend(ends.iter().flat_map(|end| end.ip().octets()));
    packet.extend(vec![0; usize::from(options) * 4]);
    packet.extend(ends.iter().flat_map(|end| end.port().to_be_bytes()));
    packet.extend([0; 16]);
    packet
}

fn told(packet: &[u8]) -> Vec<Attempt> {
    let seen = Arc::new(Seen::default());
    let gate = gate_with(&["api.example.org:443", "10.1.2.3:5432"], seen.clone());
    gate.address(&Name::parse("api.example.org").expect("a name")).expect("granted");
    if let Some(stray) = Stray::read(packet) {
        gate.stray(stray);
    }
    seen.take()
}

fn refused(protocol: Protocol, dialed: &str, reason: Reason) -> Vec<Attempt> {
    let dialed = dialed.parse::<SocketAddr>().expect("an address and a port");
    let verdict = Verdict::Refused(reason);
    let address = Some(dialed.ip());
    vec![Attempt { name: None, address, port: dialed.port(), protocol, verdict, times: 1 }]
}

#[test]
fn connections_that_the_kernel_refused() {
    let me = "127.0.0.1:40000";
    let told = |dialed| told(&packet(6, dialed, me, 0));
    assert_eq!(told("1.1.1.1:80"), refused(Protocol::Tcp, "1.1.1.1:80", Reason::NotGranted));
    assert_eq!(told("10.1.2.3:22"), refused(Protocol::Tcp, "10.1.2.3:22", Reason::PortNotGranted));
    assert_eq!(told("127.0.0.1:5432"), refused(Protocol::Tcp, "127.0.0.1:5432", Reason::NotGranted));
    let named = told("127.1.0.1:80");
    let expected = Attempt {
        name: Some("api.example.org".to_owned()),
        address: None,
        ..refused(Protocol::Tcp, "127.1.0.1:80", Reason::PortNotGranted).remove(0)
    };
    assert_eq!(named, [expected]);
}

#[test]
fn datagrams() {
    let me = "127.0.0.1:40000";
    for dialed in ["8.8.8.8:53", "224.0.0.251:5353", "10.1.2.3:5432"] {
        assert_eq!(told(&packet(17, me, dialed, 0)), refused(Protocol::Udp, dialed, Reason::Datagram));
    }
    let quic = told(&packet(17, me, "127.1.0.1:443", 10));
    assert_eq!(quic[0].name.as_deref(), Some("api.example.org"));
    assert_eq!(quic[0].verdict, Verdict::Refused(Reason::Datagram));
}

#[test]
fn what_is_no_packet_of_these_is_nothing() {
    let good = packet(17, "127.0.0.1:1", "8.8.8.8:53", 0);
    assert_eq!(told(&good).len(), 1);
    let mut later = good.clone();
    later[7] = 1;
    let mut sixth = good.clone();
    sixth[0] = 0x65;
    for other in [&later, &sixth, &packet(1, "127.0.0.1:1", "8.8.8.8:53", 0), &good[..23], &good[..12]] {
        assert_eq!(told(other), []);
    }
}

proptest! {
    #[test]
    fn reading_never_panics(bytes: Vec<u8>) {
        Stray::read(&bytes);
        Stray::read(&[&[0x45], bytes.as_slice()].concat());
    }
}
