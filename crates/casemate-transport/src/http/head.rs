//! The head of a request: read once, with everything that could be read in two ways refused.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use hyper::upgrade::OnUpgrade;
use thiserror::Error;

use super::cors;
use super::rules::{HostVerdict, Origin};
use super::shell::{Plaintext, Shell};
use super::tls::ClientCertificate;
use crate::listener::Peer;

/// The revision that a message follows: `MCP-Protocol-Version`.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method of a modern request: `Mcp-Method`.
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// The tool, prompt, URI or task of a modern request: `Mcp-Name`.
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
/// The session of a legacy request: `Mcp-Session-Id`.
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The last event that a legacy client saw of a stream: `Last-Event-ID`.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What the names of `Mcp-Param-*` headers begin with.
pub(super) const PARAM_PREFIX: &str = "mcp-param-";

/// A request whose head passed the shell. Guarded headers (`Authorization`, `Host`, `Origin`, `Content-Type`,
/// `Last-Event-ID`, `Mcp-*`) occur at most once each and are visible ASCII.
#[derive(Debug, Clone)]
pub struct Head {
    /// Who sent it: behind a trusted proxy, the proxy's client.
    pub peer: Peer,
    /// How it came.
    pub channel: Channel,
    /// The certificate that its sender showed to us; never one that a proxy speaks of.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Its method.
    pub method: Method,
    /// Its target, without scheme and authority.
    pub uri: Uri,
    /// Its headers, as they came.
    pub headers: HeaderMap,
    /// It asks for another protocol and came in a version of HTTP that allows the connection to be given to one.
    pub can_switch: bool,
}

/// The connection that requests come on.
#[derive(Debug, Clone)]
pub struct Link {
    /// Who sits at its other end.
    pub peer: Peer,
    /// Whether others can read it.
    pub channel: Channel,
    /// The certificate that was shown on it.
    pub certificate: Option<Arc<ClientCertificate>>,
}

impl Link {
    /// One without TLS.
    #[must_use]
    pub fn plain(peer: Peer) -> Link {
        Link { peer, channel: Channel::Plain, certificate: None }
    }
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Readable to whoever sits on the wire, as far as we know.
    Plain,
    /// Over TLS that ends here.
    Tls,
    /// Over TLS that ended at a trusted proxy, by the proxy's word.
    ProxyTls,
}

impl Channel {
    /// Whether the client spoke TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        match self {
            Channel::Plain => false,
            Channel::Tls | Channel::ProxyTls => true,
        }
    }
}

/// A request that the shell refused, and from whom it came.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Reject {
    /// Who sent it.
    pub peer: Peer,
    /// What is wrong with it.
    pub reason: RejectReason,
}

/// Why the shell refused a request. The texts are fit for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RejectReason {
    /// HTTP/1.1 requires `Host`.
    #[error("the Host header is missing")]
    HostMissing,
    /// `Host` is not a host with an optional port.
    #[error("the Host header is malformed")]
    HostMalformed,
    /// `Host` names another site: DNS rebinding, or a name that has to be configured.
    #[error("the Host header names a host that this server does not answer to")]
    HostUnknown,
    /// The request comes from a web page that may not call this server.
    #[error("the Origin header names an origin that may not call this server")]
    OriginRefused,
    /// A guarded header occurs more than once.
    #[error("the header `{0}` occurs more than once")]
    Duplicate(HeaderName),
    /// A guarded header holds bytes other than visible ASCII.
    #[error("the header `{0}` holds characters that are not allowed")]
    Unreadable(HeaderName),
    /// A browser says that another site's page made the request.
    #[error("the request comes from a page of another site")]
    CrossSite,
    /// A trusted proxy passed on something that names no client, or two different ones.
    #[error("the headers that name the client in front of the proxy cannot be understood")]
    Forwarded,
    /// The request was readable on its way, and this server is reached over HTTPS.
    #[error("this server is reached over HTTPS alone")]
    Plaintext,
    /// The request target is not a path: a proxy request, `CONNECT` or `OPTIONS *`.
    #[error("the request target is not a path")]
    Target,
}

impl RejectReason {
    /// A short name of it, for records.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::HostMissing => "no host",
            Self::HostMalformed => "malformed host",
            Self::HostUnknown => "unknown host",
            Self::OriginRefused => "foreign origin",
            Self::Duplicate(_) => "doubled header",
            Self::Unreadable(_) => "unreadable header",
            Self::CrossSite => "cross-site",
            Self::Forwarded => "unclear forwarding",
            Self::Plaintext => "plaintext",
            Self::Target => "target",
        }
    }

    /// The status to answer with: 403 for a forbidden host or origin, otherwise 400.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::HostUnknown | Self::OriginRefused | Self::CrossSite | Self::Plaintext => {
                StatusCode::FORBIDDEN
            }
            Self::HostMissing
            | Self::HostMalformed
            | Self::Duplicate(_)
            | Self::Unreadable(_)
            | Self::Forwarded
            | Self::Target => StatusCode::BAD_REQUEST,
        }
    }
}

impl Head {
    /// Checks a request's head against the shell.
    ///
    /// # Errors
    /// [`Reject`] with the first thing that is wrong.
    pub fn check(parts: request::Parts, link: &Link, shell: &Shell) -> Result<Self, Reject> {
        let mut head = Self {
            peer: link.peer,
            channel: link.channel,
            certificate: link.certificate.clone(),
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            can_switch: parts.extensions.get::<OnUpgrade>().is_some(),
        };
        let understood = head.look_behind_proxy(shell);
        match understood.err().or_else(|| head.fault(shell)) {
            None => Ok(head),
            Some(reason) => Err(Reject { peer: head.peer, reason }),
        }
    }

    /// Replaces a trusted proxy by the client that it stands for.
    fn look_behind_proxy(&mut self, shell: &Shell) -> Result<(), RejectReason> {
        let Peer::Tcp(proxy) = self.peer else { return Ok(()) };
        let Some(told) = shell.proxies.told(&self.headers, proxy)? else {
            // Without a proxy in between, what another machine sends in plaintext is readable on its way.
            let exposed = !self.channel.is_tls() && !proxy.ip().to_canonical().is_loopback();
            return if exposed { refuse_plaintext(shell) } else { Ok(()) };
        };
        if let Some(client) = told.client {
            self.peer = Peer::Forwarded { client, proxy };
            // It is the proxy's own, and says nothing of the client.
            self.certificate = None;
        }
        match told.tls {
            Some(true) => self.channel = Channel::ProxyTls,
            Some(false) => return refuse_plaintext(shell),
            // How its client came has to be said.
            None if told.client.is_some() => return refuse_plaintext(shell),
            // The proxy asks for itself, to see whether we are there.
            None => {}
        }
        Ok(())
    }

    fn fault(&self, shell: &Shell) -> Option<RejectReason> {
        if self.uri.authority().is_some() || !self.uri.path().starts_with('/') {
            return Some(RejectReason::Target);
        }
        guarded_fault(&self.headers).or_else(|| match self.peer {
            Peer::Tcp(_) | Peer::Forwarded { .. } => self.site_fault(shell),
            // No browser can reach a Unix socket, so a page's origin there is an attempt at something.
            Peer::Unix { .. } => self.headers.contains_key(ORIGIN).then_some(RejectReason::OriginRefused),
        })
    }

    /// Checks `Host` and `Origin`.
    fn site_fault(&self, shell: &Shell) -> Option<RejectReason> {
        let Some(host) = self.text(&HOST) else { return Some(RejectReason::HostMissing) };
        match shell.hosts.judge(host) {
            HostVerdict::Malformed => return Some(RejectReason::HostMalformed),
            HostVerdict::Unknown => return Some(RejectReason::HostUnknown),
            HostVerdict::Known => {}
        }
        if cors::is_foreign(&self.headers) && !self.is_arrival(shell) {
            return Some(RejectReason::CrossSite);
        }
        let origin = self.text(&ORIGIN)?;
        if Origin::admitted(&shell.origins, origin) { None } else { Some(RejectReason::OriginRefused) }
    }

    /// Whether a person arrives where people may, from wherever they come.
    fn is_arrival(&self, shell: &Shell) -> bool {
        shell.landings.contains(&self.path()) && self.method == Method::GET && cors::is_visit(&self.headers)
    }

    /// The path, which begins with `/` and is not decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// What follows `?`, not decoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The credential of `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, credential) = self.text(&AUTHORIZATION)?.split_once(' ')?;
        let credential = credential.trim_matches(' ');
        (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
    }

    /// `MCP-Protocol-Version`.
    #[must_use]
    pub fn protocol_version(&self) -> Option<&str> {
        self.text(&PROTOCOL_VERSION)
    }

    /// `Mcp-Method`.
    #[must_use]
    pub fn mcp_method(&self) -> Option<&str> {
        self.text(&MCP_METHOD)
    }

    /// `Mcp-Name`, decoded.
    #[must_use]
    pub fn mcp_name(&self) -> Option<Result<Cow<'_, str>, casemate_mcp::header::HeaderFault>> {
        self.text(&MCP_NAME).map(casemate_mcp::header::decode_value)
    }

    /// The `Mcp-Param-*` headers: what follows the prefix, in lower case, and the value, not decoded
    /// (`casemate_mcp::header::decode_value` does that).
    pub fn mcp_params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().filter_map(|(name, value)| {
            Some((name.as_str().strip_prefix(PARAM_PREFIX)?, value.to_str().ok()?))
        })
    }

    /// `Mcp-Session-Id`.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.text(&SESSION_ID)
    }

    /// `Last-Event-ID`.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.text(&LAST_EVENT_ID)
    }

    /// `Origin`, which passed the rule.
    #[must_use]
    pub fn origin(&self) -> Option<&HeaderValue> {
        self.headers.get(ORIGIN)
    }

    /// Whether `Accept` lists JSON. No `Accept` header means that anything is accepted.
    #[must_use]
    pub fn accepts_json(&self) -> bool {
        self.accepts("application", "json")
    }

    /// Whether `Accept` lists event streams. No `Accept` header means that anything is accepted.
    #[must_use]
    pub fn accepts_events(&self) -> bool {
        self.accepts("text", "event-stream")
    }

    /// Whether the body claims to be JSON (`application/json`, with any parameters).
    #[must_use]
    pub fn content_type_is_json(&self) -> bool {
        self.text(&CONTENT_TYPE).is_some_and(|value| essence(value).eq_ignore_ascii_case("application/json"))
    }

    fn accepts(&self, kind: &str, subkind: &str) -> bool {
        let mut ranges = self
            .headers
            .get_all(ACCEPT)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .peekable();
        ranges.peek().is_none() || ranges.any(|range| covers(range, kind, subkind))
    }

    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn refuse_plaintext(shell: &Shell) -> Result<(), RejectReason> {
    match shell.plaintext {
        Plaintext::Answered => Ok(()),
        Plaintext::Refused => Err(RejectReason::Plaintext),
    }
}

/// The first guarded header that two readers could read differently.
fn guarded_fault(headers: &HeaderMap) -> Option<RejectReason> {
    for (name, value) in headers {
        if guarded(name) && value.to_str().is_err() {
            return Some(RejectReason::Unreadable(name.clone()));
        }
    }
    if headers.len() == headers.keys_len() {
        return None;
    }
    let twice = |name: &&HeaderName| guarded(name) && headers.get_all(*name).iter().nth(1).is_some();
    headers.keys().find(twice).cloned().map(RejectReason::Duplicate)
}

/// Whether a decision may hang on this header.
fn guarded(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "authorization" | "host" | "origin" | "content-type" | "last-event-id" | "sec-fetch-site")
        || name.starts_with("mcp-")
}

/// A media type without its parameters.
pub(super) fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim_ascii()
}

/// Whether one range of an `Accept` header covers a media type.
fn covers(range: &str, kind: &str, subkind: &str) -> bool {
    let Some((range_kind, range_subkind)) = essence(range).split_once('/') else { return false };
    let refused = range.split(';').skip(1).any(|parameter| {
        let weight =
            parameter.trim_ascii().strip_prefix("q=").map(|weight| weight.trim_end_matches(['0', '.']));
        weight == Some("")
    });
    let kind_fits = range_kind == "*" || range_kind.eq_ignore_ascii_case(kind);
    let subkind_fits = range_subkind == "*" || range_subkind.eq_ignore_ascii_case(subkind);
    !refused && kind_fits && subkind_fits
}

#[cfg(test)]
mod tests;
