//! Stage 6: is what is asked well formed, judged by what the server declared.

mod changed;
mod params;

use casemate_inspect::Measure;
use casemate_inspect::guard::Breach;
use casemate_mcp::json::{Members, Raw};

use super::cordon::Free;
use super::head::Claims;
use super::inspect::content;
use super::receive::Received;
use super::route::{Routed, Target};
use crate::catalog::{Item, Kind, Shelf};
use crate::ports::Standing;
use crate::refusal::{Code, Refusal};
use crate::snapshot::ProfileTool;

pub(super) use changed::again;

/// A request whose arguments fit, with the params as its server knows them.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) received: Box<Received>,
    pub(super) target: Target,
    /// What the HTTP headers of a modern server have to repeat: `Mcp-Param-*`.
    pub(super) param_headers: Vec<(String, String)>,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

/// Checks the arguments and rewrites what the endpoint shows differently from the server.
///
/// # Errors
/// [`Code::Unapproved`], [`Code::Unlocked`], [`Code::BadArguments`], [`Code::Guarded`], [`Code::ArgumentsBlocked`], [`Code::BadSchema`],
/// [`Code::HeaderMismatch`].
pub(super) fn arguments(free: Free) -> Result<Checked, Refusal> {
    let Routed { mut received, target, .. } = free.into_routed();
    approved(&target)?;
    let mut param_headers = Vec::new();
    let params = &received.call.params;
    let rewritten = match &target {
        Target::Item { shelf, kind: Kind::Tools, item, fixed, .. } => {
            let filled = fill_in(params, fixed.as_deref())?;
            let arguments = filled.get("arguments").unwrap_or(Raw::EMPTY_OBJECT);
            fits(item, &arguments)?;
            guarded(&received, (shelf, item), &arguments)?;
            param_headers = params::headers(item, &arguments);
            if let Some(claims) = modern_claims(&received) {
                params::agree(claims, &param_headers)?;
            }
            params::renamed(&filled, "name", &item.name)
        }
        Target::Item { item, .. } => params::renamed(params, "name", &item.name),
        Target::Uri { uri, .. } => params::renamed(params, "uri", uri),
        Target::Completion { about, .. } => params::referring(params, about),
        Target::Own(_) | Target::Task { .. } | Target::Relay { .. } => None,
    };
    if let Some(params) = rewritten {
        received.call.params = params;
    }
    if let Some(shelf) = target.shelf()
        && let Some(params) = content::arguments(&received, shelf, &received.call.params)?
    {
        received.call.params = params;
    }
    Ok(Checked { received, target, param_headers, _seal: Seal })
}

/// What was not approved is not used, whatever it says; nor is what it comes to later.
fn approved(target: &Target) -> Result<(), Refusal> {
    match target {
        Target::Item { shelf, kind, item, standing, .. } => stands(shelf, (*kind, &item.name), *standing),
        Target::Task { shelf, tools, .. } => {
            let Some(known) = shelf.known() else { return Ok(()) };
            let judge = |tool: &str| stands(shelf, (Kind::Tools, tool), known.standing(Kind::Tools, tool));
            tools.iter().try_for_each(|tool| judge(tool))
        }
        Target::Own(_) | Target::Uri { .. } | Target::Completion { .. } | Target::Relay { .. } => Ok(()),
    }
}

fn stands(shelf: &Shelf, (kind, name): (Kind, &str), standing: Standing) -> Result<(), Refusal> {
    let (server, noun) = (&shelf.server().entry().name, kind.noun());
    let what = match standing {
        Standing::Approved => return Ok(()),
        Standing::Unlocked => {
            let message = format!(
                "The {noun} {name:?} of the server {server} is not in the lock file that this gateway is held to."
            );
            return Err(Refusal::new(Code::Unlocked, message));
        }
        Standing::New => {
            format!("The {noun} {name:?} of the server {server} waits for a person's approval")
        }
        Standing::Changed => {
            format!("The {noun} {name:?} of the server {server} has changed since it was approved")
        }
    };
    Err(Refusal::new(Code::Unapproved, format!("{what}: `casemate pin review {server}` shows it.")))
}

fn modern_claims(received: &Received) -> Option<&Claims> {
    let claims = received.passage.identified.head.claims.as_ref();
    claims.filter(|_| received.call.meta.revision.is_modern() && !received.is_indirect)
}

/// Puts in the arguments that a profile holds fixed.
fn fill_in(params: &Members, fixed: Option<&ProfileTool>) -> Result<Members, Refusal> {
    let Some(fixed) = fixed else { return Ok(params.clone()) };
    let given = params.object("arguments").unwrap_or_else(Members::empty);
    let mut edit = given.edit();
    for (name, value) in &fixed.fixed {
        if given.has(name) {
            let message = format!(
                "The arguments do not fit the tool's schema.\n- {name} is set by the profile; leave it out"
            );
            return Err(Refusal::new(Code::BadArguments, message));
        }
        edit = edit.set(name.as_str(), params::checked(value));
    }
    Ok(params.edit().set("arguments", edit.finish()).members())
}

fn fits(item: &Item, arguments: &Raw) -> Result<(), Refusal> {
    match item.schema() {
        None => Ok(()),
        Some(Ok(schema)) => {
            schema.check(arguments).map_err(|fault| Refusal::new(Code::BadArguments, fault.0))
        }
        Some(Err(why)) => Err(Refusal::new(
            Code::BadSchema,
            format!("The tool {:?} cannot be called: its input schema cannot be used ({why}).", item.name),
        )),
    }
}

/// What an entry demands of the arguments, and that the result can be held against what the tool declares: once the call
/// is made, it has had its effect.
fn guarded(received: &Received, (shelf, item): (&Shelf, &Item), arguments: &Raw) -> Result<(), Refusal> {
    let (inspecting, server) =
        (&received.passage.identified.snapshot.inspecting, &shelf.server().entry().name);
    if let Some(guards) = inspecting.guards.get(server) {
        guards.judge(&item.name, arguments).map_err(|Breach { place, why }| {
            let message = format!("The argument {place} of {:?} is refused: {why}.", item.name);
            Refusal::new(Code::Guarded, message)
        })?;
    }
    match item.output() {
        Some(Err(why)) if inspecting.output(server) == Measure::Block => Err(Refusal::new(
            Code::BadSchema,
            format!("The tool {:?} cannot be called: its output schema cannot be used ({why}).", item.name),
        )),
        _ => Ok(()),
    }
}
