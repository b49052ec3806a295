//! The rules that can matter to a request, found without evaluating any.
//!
//! A rule names in its head whom it applies to, what to, and what for; a request that differs there cannot be touched
//! by it. So thousands of rules cost what the few cost that are about the same role and server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Policy, PolicySet};

use crate::expression::Paths;
use crate::request::{Action, Resource};
use crate::rule::{Rule, Where, Who};
use crate::subject::Subject;

/// Most slices that are kept. There is one for each combination of roles, server and action that rules tell apart.
const KEPT_MAX: usize = 2048;

/// Most references to rules in all kept slices.
const KEPT_RULES_MAX: usize = 1 << 20;

/// Rules by whom and what they are about.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by: HashMap<Who, HashMap<Where, Vec<u32>>>,
    kept: Mutex<HashMap<Key, Arc<Slice>>>,
    names_subjects: bool,
}

/// What tells slices apart: their rules, and in which form.
type Key = (Box<[u32]>, Form);

/// Which form of the rules a slice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// As they are written.
    Exact,
    /// As they are when nothing is known of the context.
    Possible,
}

/// Some rules, ready to be asked.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) policies: PolicySet,
    /// What of the context they look at.
    pub(crate) paths: Paths,
    /// Those that look at arguments.
    pub(crate) curious: Vec<u32>,
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut index = Index::default();
        for (at, rule) in (0_u32..).zip(rules) {
            index.names_subjects |= rule.names_subjects;
            let places = index.by.entry(rule.who.clone()).or_default();
            places.entry(rule.place.clone()).or_default().push(at);
        }
        index
    }

    /// Whether some rule is about one subject and not about roles.
    pub(crate) fn names_subjects(&self) -> bool {
        self.names_subjects
    }

    /// All rules that can apply to the subject and something on the server.
    pub(crate) fn of_server(&self, subject: &Subject, server: &str) -> Vec<u32> {
        let about = |place: &Where| match place {
            Where::Anywhere => true,
            Where::Server(own) => own == server,
            Where::Thing(id) => id.strip_prefix(server).is_some_and(|rest| rest.starts_with('/')),
        };
        let places = whom(subject).into_iter().filter_map(|who| self.by.get(&who)).flatten();
        let found = places.filter(|(place, _)| about(place)).flat_map(|(_, rules)| rules.iter().copied());
        found.collect()
    }

    /// The rules that can matter.
    pub(crate) fn slice(
        &self,
        rules: &[Rule],
        (subject, action, resource): (&Subject, Action, Resource<'_>),
        form: Form,
    ) -> Arc<Slice> {
        let mut found = Vec::new();
        for who in whom(subject) {
            let Some(places) = self.by.get(&who) else { continue };
            for place in places_of(resource) {
                found.extend(places.get(&place).into_iter().flatten().copied());
            }
        }
        let rule = |at: &u32| usize::try_from(*at).ok().and_then(|at| rules.get(at));
        found.retain(|at| rule(at).is_some_and(|rule| rule.actions & action.bit() != 0));
        found.sort_unstable();
        found.dedup();
        let key = (found.into_boxed_slice(), form);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = kept.get(&key) {
            return Arc::clone(slice);
        }
        let slice = Arc::new(Slice::of(key.0.iter().filter_map(|at| Some((*at, rule(at)?))), form));
        let size: usize = kept.keys().map(|(rules, _)| rules.len()).sum();
        if kept.len() >= KEPT_MAX || size + key.0.len() > KEPT_RULES_MAX {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&slice));
        slice
    }
}

impl Slice {
    fn of<'a>(rules: impl Iterator<Item = (u32, &'a Rule)>, form: Form) -> Self {
        let mut slice = Slice { policies: PolicySet::new(), paths: Paths::default(), curious: Vec::new() };
        for (at, rule) in rules {
            let policy: Option<&Policy> = match form {
                Form::Exact => Some(&rule.policy),
                Form::Possible => rule.possible.as_ref(),
            };
            // The ids of rules are told apart when they are compiled, so none is refused here.
            let added = policy.is_none_or(|policy| slice.policies.add(policy.clone()).is_ok());
            debug_assert!(added, "two rules of one id");
            if form == Form::Exact {
                slice.paths.merge(&rule.paths);
                if rule.paths.get("arguments").is_some() {
                    slice.curious.push(at);
                }
            }
        }
        slice
    }
}

fn whom(subject: &Subject) -> Vec<Who> {
    let mut whom = vec![Who::Anyone, Who::Subject(subject.id.as_str().to_owned())];
    whom.extend(subject.roles.iter().map(|role| Who::Role(role.as_str().to_owned())));
    whom
}

fn places_of(resource: Resource<'_>) -> Vec<Where> {
    let mut places = vec![Where::Anywhere];
    match (resource, resource.thing()) {
        (_, Some((server, _, name))) => {
            places.push(Where::Server(server.as_str().to_owned()));
            places.push(Where::Thing(format!("{server}/{name}")));
        }
        (Resource::Server(server), None) => places.push(Where::Server(server.as_str().to_owned())),
        _ => {}
    }
    places
}
