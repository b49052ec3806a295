//! The judgement: who may do what. Deny by default, forbid wins, and every decision names its rules.
//!
//! Knows: roles and the patterns that they are written in, policies in the language Cedar, and how both are weighed
//! against what a subject wants to do. Roles are compiled to Cedar policies, so that there is one engine.
//! Does not know: I/O, the clock, logging, where roles and policies are kept, how a subject proved who it is, or what a
//! server answers. A decision is a pure function of the compiled [`Policy`], the [`Subject`] and the [`Request`]; what is
//! remembered between two of them is only what would come out again.

mod arguments;
mod builtin;
mod calendar;
mod confirmed;
mod decision;
mod example;
mod expression;
mod fault;
mod file;
mod flow;
mod grants;
mod judge;
mod memo;
mod number;
mod pattern;
mod policy;
mod request;
mod rule;
mod schema;
mod scope;
mod slice;
mod subject;
mod uri;

pub use builtin::Builtin;
pub use confirmed::{Approved, ServerDef};
pub use decision::{Answerer, Decision, Effect, RuleId};
pub use example::Example;
pub use fault::{FaultPlace, PolicyFault};
pub use flow::{Conversation, Label, Labels};
pub use pattern::{Pattern, PatternFault, Rule as Entry};
pub use policy::{Policy, PolicyDef, PolicyFile, RoleDef};
pub use request::{Action, Arguments, Context, Request, Resource, ToolFacts};
pub use scope::{Scope, ScopeFault};
pub use subject::{Authentication, Subject, SubjectId, local_subject};
