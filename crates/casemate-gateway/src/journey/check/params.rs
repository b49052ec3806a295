//! Params as the server knows them, and the headers that repeat some of them.

use bytes::Bytes;
use casemate_mcp::header::decode_value;
use casemate_mcp::json::{Limits, Members, Raw};

use crate::catalog::Item;
use crate::journey::head::Claims;
use crate::journey::receive::claims::{mismatch, missing};
use crate::journey::route::About;
use crate::refusal::Refusal;

/// What the names of these headers begin with.
const PREFIX: &str = "Mcp-Param-";

/// The params with one string member set; `None` when it says so already.
pub(super) fn renamed(params: &Members, member: &str, name: &str) -> Option<Members> {
    if params.string(member).as_deref() == Some(name) {
        return None;
    }
    Some(params.edit().set(member, Raw::string_of(name)).members())
}

/// The params of a completion, about what the server knows under its own name.
pub(super) fn referring(params: &Members, about: &About) -> Option<Members> {
    let reference = params.object("ref")?;
    let renamed = match about {
        About::Prompt(name) => renamed(&reference, "name", name),
        About::Template(uri) => renamed(&reference, "uri", uri),
    }?;
    Some(params.edit().set("ref", renamed.raw().clone()).members())
}

/// A value that the configuration wrote; it was checked when it was compiled.
pub(super) fn checked(value: &str) -> Raw {
    Raw::check(Bytes::copy_from_slice(value.as_bytes()), &Limits::default()).unwrap_or(Raw::NULL)
}

/// The `Mcp-Param-*` headers that repeat the arguments which the tool's schema marks with `x-mcp-header`: their full
/// names and plain values.
pub(super) fn headers(item: &Item, arguments: &Raw) -> Vec<(String, String)> {
    let marked = item.tool.param_headers.iter();
    let value =
        |path: &[Box<str>]| path.iter().try_fold(arguments.clone(), |at, name| at.members()?.get(name));
    let text = |raw: Raw| match raw.string() {
        Some(text) => Some(text.into_owned()),
        None if raw.as_str() == "null" || raw.members().is_some() || raw.elements().is_some() => None,
        None => Some(raw.as_str().to_owned()),
    };
    marked.filter_map(|(header, path)| Some((format!("{PREFIX}{header}"), text(value(path)?)?))).collect()
}

/// Holds the `Mcp-Param-*` headers that came against those that the arguments ask for.
pub(super) fn agree(claims: &Claims, wanted: &[(String, String)]) -> Result<(), Refusal> {
    for (name, value) in wanted {
        let bare = name.strip_prefix(PREFIX).unwrap_or(name);
        let came = claims.params.iter().find(|(header, _)| header.eq_ignore_ascii_case(bare));
        let (_, came) = came.ok_or_else(|| missing(name))?;
        if decode_value(came).as_deref() != Ok(value.as_str()) {
            return Err(mismatch(name, "the argument"));
        }
    }
    Ok(())
}
