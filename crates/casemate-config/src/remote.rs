//! Where a server is that somebody else has started.

use std::path::PathBuf;

use casemate_gateway::snapshot::{Carrier, SocketSource};
use casemate_net::Plain;
use http::Uri;

use crate::problem::Fault;

/// The longest path of a Unix socket, in bytes: `sun_path` is 108 on Linux, with the final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What an address leads to.
#[derive(Debug)]
pub(crate) enum Remote {
    /// A server that is asked over HTTP, with the address of HTTP.
    Http(Uri, Carrier),
    /// A socket with stdio framing.
    Socket(SocketSource),
}

impl Remote {
    /// Reads `https://…`, `http://…`, `wss://…`, `ws://…`, `unix:/PATH` or `tcp://HOST:PORT`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Remote, Fault> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket(path).map(Remote::Socket);
        }
        if let Some(place) = text.strip_prefix("tcp://") {
            let place = Plain::parse(place).map_err(|fault| {
                Fault::new(format!("{text:?} is no address of TCP: {fault}")).hint(
                    "what is sent there is protected by nothing: use wss:// where it leaves this machine",
                )
            })?;
            return Ok(Remote::Socket(SocketSource::Tcp(place)));
        }
        // The schemes of WebSockets are those of HTTP with other letters.
        let (carrier, address) = match text.strip_prefix("ws") {
            Some(rest) => (Carrier::WebSocket, format!("http{rest}")),
            None => (Carrier::Http, text.to_owned()),
        };
        let uri = address.parse().map_err(|_| Fault::new(format!("{text:?} is not an address")))?;
        Ok(Remote::Http(uri, carrier))
    }
}

fn socket(path: &str) -> Result<SocketSource, Fault> {
    if !path.starts_with('/') || path.contains('\0') {
        let fault = Fault::new(format!("{path:?} is not the absolute path of a Unix socket"));
        return Err(fault.hint("like unix:/run/user/1000/server.sock"));
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        let bytes = path.len();
        return Err(Fault::new(format!(
            "the path of the Unix socket has {bytes} bytes, and the system allows {SOCKET_PATH_BYTES_MAX}"
        )));
    }
    Ok(SocketSource::Unix(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_address_leads_somewhere_else() {
        let shown = |text: &str| match Remote::read(text) {
            Ok(Remote::Http(uri, carrier)) => format!("{carrier:?} {uri}"),
            Ok(Remote::Socket(SocketSource::Unix(path))) => format!("unix {}", path.display()),
            Ok(Remote::Socket(SocketSource::Tcp(place))) => format!("tcp {place}"),
            Err(fault) => fault.what,
        };
        let table = [
            ("https://a.example/mcp", "Http https://a.example/mcp"),
            ("wss://a.example/ws", "WebSocket https://a.example/ws"),
            ("ws://localhost:1/ws", "WebSocket http://localhost:1/ws"),
            ("unix:/run/a.sock", "unix /run/a.sock"),
            ("tcp://localhost:9000", "tcp localhost:9000"),
            ("tcp://[::1]:9000", "tcp [::1]:9000"),
            ("unix:a.sock", "\"a.sock\" is not the absolute path of a Unix socket"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), expected);
        }
        for text in ["tcp://localhost", "tcp://localhost:9/x", "tcp://u@localhost:9", "unix:", "unix://a"] {
            assert!(
                matches!(Remote::read(text), Err(_) | Ok(Remote::Socket(SocketSource::Unix(_)))),
                "{text}"
            );
        }
        assert!(Remote::read("tcp://localhost").is_err() && Remote::read("tcp://u@localhost:9").is_err());
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(Remote::read(&long).is_err());
    }
}
