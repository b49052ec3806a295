//! How much of the network one cell may use.

use std::fmt::{self, Display};
use std::time::Duration;

/// How much of the network one cell may use. Whatever exceeds it is cut off with a reset, and is a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Connections that may be open at once. Default 64: browsers keep to six for each host, package clients to about 50.
    pub connections_max: usize,
    /// Connections that may be begun within a minute, refused ones included. Default 600: ten a second is more than a
    /// person's tool has use for, and less than a scan.
    pub connections_per_minute_max: u32,
    /// How long one connection may last. Default one hour: whoever keeps one open for longer can dial again.
    pub connection_time_max: Duration,
    /// How long a connection may carry nothing in either direction. Default five minutes, the usual limit of the servers
    /// and routers on the way.
    pub idle_time_max: Duration,
    /// Bytes that the cell may send within an hour, all connections together. Default 1 GiB: what leaves is what leaks.
    pub bytes_out_max: u64,
    /// Bytes that the cell may receive within an hour, all connections together. Default 8 GiB: models and packages are
    /// large.
    pub bytes_in_max: u64,
}

impl Default for Quotas {
    fn default() -> Quotas {
        Quotas {
            connections_max: 64,
            connections_per_minute_max: 600,
            connection_time_max: Duration::from_secs(60 * 60),
            idle_time_max: Duration::from_secs(5 * 60),
            bytes_out_max: 1 << 30,
            bytes_in_max: 8 << 30,
        }
    }
}

/// One of the [`Quotas`], by the name of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quota {
    /// [`Quotas::connections_max`].
    Connections,
    /// [`Quotas::connections_per_minute_max`].
    ConnectionsPerMinute,
    /// [`Quotas::connection_time_max`].
    ConnectionTime,
    /// [`Quotas::idle_time_max`].
    IdleTime,
    /// [`Quotas::bytes_out_max`].
    BytesOut,
    /// [`Quotas::bytes_in_max`].
    BytesIn,
}

impl Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quota::Connections => "connections at once",
            Quota::ConnectionsPerMinute => "connections in a minute",
            Quota::ConnectionTime => "the time of one connection",
            Quota::IdleTime => "the time in which nothing is carried",
            Quota::BytesOut => "bytes sent in an hour",
            Quota::BytesIn => "bytes received in an hour",
        })
    }
}
