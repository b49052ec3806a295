//! `subscriptions/listen`: a stream of changes that lasts until the client closes it or the gateway stops.

use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{ErrorObject, code, notification_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_policy::{Action, Effect, Request, Resource};

use super::Refusal;
use crate::catalog::{Shelf, unwrap_uri};
use crate::client::{Listener, Wants};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::authorize::circumstances;
use crate::journey::receive::Received;
use crate::journey::route::{URI_MAX, caller, may_see};
use crate::refusal::Code;
use crate::upstream::Caller;

/// Resources that one stream can watch.
const WATCHED_MAX: usize = 256;

/// How often it is looked whether the subject's credential is still good.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Tells the client what it will be told, and then tells it.
pub(super) async fn answer(gate: &Arc<Gate>, received: &Received) -> Result<Raw, Refusal> {
    let identified = &received.passage.identified;
    let asked = received.call.params.object("notifications").ok_or_else(wrong)?;
    let wants = |name| asked.get(name).is_some_and(|raw| raw.as_str() == "true");
    let wants = Wants {
        tools: wants("toolsListChanged"),
        prompts: wants("promptsListChanged"),
        resources: wants("resourcesListChanged"),
    };
    let outlet = identified.head.outlet.clone();
    let listener =
        Listener::new(Arc::clone(&identified.subject), identified.head.endpoint.clone(), wants, outlet);
    let listening = gate.bus().join(listener.of_request(received.id.clone()));
    let watches = watches(gate, received, &asked).await;
    for (shown, _, _) in &watches.open {
        listening.watch(shown);
    }
    acknowledge(received, (wants, &watches)).await;
    tokio::select! {
        () = gate.stopping() => {}
        () = ended(received) => {}
        () = withdrawn(gate, received) => {}
    }
    let empty = Members::empty();
    let meta = empty.edit().set(modern::SUBSCRIPTION_ID, Raw::of(&received.id)).finish();
    Ok(empty.edit().set("resultType", Raw::of("complete")).set("_meta", meta).finish())
}

/// Ends with the session, where there is one; an HTTP stream ends by being dropped.
async fn ended(received: &Received) {
    match &received.session {
        Some(session) => session.ended.cancelled().await,
        None => std::future::pending().await,
    }
}

/// Ends when the subject's credential is no longer good.
async fn withdrawn(gate: &Gate, received: &Received) {
    while gate.current(&received.passage.identified.subject.id).is_some() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn acknowledge(received: &Received, (wants, watches): (Wants, &Watches)) {
    let mut honored = serde_json::Map::new();
    for (name, wanted) in [
        ("toolsListChanged", wants.tools),
        ("promptsListChanged", wants.prompts),
        ("resourcesListChanged", wants.resources),
    ] {
        if wanted {
            honored.insert(name.to_owned(), true.into());
        }
    }
    if !watches.open.is_empty() {
        let uris: Vec<&str> = watches.open.iter().map(|(shown, _, _)| shown.as_str()).collect();
        honored.insert("resourceSubscriptions".to_owned(), uris.into());
    }
    let empty = Members::empty();
    let meta = empty.edit().set(modern::SUBSCRIPTION_ID, Raw::of(&received.id)).finish();
    let params = empty.edit().set("_meta", meta).set("notifications", Raw::of(&honored)).finish();
    let text = notification_text(&Method::ListenAcknowledged, Some(&params));
    received.passage.identified.head.outlet.send(text).await;
}

/// Resources that are watched at their servers for as long as this is kept.
struct Watches {
    gate: Arc<Gate>,
    caller: Caller,
    /// The URI that the client knows, the server, and the server's own URI.
    open: Vec<(String, Arc<Shelf>, String)>,
}

impl Drop for Watches {
    fn drop(&mut self) {
        let (open, caller) = (std::mem::take(&mut self.open), self.caller.clone());
        if !open.is_empty() {
            self.gate.tracker().spawn(async move {
                for (_, shelf, uri) in open {
                    shelf.server().unwatch(&caller, &uri).await;
                }
            });
        }
    }
}

async fn watches(gate: &Arc<Gate>, received: &Received, asked: &Members) -> Watches {
    let mut watches = Watches { gate: Arc::clone(gate), caller: caller(received), open: Vec::new() };
    let uris = asked.get("resourceSubscriptions").and_then(|list| list.elements()).unwrap_or_default();
    let short = |uri: &std::borrow::Cow<'_, str>| uri.len() <= URI_MAX;
    for shown in uris.iter().take(WATCHED_MAX).filter_map(Raw::string).filter(short) {
        let Some((shelf, uri)) = addressee(gate, received, &shown) else { continue };
        // What a server refuses is left out of the acknowledgment: that is how the protocol says no.
        if shelf.server().watch(&watches.caller, &uri).await.is_ok() {
            watches.open.push((shown.into_owned(), shelf, uri));
        }
    }
    watches
}

/// The server of a resource that the subject may watch.
fn addressee(gate: &Gate, received: &Received, shown: &str) -> Option<(Arc<Shelf>, String)> {
    let identified = &received.passage.identified;
    let (shelf, uri) = match &identified.head.endpoint {
        Endpoint::Server(name) => (gate.catalog().shelf(name.as_str())?, shown),
        endpoint => {
            let (server, uri) = unwrap_uri(shown)?;
            let view = gate.catalog().view(&identified.snapshot, endpoint);
            let shelf = view.shelves().iter().find(|shelf| shelf.server().entry().name == server)?;
            (Arc::clone(shelf), uri)
        }
    };
    let resource = Resource::Resource(&shelf.server().entry().name, uri);
    let allowed = identified
        .snapshot
        .policy
        .decide(
            &identified.subject,
            &Request::new(Action::Subscribe, resource).under(circumstances(identified)),
        )
        .effect;
    let is_free = gate.quarantine().of_server(shelf.server().entry().name.as_str()).is_none();
    (is_free && allowed == Effect::Allow && may_see(received, &shelf))
        .then(|| (Arc::clone(&shelf), uri.to_owned()))
}

fn wrong() -> Refusal {
    let message = "subscriptions/listen needs params.notifications, an object";
    Refusal::new(Code::BadParams, message).prescribed(ErrorObject::new(code::INVALID_PARAMS, message))
}
