//! Which names this gateway answers to (`Host`) and which web pages may call it (`Origin`).
//!
//! Both rules stand against DNS rebinding: a page from the internet makes the browser call a local address, and
//! only these two headers betray it.

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// A configured host or origin that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleFault {
    /// Not `NAME`, `NAME:PORT`, `ADDRESS`, `ADDRESS:PORT` or `[IPV6]:PORT`.
    #[error("`{0}` is not a host name or address with an optional port")]
    Host(String),
    /// Not `SCHEME://HOST`, `SCHEME://HOST:PORT` or `SCHEME://HOST:*`.
    #[error("`{0}` is not an origin like `https://app.example` or `http://localhost:*`")]
    Origin(String),
}

/// The allow-list for `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    allowed: Vec<Authority>,
}

impl Default for HostRule {
    /// `localhost`, `127.0.0.1` and `[::1]`, each with any port.
    fn default() -> Self {
        let allowed = local_hosts().map(|host| Authority { host, port: PortRule::Any }).collect();
        Self { allowed }
    }
}

impl HostRule {
    /// The default rule and further hosts; one without a port is allowed with any port.
    ///
    /// # Errors
    /// [`RuleFault::Host`] for the first entry that is not a host.
    pub fn with<'a>(further: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleFault> {
        let mut rule = Self::default();
        for text in further {
            let (host, port) = split(text).ok_or_else(|| RuleFault::Host(text.to_owned()))?;
            let port = port.map_or(PortRule::Any, |port| PortRule::Exactly(Some(port)));
            rule.allowed.push(Authority { host: host.to_owned(), port });
        }
        Ok(rule)
    }

    /// The same rule and one more host, which is allowed with exactly the port that it names, or with none.
    ///
    /// # Errors
    /// [`RuleFault::Host`] when it is no host.
    pub fn and_exactly(mut self, text: &str) -> Result<Self, RuleFault> {
        let (host, port) = split(text).ok_or_else(|| RuleFault::Host(text.to_owned()))?;
        self.allowed.push(Authority { host: host.to_owned(), port: PortRule::Exactly(port) });
        Ok(self)
    }

    /// Judges the value of a `Host` header.
    pub(super) fn judge(&self, value: &str) -> HostVerdict {
        let Some((host, port)) = split(value) else { return HostVerdict::Malformed };
        if self.allowed.iter().any(|allowed| allowed.admits(host, port)) {
            HostVerdict::Known
        } else {
            HostVerdict::Unknown
        }
    }
}

/// What the rule says about a `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostVerdict {
    Known,
    Unknown,
    Malformed,
}

/// One allowed origin of web pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Box<str>,
    authority: Authority,
}

impl Origin {
    /// Understands `SCHEME://HOST`, `SCHEME://HOST:PORT` and `SCHEME://HOST:*`. Without a port the scheme's own
    /// one is meant.
    ///
    /// # Errors
    /// [`RuleFault::Origin`].
    pub fn parse(text: &str) -> Result<Self, RuleFault> {
        let fault = || RuleFault::Origin(text.to_owned());
        let (seen, any) = match text.strip_suffix(":*") {
            Some(seen) => (seen, true),
            None => (text, false),
        };
        let page = Page::parse(seen).ok_or_else(fault)?;
        let port = if any { PortRule::Any } else { PortRule::Exactly(page.port) };
        let authority = Authority { host: page.host.to_owned(), port };
        Ok(Self { scheme: page.scheme.to_ascii_lowercase().into(), authority })
    }

    /// The pages of this machine: `http://localhost`, `http://127.0.0.1` and `http://[::1]`, each with any port.
    #[must_use]
    pub fn local() -> Vec<Self> {
        let origin =
            |host| Self { scheme: "http".into(), authority: Authority { host, port: PortRule::Any } };
        local_hosts().map(origin).collect()
    }

    /// Whether the value of an `Origin` header is in the list. `null` never is.
    pub(super) fn admitted(list: &[Self], value: &str) -> bool {
        let Some(page) = Page::parse(value) else { return false };
        list.iter().any(|origin| {
            origin.scheme.eq_ignore_ascii_case(page.scheme) && origin.authority.admits(page.host, page.port)
        })
    }
}

/// A host and the ports it is allowed with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: PortRule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortRule {
    Any,
    Exactly(Option<u16>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(Box<str>),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// A host as it stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostRef<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Authority {
    fn admits(&self, host: HostRef<'_>, port: Option<u16>) -> bool {
        let same_host = match (&self.host, host) {
            (Host::Name(allowed), HostRef::Name(name)) => allowed.eq_ignore_ascii_case(name),
            (Host::V4(allowed), HostRef::V4(address)) => *allowed == address,
            (Host::V6(allowed), HostRef::V6(address)) => *allowed == address,
            _ => false,
        };
        same_host
            && match self.port {
                PortRule::Any => true,
                PortRule::Exactly(allowed) => allowed == port,
            }
    }
}

impl HostRef<'_> {
    fn to_owned(self) -> Host {
        match self {
            Self::Name(name) => Host::Name(name.to_ascii_lowercase().into()),
            Self::V4(address) => Host::V4(address),
            Self::V6(address) => Host::V6(address),
        }
    }
}

/// An origin as a browser sends it, with the scheme's port when it named none.
struct Page<'a> {
    scheme: &'a str,
    host: HostRef<'a>,
    port: Option<u16>,
}

impl<'a> Page<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(legal) {
            return None;
        }
        let (host, port) = split(authority)?;
        let port = port.or_else(|| {
            [("http", 80), ("https", 443)]
                .into_iter()
                .find_map(|(known, port)| known.eq_ignore_ascii_case(scheme).then_some(port))
        });
        Some(Self { scheme, host, port })
    }
}

fn local_hosts() -> impl Iterator<Item = Host> {
    [Host::Name("localhost".into()), Host::V4(Ipv4Addr::LOCALHOST), Host::V6(Ipv6Addr::LOCALHOST)].into_iter()
}

/// Splits `HOST[:PORT]`. Strict: no user part, no empty port, no final dot, no number that only some programs
/// read as an address (`127.1` is a name here, and not on any list).
fn split(text: &str) -> Option<(HostRef<'_>, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return Some((HostRef::V6(address.parse().ok()?), port_of(rest)?));
    }
    let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
    let port = port_of(rest)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if name.is_empty() || name.starts_with('.') || name.ends_with('.') || !name.bytes().all(legal) {
        return None;
    }
    let host = name.parse().map_or(HostRef::Name(name), HostRef::V4);
    Some((host, port))
}

/// Reads what follows a host: nothing, or `:PORT`.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether the text is legal, the inner one whether it names a port"
)]
fn port_of(rest: &str) -> Option<Option<u16>> {
    if rest.is_empty() {
        return Some(None);
    }
    let digits = rest.strip_prefix(':')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Some)
}

#[cfg(test)]
mod tests;
