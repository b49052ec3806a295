//! The rules of one effect on one server, arranged for lookup.

use std::collections::HashMap;

use crate::decision::RuleId;
use crate::pattern::{Glob, Selection};
use crate::request::Thing;

/// Rules in the order of their price: one for everything, exact names by hash, globs one by one.
#[derive(Debug, Default)]
pub(super) struct Rules {
    whole: Option<RuleId>,
    first: Option<RuleId>,
    tools: Names,
    prompts: Names,
    resources: Names,
    plain_resources: Names,
}

#[derive(Debug, Default)]
struct Names {
    exact: HashMap<Box<str>, RuleId>,
    globs: Vec<(Glob, RuleId)>,
}

impl Rules {
    pub(super) fn add(&mut self, selection: &Selection, id: &RuleId) {
        self.first.get_or_insert_with(|| id.clone());
        match selection {
            Selection::Everything => {
                self.whole.get_or_insert_with(|| id.clone());
            }
            Selection::Named(thing, glob) => self.names_mut(*thing).add(glob, id),
            Selection::Resources(glob, plain) => {
                self.names_mut(Thing::Resource).add(glob, id);
                self.names_mut(Thing::PlainResource).add(plain, id);
            }
        }
    }

    /// The rule for everything of the server.
    pub(super) fn whole(&self) -> Option<&RuleId> {
        self.whole.as_ref()
    }

    /// A rule that speaks of anything on the server.
    pub(super) fn first(&self) -> Option<&RuleId> {
        self.first.as_ref()
    }

    /// A rule that speaks of the thing.
    pub(super) fn find(&self, thing: Thing, name: &str) -> Option<&RuleId> {
        self.whole.as_ref().or_else(|| self.names(thing).find(name))
    }

    fn names(&self, thing: Thing) -> &Names {
        match thing {
            Thing::Tool => &self.tools,
            Thing::Prompt => &self.prompts,
            Thing::Resource => &self.resources,
            Thing::PlainResource => &self.plain_resources,
        }
    }

    fn names_mut(&mut self, thing: Thing) -> &mut Names {
        match thing {
            Thing::Tool => &mut self.tools,
            Thing::Prompt => &mut self.prompts,
            Thing::Resource => &mut self.resources,
            Thing::PlainResource => &mut self.plain_resources,
        }
    }
}

impl Names {
    fn add(&mut self, glob: &Glob, id: &RuleId) {
        match glob {
            Glob::Exact(text) => {
                self.exact.entry(text.clone()).or_insert_with(|| id.clone());
            }
            Glob::Starred { .. } => self.globs.push((glob.clone(), id.clone())),
        }
    }

    fn find(&self, name: &str) -> Option<&RuleId> {
        // An empty table is the common case, and hashing the name for it costs more than all the rest.
        let exact = if self.exact.is_empty() { None } else { self.exact.get(name) };
        exact.or_else(|| self.globs.iter().find(|(glob, _)| glob.matches(name)).map(|(_, id)| id))
    }
}
