//! Taking over what a cell sends.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// The sockets that were made inside of a cell's network namespace and handed out of it. They are the cell's only
/// network: every address there is local (its route says so), and nothing of ours runs inside.
#[derive(Debug)]
pub struct Doorway {
    /// Listens on every address of the namespace, one for each port that some destination names. The local address of an
    /// accepted connection is what the server has dialed.
    pub tcp: Vec<TcpListener>,
    /// Receives the datagrams that are sent to the name server of the cell, 127.0.0.1:53.
    pub dns: UdpSocket,
    /// Accepts the same questions over TCP (RFC 7766).
    pub dns_tcp: TcpListener,
    /// A raw socket that sees the beginning of each TCP connection to a port that nobody listens on (and so is refused by
    /// the kernel), so that it can be recorded: IPv4 packets with SYN set and ACK clear.
    pub stray_tcp: OwnedFd,
    /// A raw socket that sees datagrams to other ports than the name server's, as IPv4 packets. Nobody answers them.
    pub stray_udp: OwnedFd,
}
