//! Addresses that can be fetched, in one spelling.

use std::fmt::{self, Debug, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::uri::PathAndQuery;
use thiserror::Error;

use crate::name::Name;

/// The longest address, in bytes. Browsers and servers agree on no more.
const URL_BYTES_MAX: usize = 2048;

/// An `http` or `https` address: a host, a port, a path and a query. The host is a name of DNS or an address written in
/// full, so that no resolver reads another address out of it than we do.
///
/// `Display` and `Debug` leave the query away: it may hold a secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    is_secure: bool,
    host: Host,
    port: u16,
    target: Box<str>,
}

/// Where an address points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Name(Name),
    Address(IpAddr),
}

/// Why a text is no address that can be fetched. It does not repeat the text, which may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlFault {
    /// Longer than anything honest.
    #[error("the address is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Something that programs read in different ways.
    #[error("the address has a character that must be written as %XX")]
    Character,
    /// Neither of the two.
    #[error("the address does not begin with https:// or http://")]
    Scheme,
    /// A user, and perhaps a password.
    #[error("the address holds a user or a password")]
    Credentials,
    /// What never reaches a server.
    #[error("the address has a fragment (`#…`), which no server would see")]
    Fragment,
    /// Neither a name nor an address in full.
    #[error(
        "the host is neither a name nor an address that is written in full, such as 192.0.2.1 or [2001:db8::1]"
    )]
    Host,
    /// No number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// [`UrlFault`].
    pub fn parse(text: &str) -> Result<Url, UrlFault> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlFault::TooLong);
        }
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(UrlFault::Character);
        }
        if text.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let (is_secure, rest) = scheme(text).ok_or(UrlFault::Scheme)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlFault::Credentials);
        }
        let (host, port) = split(authority)?;
        let port = port.map_or(Ok(own_port(is_secure)), self::port)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let target = PathAndQuery::try_from(target).map_err(|_| UrlFault::Character)?;
        Ok(Url { is_secure, host, port, target: target.as_str().into() })
    }

    /// What `pointer` means where it was found at this address: an address of its own, or another path of the same server.
    ///
    /// # Errors
    /// [`UrlFault`]; also for the relative forms of RFC 3986 that nobody needs here.
    pub fn joined(&self, pointer: &str) -> Result<Url, UrlFault> {
        if pointer.starts_with('/') && !pointer.starts_with("//") {
            return Url::parse(&format!("{}{pointer}", self.origin()));
        }
        Url::parse(pointer)
    }

    /// Whether it goes over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether it says itself that it is this machine: a loopback address, `localhost`, or a name below that.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Address(address) => address.to_canonical().is_loopback(),
            Host::Name(name) => {
                let name = name.to_string();
                name == "localhost" || name.ends_with(".localhost")
            }
        }
    }

    /// The port, the scheme's own where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Scheme, host and port, without the scheme's own port (RFC 6454).
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// The path, which begins with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("/")
    }

    /// The query, where there is one. It may hold a secret.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Path and query, as a request names them.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Host and port, as the `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        match (&self.host, self.port == own_port(self.is_secure)) {
            (Host::Name(name), true) => name.to_string(),
            (Host::Name(name), false) => format!("{name}:{}", self.port),
            (Host::Address(IpAddr::V6(address)), true) => format!("[{address}]"),
            (Host::Address(address), true) => address.to_string(),
            (Host::Address(address), false) => SocketAddr::new(*address, self.port).to_string(),
        }
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
    }
}

impl Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Whether it is `https`, and what follows.
fn scheme(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_secure = scheme.eq_ignore_ascii_case("https");
    (is_secure || scheme.eq_ignore_ascii_case("http")).then_some((is_secure, rest))
}

fn own_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

fn split(authority: &str) -> Result<(Host, Option<&str>), UrlFault> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or(UrlFault::Host)?;
        let address = address.parse::<Ipv6Addr>().map_err(|_| UrlFault::Host)?;
        let port = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(':').ok_or(UrlFault::Host)?),
        };
        return Ok((Host::Address(address.into()), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok((Host::Address(address.into()), port));
    }
    // A name never is a number, so `127.1`, `0x7f000001` and `017700000001` are nothing.
    Ok((Host::Name(Name::parse(host).map_err(|_| UrlFault::Host)?), port))
}

fn port(text: &str) -> Result<u16, UrlFault> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if port != 0 && is_number => Ok(port),
        _ => Err(UrlFault::Port),
    }
}
