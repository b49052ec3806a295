//! 2026-07-28: stateless; every request says who asks, in which revision, and what the client can do.

use crate::call::{Call, Meta};
use crate::frame::{ErrorObject, code};
use crate::json::{Members, Raw};
use crate::method::Method;
use crate::revision::Revision;

/// `_meta`: the revision of the request.
pub const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta`: what the client can do for a server.
pub const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta`: what the client says it is.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// `_meta`: from which level on log messages are wanted.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// `_meta` of a result: what the server says it is.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// `_meta` of a notification on a listen stream: the id of the request that opened it.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// The params in which a client replies to the questions of an `input_required` result.
pub const REPLY: [&str; 2] = ["inputResponses", "requestState"];

/// Whether a result is no answer yet, but asks something first.
#[must_use]
pub fn asks(result: &Members) -> bool {
    result.string("resultType").as_deref() == Some("input_required")
}

/// Requests that may be answered with questions.
#[must_use]
pub fn may_be_asked(method: &Method) -> bool {
    matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
}

/// The `_meta` of a request that names its revision there, which is what tells the dialects apart.
#[derive(Debug, Clone)]
pub struct Named {
    /// The revision as it is written.
    pub version: String,
    meta: Members,
}

impl Named {
    /// Looks for it.
    #[must_use]
    pub fn find(params: Option<&Members>) -> Option<Named> {
        let meta = params?.object("_meta")?;
        Some(Named { version: meta.string(VERSION)?, meta })
    }
}

/// Reads a request; `named` is what was found in these very params.
///
/// # Errors
/// The error that the protocol prescribes: `-32602` for a member of `_meta` that is missing or wrong, `-32022` for a
/// revision that is none of ours.
pub fn call(method: Method, params: Option<Members>, named: Option<Named>) -> Result<Call, ErrorObject> {
    let params = params.unwrap_or_else(Members::empty);
    let Named { version, meta } = named.ok_or_else(|| missing(VERSION, "a date such as \"2026-07-28\""))?;
    let revision = Revision::parse(&version)
        .filter(|revision| revision.is_modern())
        .ok_or_else(|| unsupported(&version))?;
    let capabilities = meta
        .object(CAPABILITIES)
        .ok_or_else(|| missing(CAPABILITIES, "an object, empty if there are none"))?;
    let meta = Meta {
        revision,
        progress: meta.get("progressToken"),
        capabilities,
        client_info: meta.get(CLIENT_INFO),
        log_level: meta.string(LOG_LEVEL).map(String::into_boxed_str),
    };
    Ok(Call { method, params, meta })
}

/// The error for a revision that we do not speak in this dialect.
#[must_use]
pub fn unsupported(asked: &str) -> ErrorObject {
    #[derive(serde::Serialize)]
    struct Data<'a> {
        supported: Vec<&'static str>,
        requested: &'a str,
    }
    let supported = Revision::ALL.iter().rev().map(|revision| revision.as_str()).collect();
    ErrorObject {
        code: code::UNSUPPORTED_VERSION,
        message: "Unsupported protocol version".into(),
        data: Some(Raw::of(&Data { supported, requested: asked })),
    }
}

fn missing(name: &str, what: &str) -> ErrorObject {
    ErrorObject::new(
        code::INVALID_PARAMS,
        format!("params._meta[{name:?}] is missing or wrong: {what} is required"),
    )
}

/// Writes a call's params for a server; `progress` is the token under which it may report.
#[must_use]
pub fn params(call: &Call, offered: &Raw, progress: Option<Raw>) -> Raw {
    let mut own = vec![(VERSION, Raw::of(Revision::LATEST.as_str())), (CAPABILITIES, offered.clone())];
    own.extend(call.meta.client_info.clone().map(|info| (CLIENT_INFO, info)));
    own.extend(call.meta.log_level.as_deref().map(|level| (LOG_LEVEL, Raw::of(level))));
    own.extend(progress.map(|token| ("progressToken", token)));
    super::with_meta(&call.params, &own)
}

/// Writes a result for a modern client: every result has a type, and what may be cached says for how long. It may be kept for
/// the one who asked and for nobody else, whatever its server says: what somebody may see depends on who they are.
#[must_use]
pub fn result(method: &Method, result: Raw) -> Raw {
    match result.members() {
        Some(members) => result_of(method, &members),
        None => result,
    }
}

/// The same for a result whose members are known already: to find them in a large one takes longer than all else.
#[must_use]
pub fn result_of(method: &Method, members: &Members) -> Raw {
    let mut edit = members.edit();
    if !members.has("resultType") {
        edit = edit.set("resultType", Raw::of("complete"));
    }
    let complete = members.string("resultType").is_none_or(|kind| kind == "complete");
    if complete && is_cacheable(method) {
        if !members.has("ttlMs") {
            edit = edit.set("ttlMs", Raw::of(&0));
        }
        if members.string("cacheScope").as_deref() != Some("private") {
            edit = edit.set("cacheScope", Raw::of("private"));
        }
    }
    edit.finish()
}

/// Writes an error for a modern client: "no such resource" lost its code.
#[must_use]
pub fn error(error: ErrorObject) -> ErrorObject {
    let code = if error.code == code::RESOURCE_NOT_FOUND { code::INVALID_PARAMS } else { error.code };
    ErrorObject { code, ..error }
}

/// Complete results of these carry `ttlMs` and `cacheScope` (SEP-2549).
fn is_cacheable(method: &Method) -> bool {
    matches!(
        method,
        Method::Discover
            | Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::TemplatesList
            | Method::ResourcesRead
    )
}
