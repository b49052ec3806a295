//! Roles, compiled once and asked often.

mod builtin;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use casemate_mcp::names::{RoleName, ServerName};
use thiserror::Error;

pub use builtin::Builtin;

use crate::decision::{Answerer, Decision, Effect, RuleId};
use crate::pattern::{Pattern, PatternFault};
use crate::request::{Action, Place, Question, Resource, Thing};
use crate::subject::Subject;
use crate::uri;
use rules::Rules;

/// A role as it is written. The lists hold patterns (see `pattern.rs`); what none speaks of is denied.
/// Patterns are about using servers: a configured role never administers anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleDef {
    /// What the role may use.
    pub allow: Vec<String>,
    /// What the role may not use, whatever this or any other role of the subject allows.
    pub deny: Vec<String>,
    /// What the role may use once a person has approved of the call.
    pub ask: Vec<String>,
    /// Who may approve.
    pub answerer: Answerer,
}

/// Why roles cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleFault {
    /// A configured role has the name of a built-in one.
    #[error("role `{role}` is built in and cannot be redefined: choose another name")]
    Builtin {
        /// The name.
        role: RoleName,
    },
    /// Two definitions of one name.
    #[error("role `{role}` is defined twice")]
    Twice {
        /// The name.
        role: RoleName,
    },
    /// A pattern that cannot be read.
    #[error("role `{role}`: {effect} pattern `{pattern}`: {why}")]
    Pattern {
        /// The role that has it.
        role: RoleName,
        /// The list that has it.
        effect: Effect,
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        why: PatternFault,
    },
}

/// All roles of an installation, built-in ones included. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Roles(Arc<Table>);

#[derive(Debug)]
struct Table {
    roles: BTreeMap<Box<str>, Role>,
    /// What a decision carries when no rule speaks of the request.
    default: RuleId,
    /// What a decision carries when the credential does not reach so far.
    beyond: RuleId,
}

/// One role. Rules for all servers stand apart, so that a lookup touches two tables and scans no others.
#[derive(Debug, Default)]
struct Role {
    everywhere: Sides,
    servers: HashMap<ServerName, Sides>,
    administration: Vec<(Action, Place, RuleId)>,
    answerer: Answerer,
}

#[derive(Debug, Default)]
struct Sides {
    allow: Rules,
    deny: Rules,
    ask: Rules,
}

impl Roles {
    /// Compiles the configured roles and adds the built-in ones.
    ///
    /// # Errors
    /// The first [`RoleFault`], in the order given. Who wants to report all of them checks each pattern with
    /// [`Pattern::parse`] and each name with [`Builtin::find`] first.
    pub fn compile(defs: impl IntoIterator<Item = (RoleName, RoleDef)>) -> Result<Self, RoleFault> {
        let mut roles: BTreeMap<Box<str>, Role> =
            Builtin::ALL.into_iter().map(|own| (own.as_str().into(), Role::built_in(own))).collect();
        for (name, def) in defs {
            if Builtin::find(&name).is_some() {
                return Err(RoleFault::Builtin { role: name });
            }
            let role = Role::compile(&name, &def)?;
            if roles.insert(name.as_str().into(), role).is_some() {
                return Err(RoleFault::Twice { role: name });
            }
        }
        let (default, beyond) = (RuleId::new("default: deny"), RuleId::new("scope of the credential: deny"));
        Ok(Roles(Arc::new(Table { roles, default, beyond })))
    }

    /// Judges one request. A rule that denies, in any of the subject's roles, wins over every other; one that asks
    /// wins over every rule that allows, and the operator over the subject; without a rule that allows or asks, and
    /// for what the subject's scope does not hold, the answer is deny. A role that is not defined denies everything: what it
    /// forbade when it was defined is not known any more. To list a tool, prompt or resource is judged as using it. To list a server is allowed when some rule allows something on it and none denies
    /// all of it.
    #[must_use]
    pub fn decide(&self, subject: &Subject, action: Action, resource: &Resource<'_>) -> Decision {
        let Some(question) = Question::of(action, *resource) else {
            return self.default();
        };
        if !in_scope(subject, question, resource) {
            return Decision { effect: Effect::Deny, rules: vec![self.0.beyond.clone()] };
        }
        let decision = self.judge(subject, question);
        if let (Effect::Allow | Effect::Ask(_), Question::Use(server, Thing::Resource, uri)) =
            (decision.effect, question)
        {
            let plain = uri::plain(uri);
            let second = self.judge(subject, Question::Use(server, Thing::PlainResource, &plain));
            return stricter(decision, second);
        }
        decision
    }

    /// The names of all roles, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.roles.keys().map(|name| &**name)
    }

    /// True when a role of that name is defined.
    #[must_use]
    pub fn contains(&self, name: &RoleName) -> bool {
        self.0.roles.contains_key(name.as_str())
    }

    fn judge(&self, subject: &Subject, question: Question<'_>) -> Decision {
        let mut allowing = Vec::new();
        let mut denying = Vec::new();
        let mut asking = Vec::new();
        for name in &subject.roles {
            let Some(role) = self.0.roles.get(name.as_str()) else {
                denying.push(RuleId::new(format!("role {name}: not defined")));
                continue;
            };
            if let Some(rule) = role.denies(question) {
                denying.push(rule.clone());
            } else if let Some(rule) = role.asks(question) {
                asking.push((role.answerer, rule.clone()));
            } else if let Some(rule) = role.allows(question) {
                allowing.push(rule.clone());
            }
        }
        if !denying.is_empty() {
            Decision { effect: Effect::Deny, rules: denying }
        } else if let Some(answerer) = asking.iter().map(|(answerer, _)| *answerer).max() {
            Decision { effect: Effect::Ask(answerer), rules: asking.into_iter().map(|(_, id)| id).collect() }
        } else if allowing.is_empty() {
            self.default()
        } else {
            Decision { effect: Effect::Allow, rules: allowing }
        }
    }

    fn default(&self) -> Decision {
        Decision { effect: Effect::Deny, rules: vec![self.0.default.clone()] }
    }
}

impl Role {
    fn built_in(own: Builtin) -> Self {
        let mut role = Role::default();
        if own.uses_servers() {
            role.add(own.as_str(), Effect::Allow, &Pattern::everything());
        }
        for (action, place) in own.administration() {
            let id = format!("role {}: allow {} {}", own.as_str(), action.as_str(), place.as_str());
            role.administration.push((*action, *place, RuleId::new(id)));
        }
        role
    }

    fn compile(name: &RoleName, def: &RoleDef) -> Result<Self, RoleFault> {
        let mut role = Role { answerer: def.answerer, ..Role::default() };
        let ask = Effect::Ask(def.answerer);
        for (effect, texts) in [(Effect::Allow, &def.allow), (Effect::Deny, &def.deny), (ask, &def.ask)] {
            for text in texts {
                let pattern = Pattern::parse(text).map_err(|why| RoleFault::Pattern {
                    role: name.clone(),
                    effect,
                    pattern: text.clone(),
                    why,
                })?;
                role.add(name.as_str(), effect, &pattern);
            }
        }
        Ok(role)
    }

    fn add(&mut self, name: &str, effect: Effect, pattern: &Pattern) {
        let id = RuleId::new(format!("role {name}: {effect} {pattern}"));
        let sides = match pattern.server() {
            Some(server) => self.servers.entry(server.clone()).or_default(),
            None => &mut self.everywhere,
        };
        let rules = match effect {
            Effect::Allow => &mut sides.allow,
            Effect::Deny => &mut sides.deny,
            Effect::Ask(_) => &mut sides.ask,
        };
        rules.add(pattern.selection(), &id);
    }

    fn denies(&self, question: Question<'_>) -> Option<&RuleId> {
        match question {
            Question::See(server) => self.find(server, |sides| sides.deny.whole()),
            Question::Use(server, thing, name) => self.find(server, |sides| sides.deny.find(thing, name)),
            Question::Govern(..) => None,
        }
    }

    fn asks(&self, question: Question<'_>) -> Option<&RuleId> {
        match question {
            // To see a server is no call that anybody could approve of.
            Question::See(_) | Question::Govern(..) => None,
            Question::Use(server, thing, name) => self.find(server, |sides| sides.ask.find(thing, name)),
        }
    }

    fn allows(&self, question: Question<'_>) -> Option<&RuleId> {
        match question {
            Question::See(server) => {
                self.find(server, |sides| sides.allow.first().or_else(|| sides.ask.first()))
            }
            Question::Use(server, thing, name) => self.find(server, |sides| sides.allow.find(thing, name)),
            Question::Govern(action, place) => self
                .administration
                .iter()
                .find(|(own_action, own_place, _)| *own_action == action && *own_place == place)
                .map(|(_, _, id)| id),
        }
    }

    fn find<'a>(
        &'a self,
        server: &ServerName,
        pick: impl Fn(&'a Sides) -> Option<&'a RuleId>,
    ) -> Option<&'a RuleId> {
        pick(&self.everywhere).or_else(|| self.servers.get(server).and_then(pick))
    }
}

/// True when the subject's credential reaches so far.
fn in_scope(subject: &Subject, question: Question<'_>, resource: &Resource<'_>) -> bool {
    subject.scope.as_ref().is_none_or(|scope| match question {
        Question::See(server) => scope.touches(server),
        Question::Use(..) => scope.holds(resource),
        Question::Govern(..) => false,
    })
}

/// Of two decisions that both have to hold, the one that permits less; the first when they are equal.
fn stricter(first: Decision, second: Decision) -> Decision {
    let rank = |decision: &Decision| match decision.effect {
        Effect::Allow => 0,
        Effect::Ask(Answerer::Subject) => 1,
        Effect::Ask(Answerer::Operator) => 2,
        Effect::Deny => 3,
    };
    if rank(&second) > rank(&first) { second } else { first }
}
