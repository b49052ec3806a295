//! Addresses of hosts that are allowed. What two programs could read differently is refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts that may be named, and how they are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    schemes: Vec<Box<str>>,
    hosts: Vec<Allowed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    host: Pattern,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Host(Host),
    /// Everything below a name, `.example.com`.
    Below(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(Box<str>),
    Address(IpAddr),
}

/// Why something is no host to allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFault(&'static str);

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Hosts {
    /// These hosts (`example.com`, `*.example.com`, `192.0.2.1:8080`, `[2001:db8::1]`) by these schemes.
    ///
    /// # Errors
    /// The first that is none, and why.
    pub fn new<S: AsRef<str>>(hosts: &[S], schemes: &[S]) -> Result<Hosts, (String, HostFault)> {
        let allowed = hosts.iter().map(|host| {
            Allowed::parse(host.as_ref()).map_err(|why| (host.as_ref().to_owned(), HostFault(why)))
        });
        let schemes = schemes.iter().map(|scheme| scheme.as_ref().to_ascii_lowercase().into());
        Ok(Hosts { hosts: allowed.collect::<Result<_, _>>()?, schemes: schemes.collect() })
    }

    pub(super) fn judge(&self, text: &str) -> Result<(), String> {
        let address = Address::parse(text)?;
        if !self.schemes.iter().any(|scheme| **scheme == *address.scheme) {
            return Err(format!("its scheme is none of {}", self.schemes.join(", ")));
        }
        let usual = match &*address.scheme {
            "https" | "wss" => Some(443),
            "http" | "ws" => Some(80),
            "ftp" => Some(21),
            _ => None,
        };
        let port = address.port.or(usual);
        let fits = |allowed: &Allowed| allowed.port.or(usual) == port && allowed.host.fits(&address.host);
        if self.hosts.iter().any(fits) { Ok(()) } else { Err("its host is none that is allowed".to_owned()) }
    }
}

impl Allowed {
    fn parse(text: &str) -> Result<Allowed, &'static str> {
        let (host, port) = split(text)?;
        let host = match host.strip_prefix("*.") {
            None => Pattern::Host(Host::parse(host)?),
            Some(name) => match Host::parse(name)? {
                Host::Name(name) => Pattern::Below(format!(".{name}").into()),
                Host::Address(_) => return Err("there is nothing below an address"),
            },
        };
        Ok(Allowed { host, port })
    }
}

impl Pattern {
    fn fits(&self, host: &Host) -> bool {
        match (self, host) {
            (Pattern::Host(allowed), host) => allowed == host,
            (Pattern::Below(end), Host::Name(name)) => name.len() > end.len() && name.ends_with(&**end),
            (Pattern::Below(_), Host::Address(_)) => false,
        }
    }
}

/// An absolute address that every program reads alike, up to its path.
struct Address {
    scheme: Box<str>,
    host: Host,
    port: Option<u16>,
}

impl Address {
    fn parse(text: &str) -> Result<Address, &'static str> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("it has spaces, control characters or backslashes");
        }
        let (scheme, rest) = text.split_once("://").ok_or("it is no absolute address, `scheme://host/`")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(legal) {
            return Err("it has no scheme");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("it has a user in it, behind which another host can hide");
        }
        let (host, port) = split(authority)?;
        Ok(Address { scheme: scheme.to_ascii_lowercase().into(), host: Host::parse(host)?, port })
    }
}

/// Host and port.
fn split(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end =
        if authority.starts_with('[') { authority.find(']').map(|at| at + 1) } else { authority.find(':') };
    let (host, rest) = authority.split_at(end.unwrap_or(authority.len()));
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => return Ok((host, None)),
        None => return Err("its host cannot be read"),
        Some(port) => port,
    };
    let number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| number).ok_or("its port is no number")?;
    Ok((host, Some(port)))
}

impl Host {
    fn parse(text: &str) -> Result<Host, &'static str> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or("its host cannot be read")?;
            let address: Ipv6Addr = inner.parse().map_err(|_| "its host is no address of IPv6")?;
            return Ok(Host::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_name = !name.is_empty()
            && name.len() <= 253
            && name
                .split('.')
                .all(|label| !label.is_empty() && label.len() <= 63 && label.chars().all(legal));
        if !is_name {
            return Err("its host is no name in plain letters (`xn--…` for others)");
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        // By the rules of browsers, what ends in a number is an address, in whatever notation.
        if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
            return number(&name)
                .map(|address| Host::Address(address.into()))
                .ok_or("its host is a malformed address");
        }
        Ok(Host::Name(name.into()))
    }
}

/// An IPv4 address of one to four numbers, each decimal, octal or hexadecimal; the last fills what is left.
fn number(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u64> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, rest) = parts.split_last()?;
    if parts.len() > 4
        || rest.iter().any(|part| *part > 255)
        || *last >= 256_u64.pow(5 - u32::try_from(parts.len()).ok()?)
    {
        return None;
    }
    let mut address = *last;
    for (at, part) in rest.iter().enumerate() {
        address += part << (8 * (3 - at));
    }
    Some(Ipv4Addr::from(u32::try_from(address).ok()?))
}

fn part(text: &str) -> Option<u64> {
    let (digits, radix) = match text {
        _ if text.starts_with("0x") => (text.get(2..)?, 16),
        _ if text.len() > 1 && text.starts_with('0') => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, radix).ok() }
}
