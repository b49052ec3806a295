//! The policy: all rules of an installation, compiled once and asked often.

mod compile;
mod fit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use casemate_mcp::json::Raw;
use casemate_mcp::names::{RoleName, ServerName};
use cedar_policy::Context as CedarContext;

use crate::arguments::Type;
use crate::confirmed::{Approved, Confirmed, ServerDef};
use crate::decision::{Answerer, Decision, Effect, RuleId};
use crate::fault::PolicyFault;
use crate::judge::{self, Case, Judge, Verdict};
use crate::memo::{Known, Memo, Prepared};
use crate::request::{Action, Request, Resource};
use crate::rule::Rule;
use crate::slice::{Form, Index};
use crate::subject::Subject;
use crate::uri;
use fit::Fits;

/// A role as it is written. The lists hold entries (see `pattern.rs`); what none speaks of is denied.
/// They are about using servers: a configured role never administers anything by its lists.
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

/// A policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name, as records and messages show it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// All that is written about who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyDef {
    /// The configured roles, by name.
    pub roles: BTreeMap<RoleName, RoleDef>,
    /// The servers there are, with what is confirmed of them.
    pub servers: BTreeMap<ServerName, ServerDef>,
    /// The policy files.
    pub files: Vec<PolicyFile>,
}

/// What may be done by whom. Cheap to clone; what it remembers is shared by the clones and gone with the last.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Table>);

/// What is shared is what does not hang on what is confirmed.
#[derive(Debug)]
struct Table {
    rules: Arc<Vec<Rule>>,
    by_id: Arc<HashMap<RuleId, usize>>,
    roles: Arc<BTreeSet<Box<str>>>,
    confirmed: Confirmed,
    index: Arc<Index>,
    judge: Arc<Judge>,
    memo: Memo,
    fits: Arc<Fits>,
    examples: usize,
}

impl Policy {
    /// Compiles what is written and adds the built-in roles. Examples of policy files are judged, and one that comes
    /// out differently is a fault.
    ///
    /// # Errors
    /// All faults, in the order of what is written.
    pub fn compile(def: &PolicyDef) -> Result<Self, Vec<PolicyFault>> {
        // Conditions are trees, and Cedar walks them by recursion: parsed, validated, taken apart.
        stacker::grow(STACK, || compile::policy(def))
    }

    /// The same rules, with these tools confirmed to change nothing besides what is written: a person approved of their
    /// definitions, which say so. What was remembered is not.
    #[must_use]
    pub fn approving(&self, approved: Approved) -> Policy {
        if *self.0.confirmed.approved() == approved {
            return self.clone();
        }
        Policy(Arc::new(Table {
            rules: Arc::clone(&self.0.rules),
            by_id: Arc::clone(&self.0.by_id),
            roles: Arc::clone(&self.0.roles),
            confirmed: self.0.confirmed.approving(approved),
            index: Arc::clone(&self.0.index),
            judge: Arc::clone(&self.0.judge),
            memo: Memo::default(),
            fits: Arc::clone(&self.0.fits),
            examples: self.0.examples,
        }))
    }

    /// Whether these are the tools that [`Policy::approving`] was given.
    #[must_use]
    pub fn is_approving(&self, approved: &Approved) -> bool {
        self.0.confirmed.approved() == approved
    }

    /// The rules that do not fit what a tool declares of its arguments, each with the reason. At the tool's first call they
    /// would deny it; here they are found before.
    #[must_use]
    pub fn misfits(&self, (server, tool): (&ServerName, &str), input_schema: &Raw) -> Vec<(RuleId, String)> {
        fit::misfits(&self.0, Resource::Tool(server, tool), input_schema)
    }

    /// Judges one request. A rule that denies wins over every other; one that asks wins over every rule that allows,
    /// and the operator over the subject; without a rule that allows or asks, for what the subject's scope does not
    /// hold, and when any rule that matters cannot be evaluated, the answer is deny. A role that is not defined
    /// denies everything: what it forbade when it was defined is not known any more.
    ///
    /// [`Action::List`] is answered for what is not known yet: a thing is listed when some circumstances may allow
    /// its use, and a server when something on it may be used. All other actions are judged under the circumstances
    /// of the request.
    #[must_use]
    pub fn decide(&self, subject: &Subject, request: &Request<'_>) -> Decision {
        let question = (subject, request.action, request.resource);
        match self.0.memo.find(question) {
            Some(Known::Decided(decision)) => return decision,
            Some(Known::Prepared(prepared)) => return self.0.judged(&prepared, (subject, request)),
            None => {}
        }
        if let Some(decision) = self.0.closed(question) {
            return decision;
        }
        if request.action == Action::List {
            let decision = self.0.list(subject, request.resource);
            self.0.memo.keep(question, Known::Decided(decision.clone()));
            return decision;
        }
        let prepared = match self.0.prepared(question) {
            Ok(prepared) => prepared,
            Err(why) => return denied(RuleId::new(format!("error: {why}"))),
        };
        let decision = self.0.judged(&prepared, (subject, request));
        let depends = prepared.iter().any(|prepared| !prepared.slice.paths.is_empty());
        let known = if depends { Known::Prepared(prepared) } else { Known::Decided(decision.clone()) };
        self.0.memo.keep(question, known);
        decision
    }

    /// Whether the decision on a request hangs on circumstances: arguments, time, address, authentication, claims.
    #[must_use]
    pub fn needs_circumstances(&self, subject: &Subject, request: &Request<'_>) -> bool {
        let question = (subject, request.action, request.resource);
        if self.0.closed(question).is_some() {
            return false;
        }
        let spelled = self.0.spellings(request.resource, |resource| {
            let slice = self.0.index.slice(&self.0.rules, (subject, request.action, resource), Form::Exact);
            !slice.paths.is_empty()
        });
        spelled.contains(&true)
            && self.0.possible(subject, request.action, request.resource).effect != Effect::Deny
    }

    /// Subjects for whom this is equal see the same.
    #[must_use]
    pub fn sight(&self, subject: &Subject) -> String {
        let mut roles: Vec<&str> = subject.roles.iter().map(RoleName::as_str).collect();
        roles.sort_unstable();
        let who = if self.0.index.names_subjects() { subject.id.as_str() } else { "" };
        let scope: Vec<&str> = subject.scope.iter().flat_map(|scope| scope.patterns()).collect();
        let scoped = if subject.scope.is_some() { "within" } else { "" };
        [who, &roles.join(" "), scoped, &scope.join("\n")].join("\u{0}")
    }

    /// The names of all roles, in order.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.0.roles.iter().map(|name| &**name)
    }

    /// True when a role of that name is defined.
    #[must_use]
    pub fn has_role(&self, name: &RoleName) -> bool {
        self.0.roles.contains(name.as_str())
    }

    /// The rule of that id as a Cedar policy, for people to read.
    #[must_use]
    pub fn text(&self, id: &RuleId) -> Option<String> {
        let rule = self.0.rules.get(*self.0.by_id.get(id)?)?;
        rule.policy.to_cedar()
    }

    /// The number of rules, those of built-in roles included.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.0.rules.len()
    }

    /// The number of examples that were judged when the policy was compiled.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.0.examples
    }
}

impl Table {
    /// What is denied before any rule is asked.
    fn closed(&self, (subject, action, resource): (&Subject, Action, Resource<'_>)) -> Option<Decision> {
        let is_sensible = match action {
            Action::List => matches!(resource, Resource::Server(_)) || resource.thing().is_some(),
            _ => {
                resource.uses().contains(&action)
                    || matches!(resource, Resource::Server(_)) && !action.is_use()
            }
        };
        if !is_sensible {
            return Some(denied(RuleId::new(DEFAULT)));
        }
        let gone = subject.roles.iter().filter(|role| !self.roles.contains(role.as_str()));
        let gone: Vec<RuleId> = gone.map(|role| RuleId::new(format!("role {role}: not defined"))).collect();
        if !gone.is_empty() {
            return Some(Decision { effect: Effect::Deny, rules: gone });
        }
        let within = subject.scope.as_ref().is_none_or(|scope| match (action, resource) {
            (Action::List, Resource::Server(server)) => scope.touches(server, &self.confirmed),
            (Action::View | Action::Administer, _) => false,
            _ => scope.holds(&resource, &self.confirmed),
        });
        (!within).then(|| denied(RuleId::new(BEYOND)))
    }

    fn list(&self, subject: &Subject, resource: Resource<'_>) -> Decision {
        if let Resource::Server(server) = resource {
            return self.sees(subject, server);
        }
        let mut first = None;
        for action in resource.uses() {
            let decision = self.possible(subject, *action, resource);
            if decision.effect != Effect::Deny {
                return decision;
            }
            first.get_or_insert(decision);
        }
        first.unwrap_or_else(|| denied(RuleId::new(DEFAULT)))
    }

    /// A server is seen when some rule may allow something on it and none denies all of it.
    fn sees(&self, subject: &Subject, server: &ServerName) -> Decision {
        let found = self.index.of_server(subject, server.as_str());
        let rules: Vec<&Rule> =
            found.iter().filter_map(|at| self.rules.get(usize::try_from(*at).ok()?)).collect();
        let closing: Vec<RuleId> =
            rules.iter().filter(|rule| rule.closes(server.as_str())).map(|rule| rule.id.clone()).collect();
        if !closing.is_empty() {
            return Decision { effect: Effect::Deny, rules: closing };
        }
        let empty = !self.confirmed.any(server);
        let opening = rules
            .iter()
            .find(|rule| rule.permits && rule.touches(server.as_str()) && !(rule.is_read_only && empty));
        match opening {
            Some(rule) => Decision { effect: Effect::Allow, rules: vec![rule.id.clone()] },
            None => denied(RuleId::new(DEFAULT)),
        }
    }

    /// The decision when nothing is known of the circumstances: conditions on them count as true where they permit
    /// and as false where they forbid.
    fn possible(&self, subject: &Subject, action: Action, resource: Resource<'_>) -> Decision {
        let decisions = self.spellings(resource, |resource| {
            let slice = self.index.slice(&self.rules, (subject, action, resource), Form::Possible);
            let cast = self.judge.cast(Case { subject, action, resource, confirmed: &self.confirmed });
            let judge = |cast| self.judge.judge(&slice.policies, &cast, CedarContext::empty());
            self.weigh(cast.and_then(judge))
        });
        strictest(decisions)
    }

    /// All of a question that does not hang on circumstances.
    fn prepared(
        &self,
        (subject, action, resource): (&Subject, Action, Resource<'_>),
    ) -> Result<Arc<[Prepared]>, String> {
        let prepared = self.spellings(resource, |resource| {
            let slice = self.index.slice(&self.rules, (subject, action, resource), Form::Exact);
            let case = Case { subject, action, resource, confirmed: &self.confirmed };
            self.judge.cast(case).map(|cast| Prepared { slice, cast })
        });
        prepared.into_iter().collect()
    }

    /// The decision under the circumstances.
    fn judged(&self, prepared: &[Prepared], (subject, request): (&Subject, &Request<'_>)) -> Decision {
        let decisions = prepared.iter().map(|Prepared { slice, cast }| {
            let kind = match self.fits.kind(self, (slice, request)) {
                Ok(kind) => kind,
                Err(why) => return denied(RuleId::new(why)),
            };
            let context = judge::context(&self.judge, subject, &request.context, (&slice.paths, &kind));
            self.weigh(context.and_then(|context| self.judge.judge(&slice.policies, cast, context)))
        });
        strictest(decisions)
    }

    /// Asks for each spelling of a resource: as it came, and plain. Rules that compare text would be walked around
    /// by another spelling, so both have to be allowed. The plain one never leaves the judgement.
    fn spellings<T>(&self, resource: Resource<'_>, mut ask: impl FnMut(Resource<'_>) -> T) -> Vec<T> {
        let mut answers = vec![ask(resource)];
        if let Resource::Resource(server, written) = resource {
            let plain = uri::plain(written);
            if plain != written {
                answers.push(ask(Resource::Resource(server, &plain)));
            }
        }
        answers
    }

    /// What Cedar said, as we count it: an error anywhere denies, and what permits may ask.
    fn weigh(&self, verdict: Result<Verdict, String>) -> Decision {
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(why) => return denied(RuleId::new(format!("error: {why}"))),
        };
        if !verdict.errors.is_empty() {
            let rules = verdict.errors.iter().map(|why| RuleId::new(format!("error: {why}"))).collect();
            return Decision { effect: Effect::Deny, rules };
        }
        let mut at: Vec<usize> = verdict
            .reasons
            .iter()
            .filter_map(|id| self.by_id.get(&RuleId::new(id.as_str())).copied())
            .collect();
        at.sort_unstable();
        let rules: Vec<&Rule> = at.iter().filter_map(|at| self.rules.get(*at)).collect();
        let ids = |rules: &[&Rule]| rules.iter().map(|rule| rule.id.clone()).collect();
        if !verdict.allowed {
            let none = rules.is_empty();
            return if none {
                denied(RuleId::new(DEFAULT))
            } else {
                Decision { effect: Effect::Deny, rules: ids(&rules) }
            };
        }
        let asking: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.answerer.is_some()).collect();
        match asking.iter().filter_map(|rule| rule.answerer).max() {
            Some(answerer) => Decision { effect: Effect::Ask(answerer), rules: ids(&asking) },
            None => Decision { effect: Effect::Allow, rules: ids(&rules) },
        }
    }

    fn rule(&self, at: u32) -> Option<&Rule> {
        self.rules.get(usize::try_from(at).ok()?)
    }
}

/// Room for walking the deepest condition that is accepted.
const STACK: usize = 64 << 20;

/// What a decision carries when no rule speaks of the request.
const DEFAULT: &str = "default: deny";

/// What a decision carries when the credential does not reach so far.
const BEYOND: &str = "scope of the credential: deny";

fn denied(rule: RuleId) -> Decision {
    Decision { effect: Effect::Deny, rules: vec![rule] }
}

/// Of decisions that all have to hold, the one that permits least; the first of those that are equal.
fn strictest(decisions: impl IntoIterator<Item = Decision>) -> Decision {
    let rank = |decision: &Decision| match decision.effect {
        Effect::Allow => 0,
        Effect::Ask(Answerer::Subject) => 1,
        Effect::Ask(Answerer::Operator) => 2,
        Effect::Deny => 3,
    };
    let strictest =
        decisions.into_iter().reduce(|first, next| if rank(&next) > rank(&first) { next } else { first });
    strictest.unwrap_or_else(|| denied(RuleId::new(DEFAULT)))
}

/// Nothing is known of the arguments of what has none.
const NOTHING: Type = Type::Open;
