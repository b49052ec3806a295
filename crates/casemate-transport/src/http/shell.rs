//! The outer shell of an HTTP server: what is checked and bounded before anyone looks at a request's meaning.

use std::time::Duration;

use super::forwarded::Proxies;
use super::rules::{HostRule, Origin};

/// What a request must look like before it is shown to the service. Swapped as a whole when the configuration
/// changes; requests see the new one at once, limits apply to connections made afterwards.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The names this server answers to.
    pub hosts: HostRule,
    /// The web pages that may call it.
    pub origins: Vec<Origin>,
    /// The web pages that may also read its answers (CORS).
    pub pages: Vec<Origin>,
    /// Paths where a person's browser may arrive from another site, by a link or a redirect.
    pub landings: &'static [&'static str],
    /// Who is believed about where a request comes from.
    pub proxies: Proxies,
    /// What happens to a request that others could read on its way.
    pub plaintext: Plaintext,
    /// Bounds on connections and heads.
    pub limits: HttpLimits,
}

impl Default for Shell {
    /// Local names, local pages, default limits.
    fn default() -> Self {
        Self {
            hosts: HostRule::default(),
            origins: Origin::local(),
            pages: Vec::new(),
            landings: &[],
            proxies: Proxies::default(),
            plaintext: Plaintext::Answered,
            limits: HttpLimits::default(),
        }
    }
}

/// What happens to a request that came without TLS from another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// It is answered.
    Answered,
    /// It is refused: this server is reached over HTTPS, and whoever comes without it has gone around its proxy.
    Refused,
}

/// Bounds on connections and heads of requests. Bodies are bounded by whoever reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections at a time, over all listeners that share the server. Default 4,096: some 100 MiB at worst
    /// while idle, and far more clients than one gateway serves.
    pub connections_max: usize,
    /// Connections at a time from one IPv4 address or IPv6 /64 network; Unix sockets are not counted. Default
    /// 1,024: all local clients share one address, and a stranger still cannot take every place.
    pub connections_per_address_max: usize,
    /// Bytes of request line and headers together. Default 32 KiB: large tokens fit.
    pub header_bytes_max: usize,
    /// Headers of one request. Default 100, which is also the fastest: others take a heap allocation each time.
    pub header_count_max: usize,
    /// From the first byte of a request to the end of its headers, and from connecting to the first request.
    /// Default 10 s: cuts those who send headers byte by byte.
    pub head_time_max: Duration,
    /// Without a request, or without a byte of an answer being taken. Default 75 s: longer than the pools of
    /// common clients and load balancers keep a connection.
    pub idle_time_max: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 1_024,
            header_bytes_max: 32 * 1024,
            header_count_max: 100,
            head_time_max: Duration::from_secs(10),
            idle_time_max: Duration::from_secs(75),
        }
    }
}
