//! Who a request comes from when proxies stand in front: told by `X-Forwarded-*` and `Forwarded` (RFC 7239), and
//! believed from trusted proxies alone.
//!
//! Anybody can send these headers, and a proxy appends to what it was sent. So a list is read from its end, where
//! the proxy next to us wrote: each address that is a trusted proxy's vouches for the one before it, and the first
//! that is none is the client. What stands further left was said by the client and is never looked at.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use thiserror::Error;

use super::head::RejectReason;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A text that is no address and no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkFault {
    /// Neither `ADDRESS` nor `ADDRESS/BITS`.
    #[error("`{0}` is not an address or a network like `10.1.0.0/16`")]
    Malformed(String),
    /// Bits behind the prefix are set, so that one of two things is meant.
    #[error("`{written}` has bits set behind its prefix; the network is `{network}`")]
    Host {
        /// What was written.
        written: String,
        /// The network that it lies in.
        network: Network,
    },
    /// All there are.
    #[error("`{0}` is every address there is")]
    Everything(String),
}

/// An address, or all that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Never an address of IPv4 that is mapped into IPv6.
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether the address lies in it; one of IPv4 also when it comes mapped into IPv6.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = mask_v4(self.bits);
                first.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = mask_v6(self.bits);
                first.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }

    /// How many bits are the same in all its addresses: 32 or 128 for a single one.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Its first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    fn of(address: IpAddr, bits: u8) -> Network {
        let first = match address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & mask_v4(bits)).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & mask_v6(bits)).into()),
        };
        Network { first, bits }
    }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NetworkFault;

    fn from_str(text: &str) -> Result<Network, NetworkFault> {
        let malformed = || NetworkFault::Malformed(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| malformed())?;
        let address = written.to_canonical();
        let all = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => all(address),
            Some(bits) if bits.len() > 3 || !bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(malformed());
            }
            // The prefix of a mapped address counts the bits that map it.
            Some(bits) => {
                let bits: u8 = bits.parse().map_err(|_| malformed())?;
                bits.checked_sub(all(written) - all(address)).ok_or_else(malformed)?
            }
        };
        if bits > all(address) {
            return Err(malformed());
        }
        if bits == 0 {
            return Err(NetworkFault::Everything(text.to_owned()));
        }
        let network = Network::of(address, bits);
        if network.first != address {
            return Err(NetworkFault::Host { written: text.to_owned(), network });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let single = if self.first.is_ipv4() { 32 } else { 128 };
        match self.bits == single {
            true => self.first.fmt(f),
            false => write!(f, "{}/{}", self.first, self.bits),
        }
    }
}

/// What the proxies in front of us say of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    /// Where it comes from; `None` when nothing was said, and the proxy asks for itself.
    pub(super) client: Option<IpAddr>,
    /// Whether it came over TLS; `None` when nothing was said.
    pub(super) tls: Option<bool>,
}

/// The proxies whose word is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

impl Proxies {
    /// Believes these, and nobody else.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Proxies {
        Proxies(networks)
    }

    /// Whether a connection from there is a trusted proxy's.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// What is told of a request that `from` sent; `None` when `from` is nobody to believe.
    ///
    /// # Errors
    /// [`RejectReason::Forwarded`] when a trusted proxy passed on something that names no client, or two headers
    /// name different ones: a proxy writes one of them, and the other came from the client.
    pub(super) fn told(&self, headers: &HeaderMap, from: SocketAddr) -> Result<Option<Told>, RejectReason> {
        if self.0.is_empty() || !self.trusts(from.ip()) {
            return Ok(None);
        }
        let common = Told {
            client: self.client(elements(headers, &FORWARDED_FOR), Some)?,
            tls: all_https(elements(headers, &FORWARDED_PROTO)),
        };
        let standard = Told {
            client: self.client(elements(headers, &FORWARDED), |element| parameter(element, "for"))?,
            tls: all_https(
                elements(headers, &FORWARDED).filter_map(|element| parameter(element?, "proto").map(Some)),
            ),
        };
        Ok(Some(Told {
            client: agreed(common.client, standard.client)?,
            tls: agreed(common.tls, standard.tls)?,
        }))
    }

    /// The last address of a list that is no trusted proxy's, or the first of all when every one is.
    fn client<'a>(
        &self,
        list: impl DoubleEndedIterator<Item = Option<&'a str>>,
        node: impl Fn(&'a str) -> Option<&'a str>,
    ) -> Result<Option<IpAddr>, RejectReason> {
        let mut client = None;
        for element in list.rev() {
            let address = element.and_then(&node).and_then(address).ok_or(RejectReason::Forwarded)?;
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        Ok(client)
    }
}

/// Two accounts of the same thing: either may be missing, and both must not differ.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, RejectReason> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(RejectReason::Forwarded),
        (one, other) => Ok(one.or(other)),
    }
}

/// The elements of a header that is a list, over all its lines; `None` for what is no text.
fn elements<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = Option<&'a str>> {
    // A comma within quotes would make two broken elements, and those are refused.
    headers.get_all(name).iter().flat_map(|value| {
        let text = value.to_str().ok();
        let parts = text.unwrap_or("\u{0}").split(',').map(str::trim_ascii);
        parts.map(move |part| text.map(|_| part))
    })
}

/// Whether every hop was over TLS; `None` when nothing is said of any.
fn all_https<'a>(mut list: impl Iterator<Item = Option<&'a str>>) -> Option<bool> {
    let is_https = |element: Option<&str>| element.is_some_and(|word| word.eq_ignore_ascii_case("https"));
    let first = list.next()?;
    Some(is_https(first) && list.all(is_https))
}

/// The value of a parameter of one element of `Forwarded`, without its quotes; the last one, if there are several.
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    let value = element.rsplit(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim_ascii().eq_ignore_ascii_case(wanted).then(|| value.trim_ascii())
    })?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            return port.then(|| address.parse().ok().map(IpAddr::V6))?.map(|address| address.to_canonical());
        }
        // More than one colon is an address of IPv6 without a port.
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => is_port(port).then_some(address)?,
            _ => text,
        },
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests;
