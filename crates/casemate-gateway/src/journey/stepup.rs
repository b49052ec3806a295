//! What a token's scopes keep from a subject whose roles allow it: the client is told which scope it needs, and can ask
//! for a token that has it.
//!
//! It tells nothing new: whoever gets to read it may know of the thing by their roles.

use casemate_policy::{Action, Authentication, Effect, Resource, Subject};

use super::receive::Received;
use crate::refusal::Refusal;

/// The refusal that names the scope which is missing, where a scope alone is.
pub(super) fn missing(received: &Received, (action, resource): (Action, &Resource<'_>)) -> Option<Refusal> {
    let identified = &received.passage.identified;
    let subject = &identified.subject;
    // A key's scope is for good, so there is nothing to ask for.
    if subject.scope.is_none() || subject.authentication != Authentication::Token {
        return None;
    }
    let may = |subject: &Subject| {
        identified.snapshot.roles.decide(subject, action, resource).effect != Effect::Deny
    };
    let whole = Subject { scope: None, ..(**subject).clone() };
    if may(subject) || !may(&whole) {
        return None;
    }
    let scopes = &identified.snapshot.authorization.scopes;
    let opening = scopes.iter().filter(|(_, scope)| may(&whole.clone().within(scope.holds.clone())));
    // Of several the one that opens least.
    let (name, _) = opening.min_by_key(|(_, scope)| scope.holds.patterns().count())?;
    Some(Refusal::insufficient(vec![name.clone()]).with_detail(format_args!("scope {name} is missing")))
}
