//! `call_tool`: a call of a tool by way of another becomes the call of that tool, before anything of it is judged.

use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;

use super::{Own, Received, Target};
use crate::refusal::{Code, Refusal};
use crate::snapshot::Discovery;

/// Searches for tools.
pub(in crate::journey) const FIND: &str = "find_tools";
/// Shows one.
pub(in crate::journey) const DESCRIBE: &str = "describe_tool";
/// Calls one.
pub(in crate::journey) const CALL: &str = "call_tool";

/// What a call of one of the first two leads to; `None` for every other call.
pub(super) fn own_tool(received: &Received) -> Option<Target> {
    match asked(received)?.as_str() {
        FIND => Some(Target::Own(Own::Find)),
        DESCRIBE => Some(Target::Own(Own::Describe)),
        _ => None,
    }
}

/// Makes a call of `call_tool` the call of the tool that it names. From here on it is that: its route, its schema, its policy,
/// its record.
///
/// # Errors
/// [`Code::BadArguments`].
pub(in crate::journey) fn unfold(received: &mut Received) -> Result<(), Refusal> {
    if asked(received).as_deref() == Some(CALL) { direct(received) } else { Ok(()) }
}

/// The tool that is called, where one of the three could be.
fn asked(received: &Received) -> Option<String> {
    let identified = &received.passage.identified;
    let is_on = identified.snapshot.discovery != Discovery::All && identified.head.endpoint.joins();
    let is_call = received.call.method == Method::ToolsCall;
    received.call.params.string("name").filter(|_| is_on && is_call)
}

fn direct(received: &mut Received) -> Result<(), Refusal> {
    let wrong = |what: &str| Refusal::new(Code::BadArguments, format!("call_tool needs {what}."));
    let given = received.call.params.object("arguments").unwrap_or_else(Members::empty);
    let name = given.string("name").ok_or_else(|| wrong("`name`, the name of a tool"))?;
    if [FIND, DESCRIBE, CALL].contains(&name.as_str()) {
        return Err(wrong("the name of another tool: this one is called directly"));
    }
    let arguments = match given.get("arguments") {
        None => Raw::EMPTY_OBJECT,
        Some(raw) if raw.members().is_some() => raw,
        Some(_) => return Err(wrong("`arguments`, an object")),
    };
    let edit = received.call.params.edit().set("name", Raw::string_of(&name)).set("arguments", arguments);
    let params = edit.members();
    received.directly(&name, params);
    Ok(())
}
