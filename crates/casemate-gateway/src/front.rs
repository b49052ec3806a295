//! Where this gateway is reached from outside: its public address, and the proxies in front of it.

use std::fmt;

use http::Uri;
use thiserror::Error;

pub use casemate_transport::http::tls::{ClientFiles, Demand, TlsFiles};
pub use casemate_transport::http::{Network, NetworkFault};

use crate::endpoint::Endpoint;

/// The address at which clients reach us, `https://mcp.example.com`: a scheme, a host in lower case, and a port
/// where it is not the scheme's own. It names us in metadata and in the audience of tokens, where every character
/// counts, so there is one spelling of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: Box<str>,
    scheme: Scheme,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Why a text is no public address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublicUrlFault {
    /// Not even an address.
    #[error("it is not an http or https address")]
    Malformed,
    /// Endpoints are paths of their own.
    #[error("it has a path, a query or a fragment, and is only the beginning of the endpoints' addresses")]
    Path,
    /// A user in an address is a credential.
    #[error("it has a user in it")]
    User,
    /// Keys would be readable on their way.
    #[error("it is an http address that other machines reach, so keys could be read on their way")]
    Plaintext,
}

impl PublicUrl {
    /// Reads `https://HOST` or `https://HOST:PORT`; a final slash is not part of it. `http` only for a host that is
    /// this machine.
    ///
    /// # Errors
    /// [`PublicUrlFault`].
    pub fn parse(text: &str) -> Result<PublicUrl, PublicUrlFault> {
        if text.contains('#') {
            return Err(PublicUrlFault::Path);
        }
        let uri: Uri = text.parse().map_err(|_| PublicUrlFault::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            _ => return Err(PublicUrlFault::Malformed),
        };
        let authority = uri.authority().ok_or(PublicUrlFault::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(PublicUrlFault::User);
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(PublicUrlFault::Path);
        }
        let host = authority.host().to_ascii_lowercase();
        if !is_host(&host) || authority.as_str().ends_with(':') {
            return Err(PublicUrlFault::Malformed);
        }
        if scheme == Scheme::Http && !is_local(&host) {
            return Err(PublicUrlFault::Plaintext);
        }
        let port = authority.port_u16().filter(|port| *port != scheme.port());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(PublicUrl { text: format!("{}://{host}{port}", scheme.as_str()).into(), scheme })
    }

    /// The address, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address of an endpoint: what a token for it has as its audience (RFC 8707).
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> String {
        format!("{}{endpoint}", self.text)
    }

    /// The host, and its port where the address has one.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, authority)| authority)
    }

    /// The host alone; an address of IPv6 without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => authority.split_once(':').map_or(authority, |(host, _)| host),
        }
    }

    /// What a client can send as `Host`: browsers leave the scheme's own port out, other programs need not.
    #[must_use]
    pub fn hosts(&self) -> [String; 2] {
        let authority = self.authority();
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let with_port =
            if has_port { authority.to_owned() } else { format!("{authority}:{}", self.scheme.port()) };
        [authority.to_owned(), with_port]
    }

    /// Whether clients speak TLS, with us or with the proxy in front.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Whether it is a host as the `Host` rule reads one: a name without a final dot, or an address.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !host.is_empty() && host.bytes().all(legal) && !host.starts_with('.') && !host.ends_with('.')
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_spelling() {
        let table = [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("https://MCP.Example.com/", "https://mcp.example.com"),
            ("HTTPS://mcp.example.com:443", "https://mcp.example.com"),
            ("https://mcp.example.com:8443", "https://mcp.example.com:8443"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
            ("https://192.0.2.1", "https://192.0.2.1"),
            ("http://localhost:7332", "http://localhost:7332"),
            ("http://[::1]:80/", "http://[::1]"),
        ];
        for (written, url) in table {
            assert_eq!(PublicUrl::parse(written).expect(written).as_str(), url);
        }
        let url = PublicUrl::parse("https://mcp.example.com").unwrap();
        assert_eq!(url.of(&Endpoint::Joined), "https://mcp.example.com/mcp");
    }

    #[test]
    fn what_is_no_beginning_of_an_address_is_refused() {
        use PublicUrlFault::{Malformed, Path, Plaintext, User};
        let table = [
            ("", Malformed),
            ("mcp.example.com", Malformed),
            ("ftp://mcp.example.com", Malformed),
            ("https://", Malformed),
            ("https://mcp.example.com.", Malformed),
            ("https://mcp.example.com:", Malformed),
            ("https://[::1", Malformed),
            ("https://*.example.com", Malformed),
            ("https://mcp.example.com/mcp", Path),
            ("https://mcp.example.com/?a", Path),
            ("https://mcp.example.com/#a", Path),
            ("https://user@mcp.example.com", User),
            ("http://mcp.example.com", Plaintext),
            ("http://127.0.0.1.example.com", Plaintext),
            ("http://10.0.0.1", Plaintext),
        ];
        for (written, fault) in table {
            assert_eq!(PublicUrl::parse(written), Err(fault), "{written}");
        }
    }

    #[test]
    fn its_host_is_sent_with_and_without_its_own_port() {
        let hosts = |url| PublicUrl::parse(url).unwrap().hosts();
        assert_eq!(hosts("https://a.example"), ["a.example", "a.example:443"]);
        assert_eq!(hosts("https://a.example:8443"), ["a.example:8443", "a.example:8443"]);
        assert_eq!(hosts("https://[2001:db8::1]"), ["[2001:db8::1]", "[2001:db8::1]:443"]);
        assert_eq!(hosts("https://[2001:db8::1]:1"), ["[2001:db8::1]:1", "[2001:db8::1]:1"]);
    }
}
