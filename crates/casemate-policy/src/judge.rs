//! Asking Cedar.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use cedar_policy::{
    AuthorizationError, Authorizer, Context as CedarContext, Decision as CedarDecision, Entities, Entity,
    EntityId, EntityTypeName, EntityUid, EvaluationError, PolicySet, Request as CedarRequest,
    RestrictedExpression,
};

use crate::arguments::{self, CLAIMS, Type};
use crate::calendar;
use crate::confirmed::Confirmed;
use crate::expression::Paths;
use crate::request::{Action, Arguments, Context, Place, Resource, Thing};
use crate::subject::Subject;

/// What Cedar said.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) allowed: bool,
    /// The policies that decided, in the order of their ids.
    pub(crate) reasons: Vec<String>,
    /// The policies that could not be evaluated. Cedar passes over them; we do not.
    pub(crate) errors: Vec<String>,
}

/// The names of entity types, read once.
#[derive(Debug)]
pub(crate) struct Judge {
    authorizer: Authorizer,
    types: HashMap<&'static str, EntityTypeName>,
    /// The second of the last question in Cedar's words, of which to make them costs as much as the rest of a judgement.
    second: Mutex<Option<(u64, RestrictedExpression)>>,
}

/// One question to Cedar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) action: Action,
    pub(crate) resource: Resource<'a>,
    pub(crate) confirmed: &'a Confirmed,
}

/// Who, what and what for, and all that is known of them.
#[derive(Debug)]
pub(crate) struct Cast {
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
    entities: Entities,
}

impl Judge {
    pub(crate) fn new() -> Result<Self, String> {
        const TYPES: [&str; 8] =
            ["Action", "Subject", "Role", "Server", "Console", "Tool", "Prompt", "Resource"];
        let mut types = HashMap::new();
        for name in TYPES {
            types.insert(name, name.parse().map_err(|fault| format!("{name}: {fault}"))?);
        }
        Ok(Judge { authorizer: Authorizer::new(), types, second: Mutex::default() })
    }

    /// What a question is about, in Cedar's words. This costs more than to judge it, so it is kept.
    ///
    /// # Errors
    /// What could not be put into Cedar's words; it denies.
    pub(crate) fn cast(&self, case: Case<'_>) -> Result<Cast, String> {
        let principal = self.uid("Subject", case.subject.id.as_str())?;
        let action = self.uid("Action", case.action.as_str())?;
        let (resource, entity) = self.resource(case)?;
        let roles: Result<HashSet<EntityUid>, String> =
            case.subject.roles.iter().map(|role| self.uid("Role", role.as_str())).collect();
        let id = RestrictedExpression::new_string(case.subject.id.as_str().to_owned());
        let subject = Entity::new(principal.clone(), [("id".to_owned(), id)].into(), roles?).map_err(text)?;
        let group =
            if case.action.is_use() { HashSet::from([self.uid("Action", "use")?]) } else { HashSet::new() };
        let group = Entity::new_no_attrs(action.clone(), group);
        let entities = Entities::from_entities([subject, entity, group], None).map_err(text)?;
        Ok(Cast { principal, action, resource, entities })
    }

    /// Judges with these policies.
    ///
    /// # Errors
    /// What could not be put into Cedar's words; it denies.
    pub(crate) fn judge(
        &self,
        policies: &PolicySet,
        cast: &Cast,
        context: CedarContext,
    ) -> Result<Verdict, String> {
        let Cast { principal, action, resource, entities } = cast;
        let request = CedarRequest::new(principal.clone(), action.clone(), resource.clone(), context, None)
            .map_err(text)?;
        let response = self.authorizer.is_authorized(&request, policies, entities);
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort_unstable();
        let mut errors: Vec<String> = response.diagnostics().errors().map(failed).collect();
        errors.sort_unstable();
        Ok(Verdict { allowed: response.decision() == CedarDecision::Allow, reasons, errors })
    }

    /// The time, to the second.
    fn time(&self, unix_ms: u64) -> RestrictedExpression {
        let begins = unix_ms - unix_ms % 1000;
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        match &*second {
            Some((own, time)) if *own == begins => time.clone(),
            _ => {
                let time = RestrictedExpression::new_datetime(calendar::datetime(begins));
                second.insert((begins, time)).1.clone()
            }
        }
    }

    fn uid(&self, kind: &str, id: &str) -> Result<EntityUid, String> {
        let kind = self.types.get(kind).ok_or_else(|| format!("no type {kind}"))?;
        Ok(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
    }

    fn resource(&self, case: Case<'_>) -> Result<(EntityUid, Entity), String> {
        let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let servers = || self.uid("Console", Place::Servers.as_str());
        let place = match case.resource {
            Resource::Gateway => Place::Gateway,
            Resource::Keys => Place::Keys,
            Resource::Records => Place::Records,
            Resource::Server(server) => {
                let uid = self.uid("Server", server.as_str())?;
                let attributes = [("name".to_owned(), string(server.as_str()))].into();
                let entity = Entity::new(uid.clone(), attributes, [servers()?].into()).map_err(text)?;
                return Ok((uid, entity));
            }
            Resource::Tool(..) | Resource::Prompt(..) | Resource::Resource(..) => {
                let Some((server, thing, name)) = case.resource.thing() else {
                    return Err("no thing".to_owned());
                };
                let uid = self.uid(thing.entity(), &format!("{server}/{name}"))?;
                let member = if thing == Thing::Resource { "uri" } else { "name" };
                let read_only = RestrictedExpression::new_bool(case.confirmed.holds(&case.resource));
                let attributes = [
                    ("server".to_owned(), string(server.as_str())),
                    (member.to_owned(), string(name)),
                    ("read_only".to_owned(), read_only),
                ];
                let parents = [self.uid("Server", server.as_str())?, servers()?];
                let entity = Entity::new(uid.clone(), attributes.into(), parents.into()).map_err(text)?;
                return Ok((uid, entity));
            }
        };
        let uid = self.uid("Console", place.as_str())?;
        Ok((uid.clone(), Entity::with_uid(uid)))
    }
}

/// What failed, for the record. The values of arguments are not told: records hold their digest and no more.
fn failed(error: &AuthorizationError) -> String {
    let AuthorizationError::PolicyEvaluationError(error) = error;
    let why = match error.inner() {
        // These name types and members that the policy names itself.
        why @ (EvaluationError::TypeError(_) | EvaluationError::EntityAttrDoesNotExist(_)) => why.to_string(),
        EvaluationError::RecordAttrDoesNotExist(_) => "a member that it looks at is not there".to_owned(),
        EvaluationError::IntegerOverflow(_) => "an overflow of whole numbers".to_owned(),
        EvaluationError::FailedExtensionFunctionExecution(_) => {
            "a function failed on what it was given".to_owned()
        }
        _ => "it cannot be evaluated".to_owned(),
    };
    format!("{}: {why}", error.policy_id())
}

/// The members of the context that the policies look at.
///
/// # Errors
/// What does not convert.
pub(crate) fn context(
    judge: &Judge,
    subject: &Subject,
    context: &Context<'_>,
    (paths, kind): (&Paths, &Type),
) -> Result<CedarContext, String> {
    let mut members: Vec<(String, RestrictedExpression)> = Vec::with_capacity(paths.0.len());
    for (name, below) in &paths.0 {
        let value = match name.as_str() {
            "time" => Some(judge.time(context.unix_ms)),
            "address" => context.address.map(|address| RestrictedExpression::new_ip(address.to_string())),
            "authentication" => {
                Some(RestrictedExpression::new_string(subject.authentication.as_str().to_owned()))
            }
            "strength" => Some(RestrictedExpression::new_long(i64::from(subject.authentication.strength()))),
            "claimed" => Some(claimed(context)?),
            "arguments" => Some(given(context, below, kind)?),
            _ => None,
        };
        members.extend(value.map(|value| (name.clone(), value)));
    }
    CedarContext::from_pairs(members).map_err(text)
}

fn given(context: &Context<'_>, paths: &Paths, kind: &Type) -> Result<RestrictedExpression, String> {
    match context.arguments {
        Arguments::Unknown => Err("the arguments are not known".to_owned()),
        Arguments::None => {
            arguments::record(&casemate_mcp::json::Members::empty(), (paths, ""), |_| &Type::Open)
        }
        Arguments::Given(given) => match kind {
            Type::Record(members) => arguments::record(given, (paths, ""), |name| {
                members.iter().find(|(own, _, _)| own == name).map_or(&Type::Open, |(_, kind, _)| kind)
            }),
            _ => arguments::record(given, (paths, ""), |_| &Type::Open),
        },
    }
}

/// What the server says of the tool, as far as it says true or false.
fn claimed(context: &Context<'_>) -> Result<RestrictedExpression, String> {
    let annotations = context.tool.and_then(|tool| tool.annotations).and_then(|raw| raw.members());
    let claim = |(name, declared): &(&str, &str)| {
        let value = match annotations.as_ref()?.get(declared)?.as_str() {
            "true" => true,
            "false" => false,
            _ => return None,
        };
        Some(((*name).to_owned(), RestrictedExpression::new_bool(value)))
    };
    RestrictedExpression::new_record(CLAIMS.iter().filter_map(claim)).map_err(text)
}

fn text(fault: impl std::fmt::Display) -> String {
    fault.to_string()
}
