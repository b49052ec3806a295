//! The judgement: who may do what. Deny by default, forbid wins, and every decision names its rules.
//!
//! Knows: roles, the patterns that roles are written in, and how a subject's roles are weighed against an
//! action on a resource.
//! Does not know: I/O, the clock, logging, where roles are written, how a subject proved who it is, or what a
//! server answers. A decision is a pure function of the compiled [`Roles`], the [`Subject`], the [`Action`]
//! and the [`Resource`]; nothing is remembered between two of them.

mod decision;
mod pattern;
mod request;
mod roles;
mod scope;
mod subject;
mod uri;

pub use decision::{Answerer, Decision, Effect, RuleId};
pub use pattern::{Pattern, PatternFault};
pub use request::{Action, Resource};
pub use roles::{Builtin, RoleDef, RoleFault, Roles};
pub use scope::{Scope, ScopeFault};
pub use subject::{Authentication, Subject, SubjectId, local_subject};
