//! What is told about each attempt to reach something.

use std::fmt::{self, Debug, Display};
use std::net::IpAddr;
use std::time::Duration;

use crate::address::Class;
use crate::quotas::Quota;

/// Is told of every attempt. An allowed connection is told twice: when it stands, and when it has ended.
///
/// Refusals that repeat are gathered, so that a flood of attempts is no flood of reports: the first of a kind is told at
/// once, the number of those that followed after ten minutes or when the cell ends ([`Attempt::times`]), and of the kinds
/// that are too many to be told apart only the number ([`Reason::Flood`]).
pub trait Witness: Send + Sync + Debug {
    /// Something was attempted. Called from the task that carries the cell's connections, so it must not block.
    fn attempt(&self, attempt: &Attempt);
}

/// Somebody in a cell tried to reach something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The name that was asked for, in lower case. One that is no host name stands here as the zone files of DNS spell it
    /// (RFC 1035 section 5.1): printable ASCII, at most 1,024 bytes.
    pub name: Option<String>,
    /// The address outside that was dialed or refused, or the one that the cell has dialed without a name.
    pub address: Option<IpAddr>,
    /// The port; 53 for a look-up.
    pub port: u16,
    /// How.
    pub protocol: Protocol,
    /// What became of it.
    pub verdict: Verdict,
    /// For how many equal attempts this stands. The first of a kind stands for itself alone.
    pub times: u64,
}

/// By which protocol something was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A look-up in DNS. Only refused ones are told; an allowed one reaches nobody.
    Lookup,
    /// A TCP connection.
    Tcp,
    /// A datagram.
    Udp,
}

impl Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Lookup => "lookup",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The connection stands.
    Allowed,
    /// A connection that was allowed has ended.
    Ended(Traffic),
    /// Nothing was reached.
    Refused(Reason),
}

/// What an allowed connection has carried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// Bytes that the cell sent.
    pub bytes_out: u64,
    /// Bytes that the cell received.
    pub bytes_in: u64,
    /// How long it stood.
    pub duration: Duration,
    /// Why it ended.
    pub end: End,
}

/// Why an allowed connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum End {
    /// Both sides had said everything.
    Closed,
    /// One side, or the network between, broke it.
    Broken,
    /// The cell ended first.
    Stopped,
    /// It was cut off.
    Cut(Reason),
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No grant names it.
    NotGranted,
    /// It is granted with other ports.
    PortNotGranted,
    /// All that the name stands for are addresses that a grant has to name as what they are; the first is of this class.
    Address(Class),
    /// A TLS handshake asks for another server than the one that was dialed.
    ServerNameDiffers {
        /// The one it asks for, as [`Attempt::name`] is written.
        asked: String,
    },
    /// A TLS handshake does not say which server it asks for.
    ServerNameMissing,
    /// A TLS handshake hides which server it asks for (Encrypted Client Hello, RFC 9849).
    ServerNameEncrypted,
    /// What began as a TLS handshake is none, is larger than any honest one, or did not come in time.
    Handshake,
    /// It would have been too much.
    Quota(Quota),
    /// The name stands for nothing, or nobody could be asked.
    Unresolved,
    /// Nothing answered there.
    Unreachable,
    /// Datagrams are not carried.
    Datagram,
    /// Too many different things were refused within a short time; these ones were only counted.
    Flood,
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NotGranted => f.write_str("no grant names it"),
            Reason::PortNotGranted => f.write_str("it is granted with other ports"),
            Reason::Address(class) => write!(f, "the name stands for {class}"),
            Reason::ServerNameDiffers { asked } => {
                write!(f, "the TLS handshake asks for another server, {asked}")
            }
            Reason::ServerNameMissing => f.write_str("the TLS handshake names no server"),
            Reason::ServerNameEncrypted => f.write_str("the TLS handshake hides the name of the server"),
            Reason::Handshake => f.write_str("what began as a TLS handshake is none"),
            Reason::Quota(quota) => write!(f, "over the quota: {quota}"),
            Reason::Unresolved => f.write_str("the name stands for no address"),
            Reason::Unreachable => f.write_str("nothing answered there"),
            Reason::Datagram => f.write_str("datagrams are not carried"),
            Reason::Flood => f.write_str("too many different attempts to tell them apart"),
        }
    }
}
