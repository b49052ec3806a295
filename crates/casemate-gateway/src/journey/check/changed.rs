//! What a judge outside made of a call, checked like what a client asks.

use std::collections::BTreeSet;

use casemate_mcp::json::{Members, Raw};

use super::{Checked, fits, guarded, params};
use crate::catalog::Kind;
use crate::journey::inspect::content;
use crate::journey::intercept::same;
use crate::journey::route::Target;
use crate::refusal::{Code, Refusal};

/// Takes changed arguments into a call. Nothing else of it can be changed: what is called, and for whom, was decided.
///
/// # Errors
/// As [`super::arguments`], and [`Code::Unjudged`] when more was changed.
pub(in crate::journey) fn again(checked: Checked, changed: &Members) -> Result<Checked, Refusal> {
    let Checked { mut received, target, mut param_headers, _seal } = checked;
    let before = &received.call.params;
    let names: BTreeSet<_> = changed.iter().map(|(name, _)| name.into_owned()).collect();
    let known = before.iter().map(|(name, _)| name.into_owned()).filter(|name| !is_unshown(name));
    for name in names.into_iter().chain(known).filter(|name| name != "arguments") {
        if is_unshown(&name) || !same(before.get(&name).as_ref(), changed.get(&name).as_ref()) {
            return Err(more(&name));
        }
    }
    let arguments = changed.get("arguments").unwrap_or(Raw::EMPTY_OBJECT);
    let Some(given) = arguments.members() else {
        return Err(Refusal::new(Code::Unjudged, "The arguments are no object."));
    };
    if let Target::Item { shelf, kind: Kind::Tools, item, fixed, .. } = &target {
        for (name, value) in fixed.iter().flat_map(|fixed| &fixed.fixed) {
            if !same(given.get(name).as_ref(), Some(&params::checked(value))) {
                return Err(more(name));
            }
        }
        fits(item, &arguments)?;
        guarded(&received, (shelf, item), &arguments)?;
        param_headers = params::headers(item, &arguments);
    } else if before.get("arguments").is_none() && !given.is_empty() {
        // A resource has none.
        return Err(more("arguments"));
    }
    received.call.params = before.edit().set("arguments", arguments).members();
    if let Some(shelf) = target.shelf()
        && let Some(params) = content::arguments(&received, shelf, &received.call.params)?
    {
        received.call.params = params;
    }
    Ok(Checked { received, target, param_headers, _seal })
}

/// Whether a judge is shown nothing of a member.
fn is_unshown(name: &str) -> bool {
    crate::journey::intercept::UNSHOWN.contains(&name)
}

fn more(name: &str) -> Refusal {
    Refusal::new(Code::Unjudged, format!("The member {name:?} is not to be changed."))
}
