//! Beside the judgement: once private data and untrusted text have both been seen in a conversation, nothing goes out unasked.
//!
//! What was seen is noted when it is on its way to the client, and what goes out is judged before it leaves, so no order of
//! calls gets around it: a call that is sent beside the one that would have told it something knows nothing of that yet.

use casemate_mcp::names::ServerName;
use casemate_policy::{Decision, Effect, Label, Labels, RuleId};

use super::check::Checked;
use super::receive::Received;
use super::route::Target;
use crate::catalog::Kind;
use crate::clock;
use crate::flows::Handle;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal};
use crate::snapshot::{Follow, Verdict};

/// The judgement with the conversation in mind. What the policy denies stays denied.
///
/// # Errors
/// [`Code::FlowDenied`].
pub(super) fn judged(gate: &Gate, checked: &Checked, decision: Decision) -> Result<Decision, Refusal> {
    let (received, target) = (&checked.received, &checked.target);
    let flows = &received.passage.identified.snapshot.flows;
    let goes_out = labels(received, target).has(Label::Outbound) && decision.effect != Effect::Deny;
    if !goes_out || flows.verdict == Verdict::Pass || !gate.flows().is_mixed(&handle(received), now()) {
        return Ok(decision);
    }
    let asked = match (decision.effect, flows.verdict) {
        (_, Verdict::Deny) => return Err(denied(target)),
        (Effect::Ask(answerer), Verdict::Ask(other)) => answerer.max(other),
        (_, Verdict::Ask(answerer)) => answerer,
        (_, Verdict::Pass) => return Ok(decision),
    };
    let mut rules = decision.rules;
    rules.push(RuleId::flow());
    Ok(Decision { effect: Effect::Ask(asked), rules })
}

/// Notes what a conversation is about to see.
pub(super) fn seen(gate: &Gate, received: &Received, target: &Target) {
    note(gate, received, labels(received, target));
}

fn note(gate: &Gate, received: &Received, labels: Labels) {
    if labels.is_empty() {
        return;
    }
    let window = received.passage.identified.snapshot.flows.window;
    let now = now();
    gate.flows().see(&handle(received), labels, (now, now.saturating_add(window.as_secs())));
}

/// Notes that a conversation is about to see what a tool answered before, perhaps in another one.
pub(super) fn seen_again(gate: &Gate, received: &Received, (server, tool): (&ServerName, Option<&str>)) {
    let flows = &received.passage.identified.snapshot.flows;
    note(gate, received, flows.labels(server, tool));
}

/// The labels of what is asked for. A list has none: definitions are judged by themselves, and say nothing of anybody.
fn labels(received: &Received, target: &Target) -> Labels {
    let flows = &received.passage.identified.snapshot.flows;
    let Some(shelf) = target.shelf() else { return Labels::NONE };
    let server = &shelf.server().entry().name;
    match target {
        Target::Item { kind: Kind::Tools, item, .. } => flows.labels(server, Some(&item.name)),
        Target::Task { tools, .. } if !tools.is_empty() => tools
            .iter()
            .flat_map(|tool| flows.labels(server, Some(tool)).iter().collect::<Vec<_>>())
            .collect(),
        Target::Relay { .. } if Kind::of(&received.call.method).is_some() => Labels::NONE,
        _ => flows.labels(server, None),
    }
}

fn handle(received: &Received) -> Handle {
    let identified = &received.passage.identified;
    match (&received.session, identified.snapshot.flows.follow) {
        (Some(session), Follow::Session) => Handle::Session(session.number),
        _ => Handle::Subject(identified.subject.id.clone()),
    }
}

fn denied(target: &Target) -> Refusal {
    let server = target.shelf().map_or("", |shelf| shelf.server().entry().name.as_str());
    let message = format!(
        "Private data and untrusted text have both been seen in this conversation, so nothing goes out through the server \
         {server}; the request was not made. Begin a new conversation for it."
    );
    Refusal::new(Code::FlowDenied, message).with_detail(RuleId::flow())
}

fn now() -> u64 {
    clock::unix_now().as_secs()
}
