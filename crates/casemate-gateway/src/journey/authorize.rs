//! Stage 7: may the subject do that. Deny by default; the decision names its rules.

use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::task;
use casemate_policy::{Action, Answerer, Arguments, Context, Decision, Effect, Request, Resource, ToolFacts};
use casemate_transport::listener::Peer;
use serde_json::json;

use super::check::Checked;
use super::consent::Approved;
use super::flow;
use super::identify::Identified;
use super::receive::Received;
use super::route::{About, Target, denied_by, no_item, no_resource};
use super::stepup;
use crate::catalog::{Item, Kind, Shelf};
use crate::clock;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal, Remediation};

/// A request that may be made. Only [`decide`] makes one, so whoever holds it was permitted.
#[derive(Debug)]
pub(super) struct Permitted {
    pub(super) checked: Checked,
    pub(super) decision: Decision,
    _seal: Seal,
}

/// What the policy said of a request that it does not deny.
#[derive(Debug)]
pub(super) enum Judged {
    /// It may be made.
    Permitted(Permitted),
    /// It may be made once a person approved of it.
    Asked(Asked),
}

impl Judged {
    /// The request.
    pub(super) fn checked(&self) -> &Checked {
        match self {
            Judged::Permitted(permitted) => &permitted.checked,
            Judged::Asked(asked) => &asked.checked,
        }
    }

    /// The request, to be judged anew.
    pub(super) fn into_checked(self) -> Checked {
        match self {
            Judged::Permitted(permitted) => permitted.checked,
            Judged::Asked(asked) => asked.checked,
        }
    }

    /// What is asked, to note what was said of it.
    pub(super) fn received_mut(&mut self) -> &mut Received {
        match self {
            Judged::Permitted(permitted) => &mut permitted.checked.received,
            Judged::Asked(asked) => &mut asked.checked.received,
        }
    }
}

/// A request that a person has to approve of.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) checked: Checked,
    pub(super) decision: Decision,
    pub(super) answerer: Answerer,
}

impl Asked {
    /// It may be made, for a person said so.
    pub(super) fn permitted(self, _: Approved) -> Permitted {
        Permitted { checked: self.checked, decision: self.decision, _seal: Seal }
    }
}

#[derive(Debug)]
struct Seal;

/// Asks the policy.
///
/// # Errors
/// The same answer as for what does not exist, so that nobody learns names by asking; [`Code::FlowDenied`].
pub(super) fn decide(gate: &Gate, checked: Checked) -> Result<Judged, Refusal> {
    let identified = &checked.received.passage.identified;
    let (action, resource) = question(&checked);
    let decision = match action {
        // What we answer ourselves shows only what the subject may see anyway.
        None => Decision { effect: Effect::Allow, rules: Vec::new() },
        Some(action) => flow::judged(gate, &checked, judged(&checked, action, resource))?,
    };
    match decision.effect {
        Effect::Allow | Effect::Ask(_)
            if is_anothers_task(gate, &checked) || is_of_unseen(identified, &checked.target) =>
        {
            Err(no_task(&checked.received))
        }
        Effect::Allow => Ok(Judged::Permitted(Permitted { checked, decision, _seal: Seal })),
        Effect::Ask(answerer) => Ok(Judged::Asked(Asked { checked, decision, answerer })),
        Effect::Deny => {
            let missing = action.and_then(|action| stepup::missing(&checked.received, (action, &resource)));
            let refused = || match is_seen(identified, resource) {
                true => forbidden(),
                false => denied(&checked),
            };
            Err(missing.unwrap_or_else(|| refused().with_detail(denied_by(&decision))))
        }
    }
}

/// Judges the request as it will be made: with the arguments that a profile fills in.
fn judged(checked: &Checked, action: Action, resource: Resource<'_>) -> Decision {
    let identified = &checked.received.passage.identified;
    let given = checked.received.call.params.object("arguments");
    let given = given.unwrap_or_else(Members::empty);
    let item: Option<&Item> = match (&checked.target, action) {
        (Target::Item { item, .. }, Action::Call) => Some(item),
        _ => None,
    };
    let (schema, annotations) = (item.and_then(Item::input_schema), item.and_then(Item::annotations));
    let tool = item.map(|_| ToolFacts { input_schema: schema.as_ref(), annotations: annotations.as_ref() });
    let arguments = if item.is_some() { Arguments::Given(&given) } else { Arguments::None };
    let context = Context { arguments, tool, ..circumstances(identified) };
    identified.snapshot.policy.decide(&identified.subject, &Request::new(action, resource).under(context))
}

/// What is known of every request: when it came, and from where.
pub(super) fn circumstances(identified: &Identified) -> Context<'static> {
    let address = match &identified.head.peer {
        Peer::Tcp(address) => Some(address.ip().to_canonical()),
        Peer::Forwarded { client, .. } => Some(client.to_canonical()),
        Peer::Unix { .. } => None,
    };
    Context { unix_ms: clock::unix_ms(), address, ..Context::default() }
}

/// Whether the subject sees the thing in lists: then what it is denied is this request and not the thing, and to say so
/// tells nothing new.
fn is_seen(identified: &Identified, resource: Resource<'_>) -> bool {
    let listed = Request::new(Action::List, resource);
    identified.snapshot.policy.decide(&identified.subject, &listed).effect != Effect::Deny
}

/// The answer for what could be allowed under other circumstances. Which those are is not disclosed.
fn forbidden() -> Refusal {
    let message = "The rules of this gateway do not allow this request as it is; it was not made.";
    Refusal::new(Code::Denied, message).denying(Remediation::Undisclosed)
}

fn question(checked: &Checked) -> (Option<Action>, Resource<'_>) {
    let method = &checked.received.call.method;
    let Some(shelf) = checked.target.shelf() else { return (None, Resource::Gateway) };
    let server = &shelf.server().entry().name;
    match &checked.target {
        Target::Own(_) => (None, Resource::Gateway),
        Target::Item { kind: Kind::Prompts, item, .. } => {
            (Some(Action::Get), Resource::Prompt(server, &item.name))
        }
        Target::Item { item, .. } => (Some(Action::Call), Resource::Tool(server, &item.name)),
        Target::Uri { uri, .. } if *method == Method::ResourcesRead => {
            (Some(Action::Read), Resource::Resource(server, uri))
        }
        Target::Uri { uri, .. } => (Some(Action::Subscribe), Resource::Resource(server, uri)),
        Target::Completion { about: About::Prompt(name), .. } => {
            (Some(Action::Complete), Resource::Prompt(server, name))
        }
        Target::Completion { about: About::Template(uri), .. } => {
            (Some(Action::Complete), Resource::Resource(server, uri))
        }
        // Whoever may no longer know of the tool may not ask what became of it either. Its arguments were judged when the
        // task began.
        Target::Task { tools, .. } if let Some(tool) = tools.last() => {
            (Some(Action::List), Resource::Tool(server, tool))
        }
        Target::Relay { .. } if Kind::of(method).is_some() => (Some(Action::List), Resource::Server(server)),
        // A method that we do not know is judged like a tool of that name: `server/*` allows it, a list of
        // tools does not.
        Target::Task { .. } | Target::Relay { .. } => {
            (Some(Action::Call), Resource::Tool(server, method.as_str()))
        }
    }
}

/// Whether a task is asked for that this subject did not begin, at a server that could not tell.
fn is_anothers_task(gate: &Gate, checked: &Checked) -> bool {
    let Target::Task { shelf, .. } = &checked.target else { return false };
    let id = checked.received.call.params.string("taskId").unwrap_or_default();
    is_anothers(gate, &checked.received, (shelf, &id))
}

/// Whether a server that could not tell has a task under this id that the subject did not begin.
pub(super) fn is_anothers(gate: &Gate, received: &Received, (shelf, id): (&Shelf, &str)) -> bool {
    let entry = shelf.server().entry();
    let subject = &received.passage.identified.subject.id;
    entry.mixes_subjects() && !gate.tasks().is_own(&entry.name, id, subject)
}

/// Whether a task could be of a tool that the subject may not know of any more.
fn is_of_unseen(identified: &Identified, target: &Target) -> bool {
    let Target::Task { shelf, tools, .. } = target else { return false };
    let server = &shelf.server().entry().name;
    tools.len() > 1 && tools.iter().any(|tool| !is_seen(identified, Resource::Tool(server, tool)))
}

/// A modern client that did not declare the extension is told so first, as the protocol prescribes; that says nothing of
/// any task.
///
/// # Errors
/// [`Code::CannotAsk`] in the form that the protocol prescribes.
pub(super) fn undeclared(received: &Received) -> Result<(), Refusal> {
    let meta = &received.call.meta;
    if !meta.revision.is_modern() || task::has_extension(&meta.capabilities) {
        return Ok(());
    }
    let extension = task::EXTENSION;
    let message = format!("Declare the extension {extension} to call this as a task, and to ask for tasks.");
    let error = ErrorObject {
        data: Some(Raw::of(&json!({ "requiredCapabilities": { "extensions": { extension: {} } } }))),
        ..ErrorObject::new(code::MISSING_CAPABILITY, message.clone())
    };
    Err(Refusal::new(Code::CannotAsk, message).prescribed(error))
}

/// The answer for a task that is not there, and for one that is not the subject's.
pub(super) fn no_task(received: &Received) -> Refusal {
    let message = format!("Unknown task: {}", received.asked());
    Refusal::new(Code::Unknown, message.clone()).prescribed(ErrorObject::new(code::INVALID_PARAMS, message))
}

/// The answer that gives nothing away.
fn denied(checked: &Checked) -> Refusal {
    match &checked.target {
        Target::Item { kind, .. } => no_item(*kind, checked.received.asked()),
        Target::Uri { .. } => no_resource(checked.received.asked()),
        Target::Completion { .. } => no_item(Kind::Prompts, checked.received.asked()),
        Target::Task { .. } => no_task(&checked.received),
        Target::Own(_) | Target::Relay { .. } => {
            Refusal::new(Code::Denied, format!("You may not use {} here.", checked.received.call.method))
        }
    }
}
