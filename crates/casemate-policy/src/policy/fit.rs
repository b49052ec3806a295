//! Policies held against what a tool declares: an argument that a policy names has to be there, and of the type that
//! the policy takes it for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use casemate_mcp::json::Raw;
use cedar_policy::{PolicySet, ValidationMode, Validator};
use serde_json::Value;

use super::{NOTHING, STACK, Table};
use crate::arguments::Type;
use crate::decision::RuleId;
use crate::expression::Paths;
use crate::request::{Request, Resource};
use crate::rule::Rule;
use crate::schema;
use crate::slice::Slice;

/// Most tools that are remembered.
const KEPT_MAX: usize = 4096;

/// The types of arguments of tools, as far as policies look at them.
#[derive(Debug, Default)]
pub(super) struct Fits(Mutex<HashMap<String, Vec<Kept>>>);

#[derive(Debug)]
struct Kept {
    schema: Raw,
    curious: Vec<u32>,
    fit: Result<Arc<Type>, String>,
}

impl Fits {
    /// The types of the arguments that the rules look at.
    ///
    /// # Errors
    /// When a rule does not fit what the tool declares; the call is denied.
    pub(super) fn kind(
        &self,
        table: &Table,
        (slice, request): (&Slice, &Request<'_>),
    ) -> Result<Arc<Type>, String> {
        let schema = request.context.tool.and_then(|tool| tool.input_schema);
        let (Some(paths), Some(schema), Resource::Tool(server, name)) =
            (slice.paths.get("arguments"), schema, request.resource)
        else {
            return Ok(Arc::new(NOTHING));
        };
        let key = format!("{server}/{name}");
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept
            .get(&key)
            .into_iter()
            .flatten()
            .find(|kept| kept.curious == slice.curious && kept.schema.as_bytes() == schema.as_bytes());
        if let Some(found) = found {
            return found.fit.clone();
        }
        let fit = stacker::grow(STACK, || fit(table, (slice, paths), schema)).map(Arc::new);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        // A tool whose definition changes leaves the older ones behind; few are current at a time.
        let known = kept.entry(key).or_default();
        if known.len() >= 8 {
            known.clear();
        }
        known.push(Kept { schema: schema.clone(), curious: slice.curious.clone(), fit: fit.clone() });
        fit
    }
}

/// The rules that do not fit what a tool declares, each with the reason for which calls of that tool would be denied.
pub(super) fn misfits(table: &Table, tool: Resource<'_>, schema: &Raw) -> Vec<(RuleId, String)> {
    let about = |rule: &Rule| rule.paths.get("arguments").is_some() && rule.concerns(tool);
    let misfit = |(at, rule): (u32, &Rule)| {
        let slice = Slice { policies: PolicySet::new(), paths: rule.paths.clone(), curious: vec![at] };
        let fault = fit(table, (&slice, slice.paths.get("arguments")?), schema).err()?;
        Some((rule.id.clone(), fault))
    };
    let rules = (0_u32..).zip(table.rules.iter()).filter(|(_, rule)| about(rule));
    stacker::grow(STACK, || rules.filter_map(misfit).collect())
}

fn fit(table: &Table, (slice, paths): (&Slice, &Paths), schema: &Raw) -> Result<Type, String> {
    let declared: Value =
        schema.parse().map_err(|_| "error: the tool's input schema is no JSON".to_owned())?;
    let kind = Type::declared(&declared, paths).map_err(|why| format!("error: the argument {why}"))?;
    if kind.has_open() {
        return Ok(kind);
    }
    let schema = schema::with_arguments(&kind.written())?;
    let policies = slice.curious.iter().filter_map(|at| table.rule(*at)).map(|rule| rule.policy.clone());
    let policies = PolicySet::from_policies(policies).map_err(|fault| fault.to_string())?;
    let result = Validator::new(schema).validate(&policies, ValidationMode::Strict);
    match result.validation_errors().next() {
        Some(fault) => Err(format!("error: {fault} (as the tool declares its arguments)")),
        None => Ok(kind),
    }
}
