//! Which dialect a server speaks, from what it answers. Pure.
//!
//! The protocol prescribes it: ask `server/discover`; a DiscoverResult or an error that only modern servers know
//! means modern, anything else means `initialize`. No single error code is a sign of legacy.

use casemate_mcp::call::{Answer, Call, Meta};
use casemate_mcp::dialect::{legacy, modern};
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;

use super::{Fault, Hello};

#[cfg(test)]
mod tests;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// Stateless, 2026-07-28.
    Modern,
    /// Sessions that open with `initialize`.
    Legacy,
}

/// What an answer to `server/discover` says.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It speaks our modern revision, and this is what it is.
    Modern(Box<Hello>),
    /// Try `initialize`.
    Legacy,
    /// It is modern, but speaks no revision that we do.
    Stranger {
        /// What it speaks, for a person.
        why: String,
    },
}

/// The params of `server/discover`.
pub(super) fn discover_params(offered: &Members, client_info: &Raw) -> Raw {
    modern::params(&own_call(Method::Discover, Members::empty(), client_info), offered.raw(), None)
}

/// The params of `initialize`.
pub(super) fn initialize_params(offered: &Members, client_info: &Raw) -> Raw {
    legacy::hello(Revision::LATEST_LEGACY, offered.raw(), client_info)
}

/// A modern request of our own.
pub(super) fn own_call(method: Method, params: Members, client_info: &Raw) -> Call {
    let meta = Meta {
        revision: Revision::LATEST,
        progress: None,
        capabilities: Members::empty(),
        client_info: Some(client_info.clone()),
        log_level: None,
    };
    Call { method, params, meta }
}

/// Judges the answer to `server/discover`.
pub(super) fn judge(answer: &Answer) -> Verdict {
    let (supported, hello) = match answer {
        Answer::Result(raw) => {
            let Some(members) = raw.members() else { return Verdict::Legacy };
            let Some(supported) = versions(members.get("supportedVersions")) else { return Verdict::Legacy };
            (supported, Some(discovered(raw, &members)))
        }
        Answer::Error(error) if is_modern_error(error) => {
            let data = error.data.as_ref().and_then(Raw::members);
            (versions(data.and_then(|data| data.get("supported"))).unwrap_or_default(), None)
        }
        Answer::Error(_) => return Verdict::Legacy,
    };
    let ours = |revision: &&Revision| supported.iter().any(|text| text == revision.as_str());
    match hello {
        Some(hello) if supported.iter().any(|text| text == Revision::LATEST.as_str()) => {
            Verdict::Modern(Box::new(hello))
        }
        _ if Revision::ALL.iter().filter(|revision| !revision.is_modern()).any(|r| ours(&r)) => {
            Verdict::Legacy
        }
        None if ours(&&Revision::LATEST) => Verdict::Stranger {
            why: format!("it refuses {}, which it says that it speaks", Revision::LATEST),
        },
        _ => Verdict::Stranger { why: format!("it speaks only {}", list(&supported)) },
    }
}

/// Whether an answer to `server/discover` refuses our revision and says that its server speaks it. The protocol has a client
/// select a version of the list and ask again; behind a load balancer, somebody else may answer then.
pub(super) fn wants_again(answer: &Answer) -> bool {
    let Answer::Error(error) = answer else { return false };
    let data = error.data.as_ref().filter(|_| error.code == code::UNSUPPORTED_VERSION).and_then(Raw::members);
    let supported = versions(data.and_then(|data| data.get("supported"))).unwrap_or_default();
    supported.iter().any(|text| text == Revision::LATEST.as_str())
}

/// Whether an error is one that only modern servers answer with. HTTP asks for it too: such a body under status 400
/// means that the server is modern, any other body that it is not.
pub(super) fn is_modern_error(error: &ErrorObject) -> bool {
    let data = || error.data.as_ref().and_then(Raw::members);
    match error.code {
        code::UNSUPPORTED_VERSION => data().is_some_and(|data| data.has("supported")),
        code::MISSING_CAPABILITY => data().is_some_and(|data| data.has("requiredCapabilities")),
        code::HEADER_MISMATCH => true,
        _ => false,
    }
}

/// Reads the answer to `initialize`.
///
/// # Errors
/// [`Fault::Start`] when it is an error or names no revision that is opened this way.
pub(super) fn welcome(answer: Answer) -> Result<Hello, Fault> {
    let raw = match answer {
        Answer::Result(raw) => raw,
        Answer::Error(error) => {
            let why = format!("it answered `initialize` with error {}: {}", error.code, error.message);
            return Err(Fault::Start { why });
        }
    };
    let members = raw.members().unwrap_or_else(Members::empty);
    let named = members.string("protocolVersion").unwrap_or_default();
    let Some(revision) = Revision::parse(&named).filter(|revision| !revision.is_modern()) else {
        let why = format!("it answered `initialize` with revision {named:?}, which is none of ours");
        return Err(Fault::Start { why });
    };
    Ok(Hello {
        revision,
        capabilities: members.object("capabilities").unwrap_or_else(Members::empty),
        server_info: members.get("serverInfo"),
        instructions: members.get("instructions"),
        raw,
    })
}

fn discovered(raw: &Raw, members: &Members) -> Hello {
    Hello {
        revision: Revision::LATEST,
        capabilities: members.object("capabilities").unwrap_or_else(Members::empty),
        server_info: members.object("_meta").and_then(|meta| meta.get(modern::SERVER_INFO)),
        instructions: members.get("instructions"),
        raw: raw.clone(),
    }
}

fn versions(raw: Option<Raw>) -> Option<Vec<String>> {
    raw?.elements()?.iter().map(|element| element.string().map(String::from)).collect()
}

fn list(supported: &[String]) -> String {
    if supported.is_empty() { "revisions that it does not name".to_owned() } else { supported.join(", ") }
}
