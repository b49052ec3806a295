//! What a client tells us without wanting an answer.

use std::sync::Arc;

use casemate_mcp::call::{Meta, Notice};
use casemate_mcp::frame::{ErrorObject, Id};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_policy::{Action, Effect, Request, Resource};

use crate::catalog::Shelf;
use crate::client::Session;
use crate::gate::Gate;
use crate::journey::admit::Admitted;

/// A notification, or the reply to a question.
pub(super) type What = Result<(Method, Option<Members>), (Option<Id>, Result<Raw, ErrorObject>)>;

/// Something that a client told us.
pub(in crate::journey) struct Told {
    pub(super) passage: Arc<Admitted>,
    pub(super) session: Option<Arc<Session>>,
    pub(super) hello: Option<Meta>,
    pub(super) what: What,
}

impl Told {
    /// Brings it where it belongs. What belongs nowhere is dropped, as JSON-RPC has it.
    pub(in crate::journey) async fn deliver(self, gate: &Gate) {
        let Some(session) = &self.session else { return };
        session.touch();
        match self.what {
            Err((Some(id), reply)) => _ = session.questions.reply(&id, reply),
            Err((None, _)) => {}
            Ok((Method::Cancelled, Some(params))) => {
                if let Some(id) = params.get("requestId").and_then(|raw| Id::read(&raw)) {
                    session.cancel(&id);
                }
            }
            Ok((method @ Method::RootsChanged, _)) => {
                let Some(hello) = &self.hello else { return };
                let identified = &self.passage.identified;
                let view = gate.catalog().view(&identified.snapshot, &identified.head.endpoint);
                let caller = crate::upstream::Caller {
                    subject: identified.subject.id.clone(),
                    capabilities: hello.capabilities.edit().remove("tasks").members(),
                    timeout: None,
                    replay_safe: false,
                    param_headers: Vec::new(),
                };
                // It says that something changed and has nothing to carry; what it carried would be on no record.
                let notice = Notice { method, params: None };
                let seen = |shelf: &&Arc<Shelf>| {
                    let server = Resource::Server(&shelf.server().entry().name);
                    let decision = identified
                        .snapshot
                        .policy
                        .decide(&identified.subject, &Request::new(Action::List, server));
                    decision.effect == Effect::Allow
                };
                for shelf in view.shelves().iter().filter(seen) {
                    shelf.server().notify(&caller, &notice).await;
                }
            }
            Ok(_) => {}
        }
    }
}
