//! What can be in quarantine, and how it is written.

use std::fmt;

use casemate_mcp::names::ServerName;
use thiserror::Error;

/// Longest name of a tool or subject, in bytes. Tools have at most 256, subjects what their issuer says.
const NAME_MAX: usize = 1024;

/// What subjects that hold an API key are called.
const KEY: &str = "key:";

/// Something that can be in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ward {
    /// Everything: no subject may ask for anything.
    Gateway,
    /// A server with all that it offers.
    Server(ServerName),
    /// One tool, by its server's own name for it.
    Tool(ServerName, Box<str>),
    /// A subject by its id. The holder of an API key is one: `key:3fd1a2`.
    Subject(Box<str>),
}

/// Why a text names nothing that can be in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected `gateway`, `server:NAME`, `tool:SERVER/TOOL`, `subject:ID` or `key:ID`")]
pub struct WardFault;

impl Ward {
    /// Reads what [`Ward`] prints.
    ///
    /// # Errors
    /// [`WardFault`].
    pub fn parse(text: &str) -> Result<Ward, WardFault> {
        let server = |name: &str| ServerName::parse(name).map_err(|_| WardFault);
        let is_name = |name: &&str| (1..=NAME_MAX).contains(&name.len());
        match text.split_once(':') {
            None if text == "gateway" => Ok(Ward::Gateway),
            Some(("server", name)) => Ok(Ward::Server(server(name)?)),
            Some(("tool", pair)) => {
                let (name, tool) = pair.split_once('/').ok_or(WardFault)?;
                let tool = Some(tool).filter(is_name).ok_or(WardFault)?;
                Ok(Ward::Tool(server(name)?, tool.into()))
            }
            Some(("subject", id)) => {
                // Ids say how the subject was identified; without that they are nobody's.
                let id = Some(id).filter(|id| is_name(id) && id.contains(':')).ok_or(WardFault)?;
                Ok(Ward::Subject(id.into()))
            }
            Some(("key", id)) if is_name(&id) => Ok(Ward::Subject(text.into())),
            _ => Err(WardFault),
        }
    }
}

impl fmt::Display for Ward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ward::Gateway => f.write_str("gateway"),
            Ward::Server(server) => write!(f, "server:{server}"),
            Ward::Tool(server, tool) => write!(f, "tool:{server}/{tool}"),
            Ward::Subject(id) if id.starts_with(KEY) => f.write_str(id),
            Ward::Subject(id) => write!(f, "subject:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in [
            "gateway",
            "server:git",
            "tool:git/push",
            "tool:git/a/b:c",
            "subject:local:1000",
            "subject:token:corp/alice",
            "key:3fd1a2",
        ] {
            assert_eq!(Ward::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Ward::parse("subject:key:3fd1a2"), Ward::parse("key:3fd1a2"), "a key is a subject");
        for wrong in
            ["", "git", "server:", "server:a b", "tool:git", "tool:git/", "tool:/x", "subject:", "key:"]
        {
            assert_eq!(Ward::parse(wrong), Err(WardFault), "{wrong}");
        }
        assert_eq!(Ward::parse("subject:alice"), Err(WardFault), "nobody has such an id");
        assert_eq!(Ward::parse("gateway:all"), Err(WardFault));
    }
}
