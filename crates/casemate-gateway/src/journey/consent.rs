//! Between the judgement and permission: a person is asked, where a rule wants that.
//!
//! ```text
//! approved already ─────────────────────────────────────────► permitted
//! the subject may answer ─ modern client ─► input_required, and its retry ─► permitted, or not
//!                        └ legacy client ─► a request on its stream ───────► permitted, or not
//! else: the queue of operators ─ legacy client ─► the call waits ──────────► permitted, or not
//!                              └ modern client ─► CM1602 with the question's name; its retry passes
//! ```
//! An operator's question never travels to a client: an agent that runs the client would answer it.

mod question;

use casemate_mcp::json::{Members, Raw};
use casemate_policy::{Answerer, RuleId};
use sha2::{Digest, Sha256};

use super::authorize::{Asked, Judged, Permitted};
use super::check::Checked;
use super::exchange::{EXCHANGE, bare, state};
use super::forward::Answered;
use super::intercept::Heard;
use super::receive::Received;
use super::route::Target;
use crate::approvals::{Answer, Claim, Extent, refused_by_a_person};
use crate::clock;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal, Retry};
use casemate_mcp::call::{self};
use std::time::Duration;

/// When a client that cannot wait should come again.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// What came of asking.
pub(super) enum Consent {
    /// It may be made.
    Given(Permitted),
    /// The client is asked; what it is told.
    Question(Raw),
}

/// Proof that a person approved. Made here alone.
#[derive(Debug)]
pub(super) struct Approved(());

/// Asks a person, where the judgement wants that.
///
/// # Errors
/// [`Code::NeedsApproval`] when there is no answer yet, [`Code::NotApproved`] when it was no.
pub(super) async fn given(gate: &Gate, heard: Heard) -> Result<Consent, Refusal> {
    match heard.judged {
        Judged::Permitted(permitted) => Ok(Consent::Given(permitted)),
        // On the heap, so that calls about which nobody is asked do not carry the room for it.
        Judged::Asked(asked) => Box::pin(ask(gate, asked)).await,
    }
}

async fn ask(gate: &Gate, mut asked: Asked) -> Result<Consent, Refusal> {
    let claim = claim(&asked.checked);
    asked.checked.received.approved = Some(claim.digest());
    let approvals = gate.approvals();
    let follows = part(&asked.checked.received, state(&asked.checked.received.call.params).as_deref());
    if follows.is_some_and(|part| approvals.goes_on(&part)) || approvals.take(&claim).await? {
        return Ok(Consent::Given(asked.permitted(Approved(()))));
    }
    if asked.answerer == Answerer::Subject {
        match question::to_subject(gate, &claim, &asked).await? {
            question::Reply::Yes => return Ok(Consent::Given(without_reply(asked).permitted(Approved(())))),
            question::Reply::Later(text) => return Ok(Consent::Question(text)),
            question::Reply::CannotBeAsked => {}
        }
    }
    queue(gate, &claim, &asked).await?;
    Ok(Consent::Given(asked.permitted(Approved(()))))
}

/// Remembers that an approved call goes on, when its server asks something before it is done.
pub(super) fn follow(gate: &Gate, answered: &Answered) {
    let call::Answer::Result(result) = &answered.answer else { return };
    if answered.received.approved.is_none() {
        return;
    }
    let Some(members) = result.members() else { return };
    if members.string("resultType").as_deref() != Some("input_required") {
        return;
    }
    if let Some(part) = part(&answered.received, members.string("requestState").as_deref()) {
        let expire = answered.received.passage.identified.snapshot.limits.approvals.expire_after;
        gate.approvals().go_on(part, clock::unix_now().as_secs().saturating_add(expire.as_secs()));
    }
}

/// Puts the question into the queue, and waits for its answer where the client can wait.
async fn queue(gate: &Gate, claim: &Claim, asked: &Asked) -> Result<(), Refusal> {
    let received = &asked.checked.received;
    let limits = received.passage.identified.snapshot.limits.approvals;
    let approvals = gate.approvals();
    let deadline = clock::instant() + limits.wait_max;
    // Listening begins before asking, so that no answer is missed.
    let mut turns = approvals.turns();
    let id = approvals.ask(claim, (asked.answerer, rules(asked)), &limits).await?;
    let open = needs(asked.answerer, &id);
    if received.call.meta.revision.is_modern() {
        // It is stateless, and comes again.
        return Err(open);
    }
    let Some(_waiting) = approvals.wait(&limits) else { return Err(open) };
    loop {
        if !is_current(gate, received) {
            return Err(open);
        }
        if approvals.take(claim).await? {
            return Ok(());
        }
        // Of several calls that wait for one approval, one was made with it.
        if !approvals.is_open(&id) {
            return Err(open);
        }
        tokio::select! {
            turned = turns.changed() => if turned.is_err() { return Err(open) },
            () = tokio::time::sleep_until(deadline) => return Err(open),
            () = gate.stopping() => return Err(super::admit::stopping()),
        }
    }
}

/// Whether what the call was judged by still holds: a credential may have been withdrawn, and a rule changed, while it
/// waited. Otherwise it has to be sent again, and is judged anew.
fn is_current(gate: &Gate, received: &Received) -> bool {
    let identified = &received.passage.identified;
    gate.snapshot().version == identified.snapshot.version && gate.current(&identified.subject.id).is_some()
}

fn needs(answerer: Answerer, id: &str) -> Refusal {
    let who = match answerer {
        Answerer::Subject => "the person whom it is made for, and this client cannot ask them",
        Answerer::Operator => "an operator of this gateway",
    };
    let message = format!(
        "This call needs the approval of {who}; it was not made. Its question is {id}: `casemate approvals show {id}`. \
         Send the same call again once it is approved."
    );
    let refusal = Refusal::new(Code::NeedsApproval, message).with_retry(Retry::After(COME_AGAIN));
    Refusal { approval: Some(id.into()), ..refusal }
}

/// What the call is, as it will be made: only what belongs to this exchange and not to the call is left out.
fn claim(checked: &Checked) -> Claim {
    let Checked { received, target, .. } = checked;
    let params = &received.call.params;
    let (name, extent, arguments) = match target {
        Target::Item { item, .. } if is_plain(params) => {
            (item.name.clone(), Extent::Arguments, params.get("arguments").unwrap_or(Raw::EMPTY_OBJECT))
        }
        Target::Item { item, .. } => (item.name.clone(), Extent::Params, bare(params)),
        Target::Uri { uri, .. } => (uri.as_str().into(), Extent::Params, bare(params)),
        Target::Own(_) | Target::Completion { .. } | Target::Task { .. } | Target::Relay { .. } => {
            (received.asked().into(), Extent::Params, bare(params))
        }
    };
    Claim {
        subject: received.passage.identified.subject.id.clone(),
        server: target.shelf().map_or("", |shelf| shelf.server().entry().name.as_str()).into(),
        method: received.call.method.as_str().into(),
        name,
        extent,
        arguments,
        session: received.session.as_ref().map(|session| session.number),
    }
}

/// Whether there is nothing in the params that a person would not be shown with the name and the arguments.
fn is_plain(params: &Members) -> bool {
    params.iter().all(|(name, _)| ["name", "arguments"].contains(&&*name) || EXCHANGE.contains(&&*name))
}

/// The call without the reply to our question, which is nothing for its server.
fn without_reply(mut asked: Asked) -> Asked {
    let call = &mut asked.checked.received.call;
    if call.meta.revision.is_modern() {
        call.params = call.params.edit().remove("inputResponses").remove("requestState").members();
    }
    asked
}

/// What stands for a part of an approved call: who makes it, what it is, and the state that its server gave.
fn part(received: &Received, state: Option<&str>) -> Option<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(received.approved?);
    hash.update(received.passage.identified.subject.id.as_str());
    hash.update([0]);
    hash.update(state?);
    Some(hash.finalize().into())
}

fn rules(asked: &Asked) -> Vec<String> {
    asked.decision.rules.iter().map(RuleId::as_str).map(str::to_owned).collect()
}

/// What a person's answer means for the call.
fn outcome(answer: Answer) -> Result<(), Refusal> {
    if answer == Answer::Deny { Err(refused_by_a_person(None)) } else { Ok(()) }
}
