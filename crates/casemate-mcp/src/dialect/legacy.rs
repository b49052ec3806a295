//! 2024-11-05 to 2025-11-25: sessions that open with `initialize`.

use crate::call::{Call, Meta};
use crate::frame::{ErrorObject, code};
use crate::json::{Members, Raw};
use crate::method::Method;
use crate::revision::Revision;

/// What a client said in `initialize`; it holds for the whole session.
#[derive(Debug, Clone)]
pub struct Hello {
    /// The revision that the client asked for, as text: it may be one that we do not know.
    pub asked: String,
    /// What it can do for a server.
    pub capabilities: Members,
    /// What it says it is.
    pub client_info: Option<Raw>,
}

impl Hello {
    /// Reads the params of `initialize`.
    ///
    /// # Errors
    /// The error to answer with when the revision is missing.
    pub fn read(params: Option<&Members>) -> Result<Hello, ErrorObject> {
        let asked = params.and_then(|params| params.string("protocolVersion")).ok_or_else(|| {
            ErrorObject::new(
                code::INVALID_PARAMS,
                "`initialize` needs params.protocolVersion, a date such as \"2025-11-25\"",
            )
        })?;
        let capabilities =
            params.and_then(|params| params.object("capabilities")).unwrap_or_else(Members::empty);
        Ok(Hello { asked, capabilities, client_info: params.and_then(|params| params.get("clientInfo")) })
    }

    /// The revision to speak: the one asked for when it is a legacy one, our newest legacy one otherwise.
    #[must_use]
    pub fn agreed(&self) -> Revision {
        Revision::parse(&self.asked)
            .filter(|revision| !revision.is_modern())
            .unwrap_or(Revision::LATEST_LEGACY)
    }
}

/// Reads a request of an open session.
#[must_use]
pub fn call(method: Method, params: Option<Members>, session: &Meta) -> Call {
    let params = params.unwrap_or_else(Members::empty);
    let progress = params.object("_meta").and_then(|meta| meta.get("progressToken"));
    Call { method, params, meta: Meta { progress, ..session.clone() } }
}

/// Writes the params of `initialize` for a server.
#[must_use]
pub fn hello(revision: Revision, capabilities: &Raw, client_info: &Raw) -> Raw {
    let empty = Members::empty();
    empty
        .edit()
        .set("protocolVersion", Raw::of(revision.as_str()))
        .set("capabilities", capabilities.clone())
        .set("clientInfo", client_info.clone())
        .finish()
}

/// Writes a call's params for a server; `progress` is the token under which it may report. What a modern client says in
/// reply to questions is no part of a legacy request.
#[must_use]
pub fn params(call: &Call, progress: Option<Raw>) -> Raw {
    let own: Vec<(&'static str, Raw)> = progress.map(|token| ("progressToken", token)).into_iter().collect();
    let is_reply = |name: &&'static str| call.meta.revision.is_modern() && call.params.has(name);
    if !super::modern::REPLY.iter().any(is_reply) {
        return super::with_meta(&call.params, &own);
    }
    let bare = super::modern::REPLY.iter().fold(call.params.edit(), |edit, name| edit.remove(*name));
    super::with_meta(&bare.members(), &own)
}

/// Writes a result for a legacy client: words that only the modern dialect has are taken out.
#[must_use]
pub fn result(result: Raw) -> Raw {
    match result.members() {
        Some(members) => result_of(&members),
        None => result,
    }
}

/// The same for a result whose members are known already: to find them in a large one takes longer than all else.
#[must_use]
pub fn result_of(members: &Members) -> Raw {
    members.edit().remove("resultType").remove("ttlMs").remove("cacheScope").finish()
}

/// Writes an error for a legacy client: "no such resource" had a code of its own.
#[must_use]
pub fn error(method: &Method, error: ErrorObject) -> ErrorObject {
    let names_resource = error.data.as_ref().and_then(Raw::members).is_some_and(|data| data.has("uri"));
    match (method, error.code) {
        (Method::ResourcesRead, code::INVALID_PARAMS) if names_resource => {
            ErrorObject { code: code::RESOURCE_NOT_FOUND, ..error }
        }
        _ => error,
    }
}
