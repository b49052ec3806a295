//! Headers and body have to say the same (revision 2026-07-28): whoever judges by the one and acts by the other
//! could be made to do what it never judged.

use casemate_mcp::dialect::modern::Named;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::Members;
use casemate_mcp::method::Method;

use crate::journey::Claims;
use crate::refusal::{Code, Refusal};

/// Holds the headers of a modern request against its body.
pub(super) fn agree(
    claims: &Claims,
    method: &Method,
    params: Option<&Members>,
    named: Option<&Named>,
) -> Result<(), Refusal> {
    let revision = claims.revision.as_deref().ok_or_else(|| missing("MCP-Protocol-Version"))?;
    if named.is_some_and(|named| named.version != revision) {
        return Err(mismatch("MCP-Protocol-Version", "params._meta"));
    }
    let claimed = claims.method.as_deref().ok_or_else(|| missing("Mcp-Method"))?;
    if claimed != method.as_str() {
        return Err(mismatch("Mcp-Method", "method"));
    }
    let Some(member) = method.name_member() else { return Ok(()) };
    let Some(in_body) = params.and_then(|params| params.string(member)) else {
        // The body is wrong in itself and will be told so; there is nothing to compare.
        return Ok(());
    };
    match &claims.name {
        None => Err(missing("Mcp-Name")),
        Some(Ok(name)) if **name == *in_body => Ok(()),
        Some(_) => Err(mismatch("Mcp-Name", &format!("params.{member}"))),
    }
}

/// A header that has to be there is not.
pub(in crate::journey) fn missing(header: &str) -> Refusal {
    refuse(format!("Header mismatch: the {header} header is required and missing"))
}

/// A header and the body differ.
pub(in crate::journey) fn mismatch(header: &str, body: &str) -> Refusal {
    refuse(format!("Header mismatch: the {header} header does not say what {body} says"))
}

fn refuse(message: String) -> Refusal {
    let error = ErrorObject::new(code::HEADER_MISMATCH, message.clone());
    Refusal::new(Code::HeaderMismatch, message).prescribed(error)
}
