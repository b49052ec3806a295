//! Between permission and the deed: is there anything left of the rates and budgets that it uses.

use super::authorize::Permitted;
use super::route::Target;
use crate::catalog::Kind;
use crate::gate::Gate;
use crate::refusal::Refusal;

/// A request that is paid for. Only [`request`] makes one.
#[derive(Debug)]
pub(super) struct Afforded {
    pub(super) permitted: Permitted,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

/// Takes what the request costs from its server, its tool and its subject. What is denied costs nothing, and neither does
/// what we answer ourselves.
///
/// # Errors
/// [`crate::refusal::Code::TooOften`], [`crate::refusal::Code::BudgetSpent`].
pub(super) fn request(gate: &Gate, permitted: Permitted) -> Result<Afforded, Refusal> {
    if let Some(shelf) = permitted.checked.target.shelf() {
        let tool = match &permitted.checked.target {
            Target::Item { kind: Kind::Tools, item, .. } => Some(&*item.name),
            _ => None,
        };
        let subject = &permitted.checked.received.passage.identified.subject;
        gate.limiter().request(subject, &shelf.server().entry().name, tool)?;
    }
    Ok(Afforded { permitted, _seal: Seal })
}
