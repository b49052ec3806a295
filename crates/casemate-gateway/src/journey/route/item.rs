//! Finding a tool or prompt by the name that the client uses.

use std::sync::Arc;

use casemate_mcp::names::SEPARATOR;
use casemate_policy::Resource;

use super::{About, Received, Refusal, Target};
use super::{caller, joined_shelf, known, may_see, no_item, no_resource, shown_target, string_param, unseen};
use crate::catalog::{Kind, Shelf, Shown, View, shows_apps, unwrap_uri};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::cordon;
use crate::journey::forward::down;
use crate::refusal::Code;

/// The tool or prompt that `params.name` names.
pub(super) async fn target(gate: &Gate, received: &Received, kind: Kind) -> Result<Target, Refusal> {
    let name = string_param(received, "name")?;
    let shown = find(gate, received, (kind, &name)).await?;
    known(received, &shown.resource(kind), || no_item(kind, &name))?;
    if shown.item.tool.is_for_apps && !shows_apps(&received.call.meta.capabilities) {
        return Err(no_item(kind, &name));
    }
    if let Some(blocked) = &shown.blocked {
        return Err(blocked.refusal(&name));
    }
    Ok(shown_target(kind, &shown))
}

/// The prompt or template that `params.ref` names.
pub(super) async fn completion(
    gate: &Gate,
    received: &Received,
    only: Option<Arc<Shelf>>,
) -> Result<Target, Refusal> {
    let reference = received.call.params.object("ref");
    let member = |name| reference.as_ref().and_then(|reference| reference.string(name));
    match member("type").as_deref() {
        Some("ref/prompt") => {
            let name = member("name").ok_or_else(|| wrong("params.ref.name"))?;
            let shown = find(gate, received, (Kind::Prompts, &name)).await?;
            known(received, &shown.resource(Kind::Prompts), || no_item(Kind::Prompts, &name))?;
            Ok(Target::Completion { shelf: shown.shelf, about: About::Prompt(shown.item.name.clone()) })
        }
        Some("ref/resource") => {
            let uri = member("uri").ok_or_else(|| wrong("params.ref.uri"))?;
            let (shelf, original) = match only {
                Some(shelf) => (shelf, uri.as_str()),
                None => {
                    let (server, original) = unwrap_uri(&uri).ok_or_else(|| no_resource(&uri))?;
                    let shelf = joined_shelf(gate, received, server.as_str());
                    (shelf.ok_or_else(|| no_resource(&uri))?, original)
                }
            };
            let resource = Resource::Resource(&shelf.server().entry().name, original);
            known(received, &resource, || no_resource(&uri))?;
            let about = About::Template(original.to_owned());
            Ok(Target::Completion { shelf, about })
        }
        _ => Err(wrong("params.ref.type (\"ref/prompt\" or \"ref/resource\")")),
    }
}

fn wrong(what: &str) -> Refusal {
    Refusal::new(Code::BadParams, format!("completion/complete needs {what}"))
}

/// Looks an item up, loading definitions first where they are missing or known to have changed.
async fn find(gate: &Gate, received: &Received, (kind, name): (Kind, &str)) -> Result<Shown, Refusal> {
    let identified = &received.passage.identified;
    let view = gate.catalog().view(&identified.snapshot, &identified.head.endpoint);
    let caller = caller(received);
    // Loading starts servers, and nobody makes us start one that they may not see.
    if let Some(shown) = view.find(kind, name).filter(|shown| may_see(received, &shown.shelf)) {
        cordon::of_shelf(gate.quarantine(), &shown.shelf)?;
        let known = shown.shelf.known();
        let current = shown.shelf.definitions(&caller).await.map_err(|fault| down(&shown.shelf, &fault))?;
        if known.is_some_and(|known| Arc::ptr_eq(&known, &current)) {
            return Ok(shown.clone());
        }
    }
    let mut fault = None;
    for shelf in view.shelves().iter().filter(|shelf| may_have(received, shelf, name)) {
        if let Err(refusal) = cordon::of_shelf(gate.quarantine(), shelf) {
            fault = Some(refusal);
        } else if let Err(why) = shelf.definitions(&caller).await {
            fault = Some(down(shelf, &why));
        }
    }
    let view = gate.catalog().view(&identified.snapshot, &identified.head.endpoint);
    let shown = view.find(kind, name).cloned();
    shown
        .ok_or_else(|| fault.or_else(|| beyond(received, &view, name)).unwrap_or_else(|| no_item(kind, name)))
}

/// The refusal for a name of a server that a token's scopes alone keep from the subject.
fn beyond(received: &Received, view: &View, name: &str) -> Option<Refusal> {
    let is_its = |shelf: &&Arc<Shelf>| is_of(received, shelf, name) && !may_see(received, shelf);
    view.shelves().iter().filter(is_its).find_map(|shelf| unseen(received, shelf))
}

/// Whether a server that nothing is known of yet may turn out to have the name. A joined name begins with its
/// server's; a profile may have renamed it, so there every server is asked.
fn may_have(received: &Received, shelf: &Shelf, name: &str) -> bool {
    is_of(received, shelf, name) && shelf.known().is_none() && may_see(received, shelf)
}

fn is_of(received: &Received, shelf: &Shelf, name: &str) -> bool {
    let server = shelf.server().entry().name.as_str();
    match received.passage.identified.head.endpoint {
        Endpoint::Joined => name.strip_prefix(server).is_some_and(|rest| rest.starts_with(SEPARATOR)),
        Endpoint::Server(_) | Endpoint::Profile(_) => true,
    }
}
