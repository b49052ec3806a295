//! One rule: a Cedar policy, and what of it can be told without judging.

use std::collections::BTreeSet;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint,
};
use serde_json::Value;

use crate::decision::{Answerer, RuleId};
use crate::expression::{self, Paths, Side, Whole};
use crate::request::{Action, Resource, USE_BITS};

/// Whom a rule can apply to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Anyone,
    Role(String),
    Subject(String),
}

/// What a rule can apply to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Where {
    Anywhere,
    Server(String),
    /// One thing of a server, by the id of its entity: `git/git_push`.
    Thing(String),
}

/// A policy that is part of the judgement.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) policy: Policy,
    /// The policy for what is not known yet: with conditions on the context taken for true where it permits. `None`
    /// where nothing of a denial is left.
    pub(crate) possible: Option<Policy>,
    pub(crate) who: Who,
    pub(crate) place: Where,
    pub(crate) actions: u8,
    pub(crate) permits: bool,
    /// Whether it holds for all that it can apply to.
    pub(crate) is_plain: bool,
    /// Whether it speaks of things that are confirmed to change nothing, and of no others.
    pub(crate) is_read_only: bool,
    pub(crate) answerer: Option<Answerer>,
    /// What of the context it looks at.
    pub(crate) paths: Paths,
    /// Whether it tells subjects of the same roles apart.
    pub(crate) names_subjects: bool,
}

/// Why a policy that Cedar can read cannot be a rule.
#[derive(Debug)]
pub(crate) enum RuleFault {
    /// It looks at the context in a way that cannot be followed.
    Whole(Whole),
    /// It could not be taken apart.
    Opaque(String),
    /// Its `@ask` names nobody.
    Answerer(String),
    /// It asks about what it denies.
    AskingDenial,
    /// It looks at arguments of what has none.
    ArgumentsWithoutCall,
}

impl Rule {
    /// A policy of a file.
    pub(crate) fn of(policy: Policy) -> Result<Self, RuleFault> {
        let tree = policy.to_json().map_err(|fault| RuleFault::Opaque(fault.to_string()))?;
        let mut paths = Paths::default();
        for condition in expression::conditions(&tree) {
            expression::paths(condition, &mut paths).map_err(RuleFault::Whole)?;
        }
        let mut rule = Rule::simple(policy);
        rule.names_subjects = matches!(rule.who, Who::Subject(_))
            || rule.entities().iter().any(|(kind, _)| kind == "Subject")
            || expression::conditions(&tree).any(expression::looks_at_subject);
        let ask = rule.policy.annotation("ask").map(str::to_owned);
        rule.answerer = match ask {
            None => None,
            Some(_) if !rule.permits => return Err(RuleFault::AskingDenial),
            Some(name) => Some(Answerer::find(&name).ok_or(RuleFault::Answerer(name))?),
        };
        if paths.get("arguments").is_some() && rule.actions != Action::Call.bit() {
            return Err(RuleFault::ArgumentsWithoutCall);
        }
        if !paths.is_empty() {
            rule.possible = rule.approximated(&tree)?;
            rule.paths = paths;
        }
        Ok(rule)
    }

    /// A policy that looks at nothing of the context and asks nobody.
    pub(crate) fn simple(policy: Policy) -> Self {
        let id = RuleId::new(policy.id().to_string());
        let is_typed =
            matches!(policy.resource_constraint(), ResourceConstraint::Is(_) | ResourceConstraint::IsIn(..));
        Rule {
            id,
            possible: Some(policy.clone()),
            who: who(&policy.principal_constraint()),
            place: place(&policy.resource_constraint()),
            actions: actions(&policy.action_constraint()),
            permits: policy.effect() == Effect::Permit,
            is_plain: !policy.has_non_scope_constraint() && !is_typed,
            is_read_only: false,
            answerer: None,
            paths: Paths::default(),
            names_subjects: false,
            policy,
        }
    }

    /// The policy for what is not known of the context yet.
    fn approximated(&self, tree: &Value) -> Result<Option<Policy>, RuleFault> {
        let side = if self.permits { Side::Above } else { Side::Below };
        let context: &dyn Fn(&[&str]) -> bool = &|_| true;
        let change = |body: &Value, side| expression::without(body, side, (context, &expression::certain));
        let tree = expression::with_conditions(tree, change, side);
        let id = PolicyId::new(self.id.as_str());
        Policy::from_json(Some(id), tree).map(Some).map_err(|fault| RuleFault::Opaque(fault.to_string()))
    }

    /// The policy for a validator that knows no tool: without what it looks at of arguments.
    pub(crate) fn without_arguments(&self) -> Result<Policy, RuleFault> {
        let opaque = |fault: String| RuleFault::Opaque(fault);
        if self.paths.get("arguments").is_none() {
            return Ok(self.policy.clone());
        }
        let tree = self.policy.to_json().map_err(|fault| opaque(fault.to_string()))?;
        let arguments: &dyn Fn(&[&str]) -> bool = &|path| path.first() == Some(&"arguments");
        let change =
            |body: &Value, side| expression::without(body, side, (arguments, &expression::uncertain));
        let tree = expression::with_conditions(&tree, change, Side::Above);
        let id = PolicyId::new(self.id.as_str());
        Policy::from_json(Some(id), tree).map_err(|fault| opaque(fault.to_string()))
    }

    /// Whether it may allow something on the server.
    pub(crate) fn touches(&self, server: &str) -> bool {
        let is_here = match &self.place {
            Where::Anywhere => true,
            Where::Server(own) => own == server,
            Where::Thing(id) => id.strip_prefix(server).is_some_and(|rest| rest.starts_with('/')),
        };
        is_here && self.actions & USE_BITS != 0
    }

    /// Whether it can apply to a thing of a server.
    pub(crate) fn concerns(&self, thing: Resource<'_>) -> bool {
        let Some((server, _, name)) = thing.thing() else { return false };
        match &self.place {
            Where::Anywhere => true,
            Where::Server(own) => own == server.as_str(),
            Where::Thing(id) => {
                id.strip_prefix(server.as_str()).and_then(|rest| rest.strip_prefix('/')) == Some(name)
            }
        }
    }

    /// Whether it denies all of the server, whatever else is true.
    pub(crate) fn closes(&self, server: &str) -> bool {
        let is_here = match &self.place {
            Where::Anywhere => true,
            Where::Server(own) => own == server,
            Where::Thing(_) => false,
        };
        is_here && !self.permits && self.is_plain && self.actions & USE_BITS == USE_BITS
    }

    /// The entities that it names.
    pub(crate) fn entities(&self) -> BTreeSet<(String, String)> {
        let named = |uid: EntityUid| (uid.type_name().to_string(), uid.id().unescaped().to_owned());
        self.policy.entity_literals().into_iter().map(named).collect()
    }
}

fn who(constraint: &PrincipalConstraint) -> Who {
    match constraint {
        PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
            let id = uid.id().unescaped().to_owned();
            match uid.type_name().to_string().as_str() {
                "Role" => Who::Role(id),
                "Subject" => Who::Subject(id),
                _ => Who::Anyone,
            }
        }
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => Who::Anyone,
    }
}

fn place(constraint: &ResourceConstraint) -> Where {
    match constraint {
        ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
            let id = uid.id().unescaped().to_owned();
            match uid.type_name().to_string().as_str() {
                "Server" => Where::Server(id),
                "Tool" | "Prompt" | "Resource" => Where::Thing(id),
                _ => Where::Anywhere,
            }
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => Where::Anywhere,
    }
}

fn actions(constraint: &ActionConstraint) -> u8 {
    match constraint {
        ActionConstraint::Any => u8::MAX,
        ActionConstraint::Eq(uid) => bits(uid),
        ActionConstraint::In(uids) => uids.iter().map(bits).fold(0, |all, bits| all | bits),
    }
}

fn bits(uid: &EntityUid) -> u8 {
    match uid.id().unescaped() {
        "use" => USE_BITS,
        name => Action::find(name).map_or(0, Action::bit),
    }
}
