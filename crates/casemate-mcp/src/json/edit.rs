//! Changing single members of an object.

use std::borrow::Cow;

use super::{Members, Raw};

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
        let touches = |(name, value): &(Cow<'_, str>, Option<Raw>)| value.is_some() || self.of.has(name);
        if !self.changes.iter().any(touches) {
            return self.of.raw.clone();
        }
        let grown: usize = self
            .changes
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, |v| v.0.len()) + 4)
            .sum();
        let mut out = Vec::with_capacity(self.of.raw.0.len() + grown);
        out.push(b'{');
        for member in &self.of.spans {
            let name = self.of.name(member);
            match self.changes.iter().rev().find(|(changed, _)| *changed == name) {
                None => {
                    comma(&mut out);
                    out.extend_from_slice(
                        self.of.raw.0.get(member.name.start..member.value.end).unwrap_or_default(),
                    );
                }
                Some((_, Some(value))) => write(&mut out, &name, value),
                Some((_, None)) => {}
            }
        }
        for (at, (name, value)) in self.changes.iter().enumerate() {
            let last = !self.changes.iter().skip(at + 1).any(|(later, _)| later == name);
            if let (Some(value), true, false) = (value, last, self.of.has(name)) {
                write(&mut out, name, value);
            }
        }
        out.push(b'}');
        Raw(out.into())
    }
}

fn write(out: &mut Vec<u8>, name: &str, value: &Raw) {
    comma(out);
    out.extend_from_slice(&Raw::string_of(name).0);
    out.push(b':');
    out.extend_from_slice(&value.0);
}

fn comma(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}
