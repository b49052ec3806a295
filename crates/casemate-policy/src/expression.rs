//! Conditions of policies as trees: what of the context they look at, and what is left of them when that is not known.
//!
//! The trees are Cedar's own JSON form of an expression: an object with one member, named for the operator.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The members of the context that conditions look at, as a tree of names. A name without children is a leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Paths(pub(crate) BTreeMap<String, Paths>);

impl Paths {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Paths> {
        self.0.get(name)
    }

    pub(crate) fn merge(&mut self, other: &Paths) {
        for (name, below) in &other.0 {
            self.0.entry(name.clone()).or_default().merge(below);
        }
    }

    fn add(&mut self, path: &[&str]) {
        let mut at = self;
        for name in path {
            at = at.0.entry((*name).to_owned()).or_default();
        }
    }
}

/// Which side of the truth an approximation may err on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// True wherever the condition can be true.
    Above,
    /// False wherever the condition can be false.
    Below,
}

impl Side {
    fn flipped(self) -> Side {
        match self {
            Side::Above => Side::Below,
            Side::Below => Side::Above,
        }
    }
}

/// What a condition uses that cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// `context` without a member.
    Context,
    /// `context.arguments` without a name.
    Arguments,
}

/// Collects the paths that a condition looks at.
pub(crate) fn paths(expression: &Value, found: &mut Paths) -> Result<(), Whole> {
    if let Some(path) = path_of(expression) {
        match path.as_slice() {
            [] => return Err(Whole::Context),
            ["arguments"] => return Err(Whole::Arguments),
            path => found.add(path),
        }
        return Ok(());
    }
    match expression {
        Value::Object(members) => members.values().try_for_each(|value| paths(value, found)),
        Value::Array(elements) => elements.iter().try_for_each(|value| paths(value, found)),
        _ => Ok(()),
    }
}

/// Whether the expression looks at a path that the predicate picks.
pub(crate) fn looks_at(expression: &Value, picks: &dyn Fn(&[&str]) -> bool) -> bool {
    if let Some(path) = path_of(expression) {
        return picks(&path);
    }
    match expression {
        Value::Object(members) => members.values().any(|value| looks_at(value, picks)),
        Value::Array(elements) => elements.iter().any(|value| looks_at(value, picks)),
        _ => false,
    }
}

/// Whether the expression looks at who asks, and not only at roles.
pub(crate) fn looks_at_subject(expression: &Value) -> bool {
    match expression {
        Value::Object(members) => members.iter().any(|(operator, operand)| match operator.as_str() {
            "in" if operand.get("left").is_some_and(|left| left.get("Var").is_some()) => {
                operand.get("right").is_some_and(looks_at_subject)
            }
            "Var" => operand == "principal",
            _ => looks_at_subject(operand),
        }),
        Value::Array(elements) => elements.iter().any(looks_at_subject),
        _ => false,
    }
}

/// The members of `context` that an expression names, when it is nothing but that: `context.a.b` and
/// `context.a has b`.
fn path_of(expression: &Value) -> Option<Vec<&str>> {
    let (operator, operand) = expression.as_object().and_then(|members| members.iter().next())?;
    match operator.as_str() {
        "Var" => (operand == "context").then(Vec::new),
        "." | "has" => {
            let mut path = path_of(operand.get("left")?)?;
            match operand.get("attr")? {
                Value::String(name) => path.push(name),
                Value::Array(names) => path.extend(names.iter().filter_map(Value::as_str)),
                _ => return None,
            }
            Some(path)
        }
        _ => None,
    }
}

/// Picks a path of the context.
type Picks<'a> = &'a dyn Fn(&[&str]) -> bool;

/// What stands in for a condition.
type StandIn<'a> = &'a dyn Fn(Side) -> Value;

/// Replaces the smallest conditions that look at what the predicate picks.
pub(crate) fn without(expression: &Value, side: Side, (picks, stand_in): (Picks<'_>, StandIn<'_>)) -> Value {
    if !looks_at(expression, picks) {
        return expression.clone();
    }
    let again = |expression: &Value, side| without(expression, side, (picks, stand_in));
    let Some((operator, operand)) = expression.as_object().and_then(|members| members.iter().next()) else {
        return stand_in(side);
    };
    let part = |name: &str| operand.get(name).unwrap_or(&Value::Null);
    match operator.as_str() {
        "&&" | "||" => {
            json!({ operator: { "left": again(part("left"), side), "right": again(part("right"), side) } })
        }
        "!" => json!({ "!": { "arg": again(part("arg"), side.flipped()) } }),
        "if-then-else" if !looks_at(part("if"), picks) => json!({ "if-then-else": {
            "if": part("if"), "then": again(part("then"), side), "else": again(part("else"), side),
        } }),
        "if-then-else" => {
            let (then, otherwise) = (again(part("then"), side), again(part("else"), side));
            let either = if side == Side::Above { "||" } else { "&&" };
            json!({ either: { "left": then, "right": otherwise } })
        }
        _ => stand_in(side),
    }
}

/// The truth that is on the safe side.
pub(crate) fn certain(side: Side) -> Value {
    json!({ "Value": side == Side::Above })
}

/// A condition whose truth a validator cannot know, so that it goes on checking what stands beside it.
pub(crate) fn uncertain(_: Side) -> Value {
    json!({ "==": {
        "left": { ".": { "left": { "Var": "context" }, "attr": "authentication" } },
        "right": { "Value": "" },
    } })
}

/// A policy with each of its conditions replaced.
pub(crate) fn with_conditions(policy: &Value, change: impl Fn(&Value, Side) -> Value, side: Side) -> Value {
    let mut policy = policy.clone();
    let conditions = policy.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let side =
            if condition.get("kind").is_some_and(|kind| kind == "unless") { side.flipped() } else { side };
        if let Some(body) = condition.get_mut("body") {
            *body = change(body, side);
        }
    }
    policy
}

/// The conditions of a policy.
pub(crate) fn conditions(policy: &Value) -> impl Iterator<Item = &Value> {
    let conditions = policy.get("conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().filter_map(|condition| condition.get("body"))
}
