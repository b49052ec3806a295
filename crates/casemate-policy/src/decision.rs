//! What came out of a judgement, and because of which rules.

use std::fmt;
use std::sync::Arc;

/// Whether something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may be done.
    Allow,
    /// It may not be done.
    Deny,
}

impl Effect {
    /// `allow` or `deny`, as records and rule ids spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Allow => "allow",
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
    /// Whether it may be done.
    pub effect: Effect,
    /// The rules that led here, never empty when it comes from [`crate::Roles::decide`]: at most one for each
    /// of the subject's roles, or `default: deny` when no rule of any role speaks of the request.
    pub rules: Vec<RuleId>,
}
