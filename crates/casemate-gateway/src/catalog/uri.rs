//! The URIs of joined servers: `casemate://SERVER/ORIGINAL`.
//!
//! The server's name stands where a host stands and the original URI follows the first slash as it is, so
//! `file:///tmp/a` of the server `fs` is `casemate://fs/file:///tmp/a`. That is reversible without a table,
//! works for templates (RFC 6570) as it does for URIs, and no server can write a URI that leads to another:
//! whatever it claims, its own name is put in front.

use casemate_mcp::names::ServerName;

const SCHEME: &str = "casemate://";

/// A server's URI as the joined endpoint shows it.
#[must_use]
pub fn wrap(server: &ServerName, original: &str) -> String {
    format!("{SCHEME}{server}/{original}")
}

/// The server and its own URI; `None` when the text is no URI of a joined server.
#[must_use]
pub fn unwrap(shown: &str) -> Option<(ServerName, &str)> {
    let (server, original) = shown.strip_prefix(SCHEME)?.split_once('/')?;
    Some((ServerName::parse(server).ok()?, original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_uri_comes_back_to_its_own_server(server in "[a-z0-9][a-z0-9-]{0,31}", original in "\\PC{0,60}|casemate://other/file:///x") {
            let server = ServerName::parse(&server).unwrap();
            let shown = wrap(&server, &original);
            prop_assert_eq!(unwrap(&shown), Some((server, original.as_str())));
        }
    }

    #[test]
    fn other_uris_are_nobodys() {
        for uri in [
            "file:///a",
            "casemate://",
            "casemate://a",
            "casemate:///a",
            "casemate://a b/c",
            "CASEMATE://a/b",
        ] {
            assert_eq!(unwrap(uri), None, "{uri}");
        }
    }
}
