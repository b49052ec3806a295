//! `config explain`: what a setting is, what it is set to, and where.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::amount::{show_rate, show_size, show_time};
use crate::key::Key;
use crate::origin::Origin;
use crate::problem::nearest;
use crate::resolve::Resolved;
use crate::setting::{Blank, Effect, Setting, settings};
use crate::value::Value;

/// What there is to say about one key.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The key as it was asked for, or the setting's own with its blanks.
    pub key: String,
    /// The value in force, in TOML; `None` when there is none. Literals of variables and headers are not shown.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What the setting is.
    pub setting: &'static Setting,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.setting;
        match &self.value {
            Some(value) => writeln!(f, "{} = {value}", self.key)?,
            None => writeln!(f, "{} is not set", self.key)?,
        }
        writeln!(f, "  from:    {}", self.origin)?;
        writeln!(f, "  takes:   {}", setting.kind.expects())?;
        writeln!(f, "  default: {}", self.default().unwrap_or("none"))?;
        let effect = match setting.effect {
            Effect::Live => "as soon as the file is saved",
            Effect::Process => "at the next start",
        };
        writeln!(f, "  changes: {effect}")?;
        if let Some(variable) = setting.variable() {
            writeln!(f, "  or set:  {variable}")?;
        }
        writeln!(f, "  example: {}", setting.example)?;
        write!(f, "  {}", setting.reason)
    }
}

impl Explanation {
    /// What holds here where nothing is written. It can be another than for most: [`Setting::default`].
    fn default(&self) -> Option<&str> {
        match self.origin {
            Origin::Default => self.value.as_deref(),
            _ => self.setting.default,
        }
    }
}

/// There is nothing to explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownKey {
    /// No setting has that key.
    #[error("no setting is called {key:?}{}", meant(hint.as_deref()))]
    Setting {
        /// What was asked for.
        key: String,
        /// The closest key that there is.
        hint: Option<String>,
    },
    /// The setting is one of something that is not configured.
    #[error("there is no {kind} called {name}{}", meant(hint.as_deref()))]
    Entry {
        /// What it would be: `server`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The closest key that there is.
        hint: Option<String>,
    },
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("\nhint: did you mean `{near}`?")).unwrap_or_default()
}

/// The sections that have a table for each name, and what such a table is called.
const TABLES: [(&str, &str); 3] =
    [("servers", "server"), ("interceptors", "interceptor"), ("profiles", "profile")];

impl Resolved {
    /// Explains a key, or every setting below it: `gateway.listen`, `servers.github`, `servers.NAME.sharing`.
    ///
    /// # Errors
    /// When no setting has that key and none is below it.
    pub fn explain(&self, key: &str) -> Result<Vec<Explanation>, UnknownKey> {
        let unknown = || {
            let hint = nearest(key, settings().map(|setting| setting.key)).map(str::to_owned);
            UnknownKey::Setting { key: key.to_owned(), hint }
        };
        let parsed = Key::parse(key).ok_or_else(unknown)?;
        self.is_entry(&parsed)?;
        if let Some(setting) = Setting::find(parsed.names()) {
            return Ok(vec![self.one(&parsed, setting)]);
        }
        let mut found: Vec<Explanation> =
            self.all().into_iter().filter(|explanation| starts_with(&explanation.key, &parsed)).collect();
        if found.is_empty() {
            let below = |setting: &&Setting| starts_with(setting.key, &parsed);
            found = settings().filter(below).map(bare).collect();
        }
        if found.is_empty() { Err(unknown()) } else { Ok(found) }
    }

    /// Every setting in force: those that were written, and the defaults of the gateway and of each server,
    /// role and profile that was written.
    #[must_use]
    pub fn all(&self) -> Vec<Explanation> {
        let mut found = BTreeMap::new();
        for setting in settings().filter(|setting| setting.default.is_some()) {
            for key in self.keys_of(setting) {
                let explanation = self.unwritten(&key, setting);
                found.insert(key, explanation);
            }
        }
        for (key, entry) in &self.written.entries {
            found.insert(key.clone(), self.one(key, entry.setting));
        }
        found.into_values().collect()
    }

    /// A setting of a server that there is not has no value, and none by default either.
    fn is_entry(&self, key: &Key) -> Result<(), UnknownKey> {
        let [section, name, ..] = key.names() else { return Ok(()) };
        let Some((section, kind)) = TABLES.into_iter().find(|(table, _)| table == section) else {
            return Ok(());
        };
        let known = self.written.scope(section).names();
        if Blank::of(name).is_some() || known.contains(&name.as_str()) {
            return Ok(());
        }
        let hint = nearest(name, known).map(|near| format!("{section}.{near}"));
        Err(UnknownKey::Entry { kind, name: name.clone(), hint })
    }

    /// What holds where nothing is written.
    fn unwritten(&self, key: &Key, setting: &'static Setting) -> Explanation {
        let explanation = Explanation { key: key.to_string(), ..bare(setting) };
        let is_builtin = |name: &String| self.written.scope("servers").child(name).entry("builtin").is_some();
        let shows_host =
            setting.key == "servers.NAME.host_stats" && key.names().get(1).is_some_and(is_builtin);
        if shows_host { Explanation { value: Some("true".to_owned()), ..explanation } } else { explanation }
    }

    /// The concrete keys of a setting with at most one blank: one for each name that was written.
    fn keys_of(&self, setting: &Setting) -> Vec<Key> {
        match setting.key.split_once(".NAME.") {
            None => vec![Key::default().below(setting.key)],
            Some((_, rest)) if rest.split('.').any(|segment| Blank::of(segment).is_some()) => Vec::new(),
            Some((section, rest)) => {
                let scope = self.written.scope(section);
                scope.names().into_iter().map(|name| scope.child(name).key.below(rest)).collect()
            }
        }
    }

    fn one(&self, key: &Key, setting: &'static Setting) -> Explanation {
        match self.written.entries.get(key) {
            Some(entry) => Explanation {
                key: key.to_string(),
                value: entry.value.as_ref().map(show),
                origin: entry.origin.clone(),
                setting,
            },
            None => self.unwritten(key, setting),
        }
    }
}

fn bare(setting: &'static Setting) -> Explanation {
    let value = setting.default.map(str::to_owned);
    Explanation { key: setting.key.to_owned(), value, origin: Origin::Default, setting }
}

fn starts_with(key: &str, prefix: &Key) -> bool {
    // A setting's own key has a slash in one of its blanks, which TOML would have in quotes.
    let names: Vec<String> = match Key::parse(key) {
        Some(key) => key.names().to_vec(),
        None => key.split('.').map(str::to_owned).collect(),
    };
    let same = |(name, part): (&String, &String)| name == part || Blank::of(name).is_some();
    prefix.names().len() <= names.len() && names.iter().zip(prefix.names()).all(same)
}

fn show(value: &Value) -> String {
    match value {
        Value::Switch(on) => on.to_string(),
        Value::Count(count) => count.to_string(),
        Value::Time(time) => format!("{:?}", show_time(*time)),
        Value::Size(bytes) => format!("{:?}", show_size(*bytes)),
        Value::Rate(rate) => format!("{:?}", show_rate(*rate)),
        Value::Budget(count) => format!("\"{count}/day\""),
        Value::Address(address) => format!("\"{address}\""),
        Value::Text(text) => toml_edit::Value::from(text.as_str()).to_string(),
        Value::Words(words) => {
            let words = words.iter().map(|word| word.text.as_str());
            toml_edit::Value::Array(words.collect()).to_string()
        }
        Value::Given(given) => given.shown(),
        Value::Json(text) => text.clone(),
    }
}
