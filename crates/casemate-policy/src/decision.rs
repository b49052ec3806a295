//! What came out of a judgement, and because of which rules.

use std::fmt;
use std::sync::Arc;

/// Whether something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may be done.
    Allow,
    /// It may be done once a person has approved of it.
    Ask(Answerer),
    /// It may not be done.
    Deny,
}

/// Who may approve of what needs approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Answerer {
    /// The person whom the call is made for, through their own client. An agent that runs the client could
    /// answer in their place, so this guards against slips and not against agents.
    Subject,
    /// An operator of this gateway, by a way that no client has.
    #[default]
    Operator,
}

impl Answerer {
    /// Both.
    pub const ALL: [Answerer; 2] = [Answerer::Subject, Answerer::Operator];

    /// `subject` or `operator`, as configurations and policies spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Answerer::Subject => "subject",
            Answerer::Operator => "operator",
        }
    }

    /// The answerer of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Answerer::ALL.into_iter().find(|own| own.as_str() == name)
    }
}

impl Effect {
    /// `allow`, `ask` or `deny`, as records and rule ids spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
            Effect::Ask(_) => "ask",
            Effect::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The stable name of a rule, made of what a person wrote: `role reader: allow git/*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rule that nothing goes out of a conversation in which private data and untrusted text have both been seen.
    #[must_use]
    pub fn flow() -> Self {
        RuleId::new("flows: private and untrusted, then outbound")
    }

    pub(crate) fn new(text: impl Into<Arc<str>>) -> Self {
        RuleId(text.into())
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An effect and the rules that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done. What is shown in lists is what this does not deny: what may be done after a
    /// question can be done.
    pub effect: Effect,
    /// The rules that led here, never empty when it comes from [`crate::Policy::decide`]: those that decided, or
    /// `default: deny` when none speaks of the request.
    pub rules: Vec<RuleId>,
}
