//! The endpoints that a client can talk to.

use std::fmt;

use casemate_mcp::names::{ProfileName, ServerName};

/// Where a client talks to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/mcp`: every server that the subject may see, under joined names.
    Joined,
    /// `/servers/NAME/mcp`: one server under its own names, transparent unless a stage has to change something.
    Server(ServerName),
    /// `/profiles/NAME/mcp`: a chosen set of servers and tools.
    Profile(ProfileName),
}

impl Endpoint {
    /// The endpoint that a path names, if it has the form of one. Whether it exists is for the snapshot to say.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Endpoint> {
        if path == "/mcp" {
            return Some(Endpoint::Joined);
        }
        let inner = path.strip_suffix("/mcp")?;
        if let Some(name) = inner.strip_prefix("/servers/") {
            return ServerName::parse(name).ok().map(Endpoint::Server);
        }
        inner.strip_prefix("/profiles/").and_then(|name| ProfileName::parse(name).ok()).map(Endpoint::Profile)
    }

    /// Whether several servers meet here, so that their names have to be told apart.
    #[must_use]
    pub fn joins(&self) -> bool {
        !matches!(self, Endpoint::Server(_))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Joined => f.write_str("/mcp"),
            Endpoint::Server(name) => write!(f, "/servers/{name}/mcp"),
            Endpoint::Profile(name) => write!(f, "/profiles/{name}/mcp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints_and_nothing_else_does() {
        for path in ["/mcp", "/servers/git/mcp", "/profiles/work/mcp"] {
            assert_eq!(Endpoint::of_path(path).expect(path).to_string(), path);
        }
        for path in
            ["/", "/mcp/", "/servers//mcp", "/servers/a/b/mcp", "/servers/../mcp", "/servers/git", "//mcp"]
        {
            assert_eq!(Endpoint::of_path(path), None, "{path}");
        }
    }
}
