//! A call that fails for want of a login becomes an invitation to log in, where the client can open an address on the
//! machine that awaits the answer. Elsewhere the refusal says what to run.

use std::sync::Arc;

use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;
use casemate_policy::SubjectId;
use casemate_transport::listener::Peer;
use serde_json::json;

use super::answer::Ticket;
use super::identify::Identified;
use super::inspect::Cleared;
use super::receive::Received;
use crate::gate::Gate;
use crate::refusal::Refusal;
use crate::snapshot::Sharing;
use crate::upstream::{Errand, Invitation};

/// The code under which the revision 2025-11-25 asks a client to open an address and to call again.
const URL_ELICITATION_REQUIRED: i64 = -32042;

/// Who can be asked to open an address: a client that declared it and whose person sits at this machine, since that is
/// where the answer of the authorization server is awaited.
pub(super) fn opener(received: &Received) -> Option<SubjectId> {
    let identified = &received.passage.identified;
    let is_here = match &identified.head.peer {
        Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Peer::Forwarded { .. } => false,
        Peer::Unix { .. } => true,
    };
    let elicitation = received.call.meta.capabilities.object("elicitation")?;
    (is_here && elicitation.has("url")).then(|| identified.subject.id.clone())
}

/// Takes note of a token that an issuer gave the caller, for servers whose entry has it exchanged. Our own keys are
/// shown to no issuer.
pub(super) fn present(gate: &Gate, identified: &Identified) {
    if let Some(credential) = identified.head.credential.as_deref()
        && credential.starts_with("eyJ")
    {
        gate.host().credentials.present(&identified.subject.id, credential);
    }
}

/// Adds the invitation to a refusal that is about a login.
pub(super) async fn offer(
    gate: &Arc<Gate>,
    ticket: &Ticket,
    outcome: Result<Cleared, Refusal>,
) -> Result<Cleared, Refusal> {
    let mut refusal = match outcome {
        Err(refusal) if refusal.login.is_some() => refusal,
        outcome => return outcome,
    };
    let (Some(wanted), Some(subject)) = (&mut refusal.login, &ticket.opener) else { return Err(refusal) };
    let entry = &wanted.entry;
    let is_askable = matches!(ticket.method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead);
    if ticket.revision.is_modern() && !is_askable {
        return Err(refusal);
    }
    let subject = (entry.sharing != Sharing::Shared).then_some(subject);
    let invitation = gate.host().credentials.invite(Errand { entry, subject }).await;
    let Some(invitation) = invitation else { return Err(refusal) };
    let message = format!(
        "The server {} wants a login. Open the address and log in at {}; then the call can go on.",
        entry.name, invitation.issuer
    );
    if ticket.revision.is_modern() {
        wanted.question = Some(question(&invitation, &message));
        return Err(refusal);
    }
    let elicitation = json!({
        "mode": "url", "elicitationId": invitation.id, "url": invitation.url, "message": message,
    });
    let data = Raw::of(&json!({ "elicitations": [elicitation] }));
    let error = ErrorObject { data: Some(data), ..ErrorObject::new(URL_ELICITATION_REQUIRED, message) };
    Err(refusal.prescribed(error))
}

/// The question in the modern dialect. Nothing has to be remembered for it: the client calls again, and either there is
/// a token by then or there is not.
fn question(invitation: &Invitation, message: &str) -> Raw {
    let params = json!({ "mode": "url", "message": message, "url": invitation.url });
    let request = json!({ "method": "elicitation/create", "params": params });
    Raw::of(&json!({ "resultType": "input_required", "inputRequests": { "login": request } }))
}
