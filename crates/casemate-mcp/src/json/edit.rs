//! Changing single members of an object.

use std::borrow::Cow;
use std::ops::Range;

use super::{Member, Members, Raw};

/// A change to an object that has not been made yet. Members that it does not name stay as they are.
#[derive(Debug)]
pub struct Edit<'a> {
    of: &'a Members,
    changes: Vec<(Cow<'a, str>, Option<Raw>)>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(of: &'a Members) -> Self {
        Edit { of, changes: Vec::new() }
    }

    /// Sets a member: in its place when it is there, at the end otherwise.
    #[must_use]
    pub fn set(mut self, name: impl Into<Cow<'a, str>>, value: Raw) -> Self {
        self.changes.push((name.into(), Some(value)));
        self
    }

    /// Removes a member, if it is there.
    #[must_use]
    pub fn remove(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.changes.push((name.into(), None));
        self
    }

    /// Makes the change. When it changes nothing, the object is returned as it is, without a copy.
    #[must_use]
    pub fn finish(self) -> Raw {
        self.members().raw
    }

    /// The same, with the members of what comes out.
    #[must_use]
    pub fn members(self) -> Members {
        let touches = |(name, value): &(Cow<'_, str>, Option<Raw>)| value.is_some() || self.of.has(name);
        if !self.changes.iter().any(touches) {
            return self.of.clone();
        }
        let mut out = self.draft();
        for member in &self.of.spans {
            match self.changes.iter().rev().find(|(changed, _)| self.of.is_named(member, changed)) {
                None => {
                    let part = |span: &Range<usize>| self.of.raw.0.get(span.clone()).unwrap_or_default();
                    out.put((part(&member.name), member.escaped), part(&member.value));
                }
                Some((name, Some(value))) => out.put_named(name, value),
                Some((_, None)) => {}
            }
        }
        for (at, (name, value)) in self.changes.iter().enumerate() {
            let last = !self.changes.iter().skip(at + 1).any(|(later, _)| later == name);
            if let (Some(value), true, false) = (value, last, self.of.has(name)) {
                out.put_named(name, value);
            }
        }
        out.text.push(b'}');
        Members { raw: Raw(out.text.into()), spans: out.spans }
    }

    fn draft(&self) -> Draft {
        let size = |(name, value): &(Cow<'_, str>, Option<Raw>)| {
            name.len() + value.as_ref().map_or(0, |value| value.0.len()) + 4
        };
        let grown: usize = self.changes.iter().map(size).sum();
        let mut text = Vec::with_capacity(self.of.raw.0.len() + grown);
        text.push(b'{');
        Draft { text, spans: Vec::with_capacity(self.of.spans.len() + self.changes.len()) }
    }
}

/// An object in the making.
struct Draft {
    text: Vec<u8>,
    spans: Vec<Member>,
}

impl Draft {
    /// Adds a member by its name.
    fn put_named(&mut self, name: &str, value: &Raw) {
        let quoted = Raw::string_of(name);
        self.put((&quoted.0, quoted.0.len() != name.len() + 2), &value.0);
    }

    /// Adds a member by its quoted name, of which is said whether it has escapes.
    fn put(&mut self, (name, escaped): (&[u8], bool), value: &[u8]) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let name_at = self.text.len();
        self.text.extend_from_slice(name);
        self.text.push(b':');
        let value_at = self.text.len();
        self.text.extend_from_slice(value);
        self.spans.push(Member { name: name_at..value_at - 1, value: value_at..self.text.len(), escaped });
    }
}
