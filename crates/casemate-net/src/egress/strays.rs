//! What a cell sends to where nobody listens. It goes nowhere; it is only recorded.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use tokio::net::UdpSocket;

use super::gate::Gate;
use crate::attempt::{Protocol, Reason, Verdict};

/// The longest headers: those of IPv4 with all options, and the ports behind them.
const HEADERS_BYTES_MAX: usize = 60 + 4;

/// Records each kind of stray packet that a raw socket sees. It is read from as if it were one of UDP, which makes no
/// difference where nothing but packets is asked for.
pub(super) async fn record(gate: Arc<Gate>, socket: UdpSocket) {
    let mut packet = [0; HEADERS_BYTES_MAX];
    loop {
        gate.pace.step().await;
        let received = socket.recv(&mut packet).await;
        let stray = received.ok().and_then(|length| packet.get(..length)).and_then(Stray::read);
        if let Some(stray) = stray {
            gate.stray(stray);
        }
    }
}

/// What a stray packet tells that the cell has tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stray {
    protocol: Protocol,
    dialed: SocketAddrV4,
}

impl Stray {
    /// Reads the headers of an IPv4 packet (RFC 791 section 3.1, RFC 768, RFC 9293 section 3.1).
    fn read(packet: &[u8]) -> Option<Stray> {
        let (header, _) = packet.split_first_chunk::<20>()?;
        let [first, _, _, _, _, _, fragment_high, fragment_low, _, protocol, _, _, addresses @ ..] = *header;
        let is_later_fragment = u16::from_be_bytes([fragment_high, fragment_low]) & 0x1fff != 0;
        if first >> 4 != 4 || is_later_fragment {
            return None;
        }
        let header_bytes = usize::from(first & 0xf) * 4;
        let (ports, _) = packet.get(header_bytes..)?.split_first_chunk::<4>()?;
        let [a, b, c, d, e, f, g, h] = addresses;
        let [from_high, from_low, to_high, to_low] = *ports;
        let from = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([from_high, from_low]));
        let to = SocketAddrV4::new(Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([to_high, to_low]));
        match protocol {
            // The kernel's refusal, so it comes from where the cell has dialed.
            6 => Some(Stray { protocol: Protocol::Tcp, dialed: from }),
            17 => Some(Stray { protocol: Protocol::Udp, dialed: to }),
            _ => None,
        }
    }
}

impl Gate {
    fn stray(&self, stray: Stray) {
        let call = self.call(stray.dialed.into());
        let reason = match stray.protocol {
            Protocol::Udp | Protocol::Lookup => Reason::Datagram,
            Protocol::Tcp => match self.target(&call) {
                Err(reason) => reason,
                // It would have been taken over; so the cell is about to end, and its listeners are closed.
                Ok(_) => return,
            },
        };
        self.notes.refused(call.attempt(stray.protocol, Verdict::Refused(reason)));
    }
}

#[cfg(test)]
mod tests;
