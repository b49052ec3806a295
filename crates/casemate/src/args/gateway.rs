//! Running the gateway and reaching it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use casemate_mcp::names::{ProfileName, ServerName};

/// `casemate up`
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Address to listen on [env: CASEMATE_LISTEN] [default: the configuration's, else 127.0.0.1:7332]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// Use nothing of servers but what this lock file has, as `casemate pin export` writes it
    #[arg(long, value_name = "FILE")]
    pub locked: Option<PathBuf>,
    /// Only if FILE.sig is its signature with the private half of this key: a public Ed25519 key in PEM
    #[arg(long, value_name = "KEY", requires = "locked")]
    pub lock_key: Option<PathBuf>,
    /// Say on stdout when ready, then keep quiet and log to a file: this is how `connect` starts a gateway
    #[arg(long, hide = true)]
    pub background: bool,
}

/// `casemate down`
#[derive(Debug, clap::Args)]
pub struct Down {
    /// How long calls in flight may take to finish, in seconds [default: gateway.shutdown_grace]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub grace: Option<Duration>,
}

/// `casemate connect`
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// Which of the gateway's endpoints to speak to.
    #[command(flatten)]
    pub endpoint: Endpoint,
}

/// One of the gateway's endpoints; all servers when nothing is chosen.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Endpoint {
    /// Speak to this server alone, with its own tool names
    #[arg(long, value_name = "NAME", value_parser = ServerName::parse)]
    pub server: Option<ServerName>,
    /// Speak to this profile of the configuration
    #[arg(long, value_name = "NAME", value_parser = ProfileName::parse)]
    pub profile: Option<ProfileName>,
}

/// Names are none: what they stand for can change, and what is listened on must not.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an address and a port, like 127.0.0.1:7400; IPv6 as [::1]:7400".to_owned())
}

/// Whole seconds, at most an hour: a grace time is a bound, not a way to wait forever.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected a whole number of seconds from 0 to 3600".to_owned()),
    }
}
