//! Taking over what a cell sends.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// The sockets that were made inside of a cell's network namespace and handed out of it. They are the cell's only
/// network, and none of them blocks: every address there is local (its route says so), and nothing of ours runs inside.
#[derive(Debug)]
pub struct Doorway {
    /// Listens on every address of the namespace, one for each port that some destination names. The local address of an
    /// accepted connection is what the server has dialed.
    pub tcp: Vec<TcpListener>,
    /// Receives the datagrams that are sent to the name server of the cell, 127.0.0.1:53.
    pub dns: UdpSocket,
    /// Accepts the same questions over TCP (RFC 7766).
    pub dns_tcp: TcpListener,
    /// A raw socket that sees the kernel's refusal of each TCP connection to a port that nobody listens on, so that it can
    /// be recorded: IPv4 packets with RST and ACK set and the sequence number 0. Their *source* is what the server has
    /// dialed. What it dials and accepts itself is not among them.
    pub stray_tcp: OwnedFd,
    /// A raw socket that sees datagrams to other addresses than 127.0.0.1, as IPv4 packets. Their destination is what the
    /// server has sent them to. Nobody answers them.
    pub stray_udp: OwnedFd,
}
