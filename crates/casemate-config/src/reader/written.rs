//! What was written, before anything is made of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use casemate_gateway::snapshot::Rate;

use crate::given::Given;
use crate::key::Key;
use crate::origin::Origin;
use crate::problem::Problem;
use crate::setting::Setting;
use crate::value::{Text, Value};

/// All values that were written anywhere, by key. Defaults are not among them.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) entries: BTreeMap<Key, Entry>,
    pub(crate) tables: BTreeMap<Key, Origin>,
    pub(crate) problems: Vec<Problem>,
}

/// One written value.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `None` when it was refused, so that nothing else is said about it.
    pub(crate) value: Option<Value>,
    pub(crate) origin: Origin,
    pub(crate) setting: &'static Setting,
}

impl Written {
    /// Keeps the value that wins: flag over environment over file.
    pub(crate) fn set(&mut self, key: Key, entry: Entry) {
        let rank = |origin: &Origin| match origin {
            Origin::Default => 0,
            Origin::File(_) => 1,
            Origin::Environment(_) => 2,
            Origin::Flag(_) => 3,
        };
        if self.entries.get(&key).is_none_or(|old| rank(&old.origin) <= rank(&entry.origin)) {
            self.entries.insert(key, entry);
        }
    }

    pub(crate) fn scope(&self, path: &str) -> Scope<'_> {
        Scope { written: self, key: Key::default().below(path) }
    }
}

/// A part of what was written, to take values from by their plain names.
#[derive(Debug, Clone)]
pub(crate) struct Scope<'a> {
    written: &'a Written,
    pub(crate) key: Key,
}

impl<'a> Scope<'a> {
    /// The part below a name that a person chose.
    pub(crate) fn child(&self, name: &str) -> Scope<'a> {
        Scope { written: self.written, key: self.key.child(name) }
    }

    /// The part below a dotted path.
    pub(crate) fn below(&self, path: &str) -> Scope<'a> {
        Scope { written: self.written, key: self.key.below(path) }
    }

    /// The names of the tables and values directly below, in order.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let tables = self.written.tables.range(self.key.clone()..).map(|(key, _)| key);
        let values = self.written.entries.range(self.key.clone()..).map(|(key, _)| key);
        let below = |key: &'a Key| self.key.next_in(key);
        let inside = |key: &&'a Key| key.names().starts_with(self.key.names());
        let mut names: Vec<&str> = tables.take_while(inside).filter_map(below).collect();
        names.extend(values.take_while(inside).filter_map(below));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where this part begins.
    pub(crate) fn origin(&self) -> Origin {
        self.written.tables.get(&self.key).cloned().unwrap_or(Origin::Default)
    }

    /// The entry at a dotted path, also when its value was refused.
    pub(crate) fn entry(&self, path: &str) -> Option<&'a Entry> {
        self.written.entries.get(&self.key.below(path))
    }

    /// Where the value at a dotted path was written, or else where this part begins.
    pub(crate) fn origin_of(&self, path: &str) -> Origin {
        self.entry(path).map_or_else(|| self.origin(), |entry| entry.origin.clone())
    }

    pub(crate) fn switch(&self, path: &str) -> Option<bool> {
        match self.value(path)? {
            Value::Switch(on) => Some(*on),
            _ => None,
        }
    }

    pub(crate) fn count(&self, path: &str) -> Option<u64> {
        match self.value(path)? {
            Value::Count(count) | Value::Size(count) | Value::Budget(count) => Some(*count),
            _ => None,
        }
    }

    /// A count or size as this machine counts.
    pub(crate) fn number(&self, path: &str) -> Option<usize> {
        self.count(path).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(crate) fn time(&self, path: &str) -> Option<Duration> {
        match self.value(path)? {
            Value::Time(time) => Some(*time),
            _ => None,
        }
    }

    pub(crate) fn rate(&self, path: &str) -> Option<Rate> {
        match self.value(path)? {
            Value::Rate(rate) => Some(*rate),
            _ => None,
        }
    }

    pub(crate) fn address(&self, path: &str) -> Option<SocketAddr> {
        match self.value(path)? {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }

    pub(crate) fn text(&self, path: &str) -> Option<&'a str> {
        match self.value(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list with their places.
    pub(crate) fn words(&self, path: &str) -> Option<&'a [Text]> {
        match self.value(path)? {
            Value::Words(words) => Some(words),
            _ => None,
        }
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, path: &str) -> Option<Vec<String>> {
        Some(self.words(path)?.iter().map(|word| word.text.clone()).collect())
    }

    /// The text directly below a name that a person chose, which may hold dots, and where it was written.
    pub(crate) fn chosen(&self, name: &str) -> Option<(&'a str, Origin)> {
        let entry = self.written.entries.get(&self.key.child(name))?;
        match entry.value.as_ref()? {
            Value::Text(text) => Some((text, entry.origin.clone())),
            _ => None,
        }
    }

    /// The variables or headers below a name, with their entries.
    pub(crate) fn given(&self, path: &str) -> Vec<(&'a str, &'a Given, &'a Origin)> {
        let scope = self.below(path);
        let of = |name: &'a str| {
            let entry = self.written.entries.get(&scope.key.child(name))?;
            match &entry.value {
                Some(Value::Given(given)) => Some((name, given, &entry.origin)),
                _ => None,
            }
        };
        scope.names().into_iter().filter_map(of).collect()
    }

    /// The JSON text at a dotted path.
    pub(crate) fn json_text(&self, path: &str) -> Option<&'a str> {
        match self.value(path)? {
            Value::Json(text) => Some(text),
            _ => None,
        }
    }

    /// The JSON texts below a name.
    pub(crate) fn json(&self, path: &str) -> BTreeMap<String, String> {
        let scope = self.below(path);
        let of = |name: &str| match &self.written.entries.get(&scope.key.child(name))?.value {
            Some(Value::Json(text)) => Some((name.to_owned(), text.clone())),
            _ => None,
        };
        scope.names().into_iter().filter_map(of).collect()
    }

    fn value(&self, path: &str) -> Option<&'a Value> {
        self.entry(path)?.value.as_ref()
    }
}
