//! A cell's network on its way out: sockets that its first process has made, handed to casemate.

use std::os::fd::{AsFd, OwnedFd};

use casemate_net::egress::Doorway;
use rustix::io::Errno;

use crate::message::Message;

/// Hands the sockets over and closes them here.
pub(crate) fn hand_out(doorway: Doorway, control: &OwnedFd) -> Result<(), Errno> {
    let Doorway { tcp, dns, dns_tcp, stray_tcp, stray_udp } = doorway;
    let single = [dns.as_fd(), dns_tcp.as_fd(), stray_tcp.as_fd(), stray_udp.as_fd()];
    let descriptors: Vec<_> = single.into_iter().chain(tcp.iter().map(AsFd::as_fd)).collect();
    Message::Doorway { ports: tcp.len() }.send_with(control, &descriptors)
}

/// What has arrived, if it is all of it: the kernel cuts off what the receiver has no free descriptors for.
pub(crate) fn take_in(ports: usize, descriptors: Vec<OwnedFd>) -> Option<Doorway> {
    let mut descriptors = descriptors.into_iter();
    let doorway = Doorway {
        dns: descriptors.next()?.into(),
        dns_tcp: descriptors.next()?.into(),
        stray_tcp: descriptors.next()?,
        stray_udp: descriptors.next()?,
        tcp: descriptors.map(Into::into).collect(),
    };
    (doorway.tcp.len() == ports).then_some(doorway)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

    use super::*;
    use crate::message::{Received, receive_with_descriptors};

    #[test]
    fn every_socket_arrives_in_its_place() {
        let listener = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let datagrams = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sent = Doorway {
            tcp: (0..3).map(|_| listener()).collect(),
            dns: datagrams(),
            dns_tcp: listener(),
            stray_tcp: listener().into(),
            stray_udp: datagrams().into(),
        };
        let places = |doorway: &Doorway| -> Vec<SocketAddr> {
            let strays = [
                TcpListener::from(doorway.stray_tcp.try_clone().unwrap()).local_addr(),
                UdpSocket::from(doorway.stray_udp.try_clone().unwrap()).local_addr(),
            ];
            let names = [doorway.dns.local_addr(), doorway.dns_tcp.local_addr()];
            let ports = doorway.tcp.iter().map(TcpListener::local_addr);
            ports.chain(names).chain(strays).map(Result::unwrap).collect()
        };
        let expected = places(&sent);
        let (near, far) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        hand_out(sent, &far).unwrap();
        let (received, descriptors) = receive_with_descriptors(&near, RecvFlags::empty());
        assert_eq!(received, Received::Message(Message::Doorway { ports: 3 }));
        assert_eq!(descriptors.len(), 7);
        let arrived = take_in(3, descriptors).unwrap();
        assert_eq!(places(&arrived), expected);
    }

    #[test]
    fn less_than_all_is_nothing() {
        let some = |count: usize| {
            let descriptor = || rustix::io::dup(std::io::stdin()).unwrap();
            (0..count).map(|_| descriptor()).collect()
        };
        assert!(take_in(3, some(0)).is_none());
        assert!(take_in(3, some(6)).is_none());
        assert!(take_in(3, some(8)).is_none());
    }
}
