//! Attacks by way of sockets.

use std::io::{self, Error};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use casemate_sandbox::Layer::{self, Capabilities, Files, Landlock, Network, Seccomp};
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::attack::Attack;
use crate::attacks::kernel::syscall;
use crate::world::Facts;

const FILTER: &[Layer] = &[Seccomp];
const NO_TCP: &[Layer] = &[Seccomp, Landlock];

pub(crate) const ALL: &[Attack] = &[
    Attack::new("reach_the_hosts_loopback", &[Network], NO_TCP, |f| {
        TcpStream::connect(("127.0.0.1", f.tcp)).map(drop)
    }),
    // A full cell may listen on a loopback of its own.
    Attack::new("listen_on_the_host", &[], NO_TCP, |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    Attack::new("send_datagrams_to_the_host", &[Network], FILTER, |f| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", f.udp))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.send(b"hello")?;
        socket.recv(&mut [0; 16]).map(drop)
    }),
    Attack::new("reach_a_socket_without_a_file", &[Network, Landlock], NO_TCP, |f| {
        UnixStream::connect_addr(&f.abstract_name()).map(drop)
    }),
    // Landlock knows of sockets with a name from version 9 on.
    Attack::new("reach_a_socket_outside", &[Files], FILTER, |f| {
        UnixStream::connect(f.outside("socket")).map(drop)
    })
    .also(&[Landlock]),
    Attack::new("write_to_the_log", &[Files], FILTER, write_to_the_log).also(&[Landlock]),
    Attack::new("reach_the_hypervisor", FILTER, FILTER, |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM))
        .when(|| socket(libc::AF_VSOCK, libc::SOCK_STREAM).is_ok()),
    Attack::new("configure_the_network", FILTER, FILTER, |_| socket(libc::AF_NETLINK, libc::SOCK_RAW)),
    Attack::new("read_packets", &[Capabilities, Seccomp], &[], |_| socket(libc::AF_PACKET, libc::SOCK_RAW)),
    Attack::new("forge_packets", &[Capabilities], &[], |_| {
        let socket =
            rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(rustix::net::ipproto::ICMP))?;
        drop(socket);
        Ok(())
    }),
];

fn socket(family: i32, kind: i32) -> io::Result<()> {
    syscall(libc::SYS_socket, [family as usize, kind as usize, 0, 0, 0]).map(drop)
}

/// One end of a pair may send to any name, if it sends datagrams.
fn write_to_the_log(facts: &Facts) -> io::Result<()> {
    let (one, other): (OwnedFd, OwnedFd) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let log = SocketAddrUnix::new(facts.outside("log"))?;
    let text = [io::IoSlice::new(b"forged")];
    let sent = rustix::net::sendmsg_addr(
        &one,
        &log,
        &text,
        &mut SendAncillaryBuffer::default(),
        SendFlags::empty(),
    )?;
    if sent == 6 && other.as_raw_fd() > 0 { Ok(()) } else { Err(Error::other("cut short")) }
}
