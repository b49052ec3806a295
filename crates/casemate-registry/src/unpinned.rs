//! A command line that does not say exactly what would be fetched, and the line to write instead.

use std::collections::BTreeMap;
use std::fmt;

use crate::package::Ecosystem;

/// Why a package runner's command line is refused. Display says what is wrong with it, without its arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unpinned {
    what: String,
    cure: Cure,
}

/// The program's own arguments, which are not shown.
const MORE: &str = "…";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cure {
    /// The same line with versions put in.
    Fill(Line),
    /// Something that a version does not heal.
    Say(String),
}

/// A package whose version has to be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    /// Its registry.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// The range or tag that was written, if one was.
    pub said: Option<String>,
}

/// A command line with blanks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    words: Vec<Vec<Piece>>,
    /// How many words belong to the runner; the others are the program's.
    runner: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// A package with its extras, and the place of a version behind it.
    Blank {
        titled: String,
        wanted: Wanted,
    },
}

impl Unpinned {
    pub(crate) fn fill(what: String, line: Line) -> Unpinned {
        Unpinned { what, cure: Cure::Fill(line) }
    }

    pub(crate) fn say(what: impl Into<String>, hint: impl Into<String>) -> Unpinned {
        Unpinned { what: what.into(), cure: Cure::Say(hint.into()) }
    }

    /// The packages whose version has to be looked up; [`crate::Packages::current`] does it.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        let words = match &self.cure {
            Cure::Fill(line) => line.words.as_slice(),
            Cure::Say(_) => &[],
        };
        words.iter().flatten().filter_map(|piece| match piece {
            Piece::Blank { wanted, .. } => Some(wanted),
            Piece::Text(_) => None,
        })
    }

    /// The whole command line with the versions that were found; `<version>` where there is none. Nothing when versions
    /// alone do not heal it.
    pub fn line(&self, found: &BTreeMap<Wanted, String>) -> Option<Vec<String>> {
        match &self.cure {
            Cure::Fill(line) => Some(line.filled(found)),
            Cure::Say(_) => None,
        }
    }

    /// What to write into the configuration. The program's own arguments are not shown: there may be secrets in them.
    pub fn hint(&self, found: &BTreeMap<Wanted, String>) -> String {
        self.hint_of(found, |words| {
            let quoted = words.iter().map(|word| match word.as_str() {
                MORE => MORE.to_owned(),
                word => serde_json::Value::from(word).to_string(),
            });
            format!("command = [{}]", quoted.collect::<Vec<_>>().join(", "))
        })
    }

    /// The same for where command lines are written in another way. The last of the words is `…` where the program's
    /// arguments follow.
    pub fn hint_of(
        &self,
        found: &BTreeMap<Wanted, String>,
        written: impl FnOnce(&[String]) -> String,
    ) -> String {
        let line = match &self.cure {
            Cure::Say(hint) => return hint.clone(),
            Cure::Fill(line) => line,
        };
        let mut words = line.filled(found);
        if words.len() > line.runner {
            words.truncate(line.runner);
            words.push(MORE.to_owned());
        }
        let mut hint = format!("write {}", written(&words));
        let missing: Vec<String> = self
            .wanted()
            .filter(|wanted| !found.contains_key(wanted))
            .map(|wanted| format!("`{}`", wanted.ecosystem.finder(&wanted.name)))
            .collect();
        if !missing.is_empty() {
            hint.push_str(&format!("; {} tells the version", missing.join(" and ")));
        }
        hint
    }
}

impl Line {
    /// Adds a word of the runner's.
    pub(crate) fn push(&mut self, word: Vec<Piece>) {
        self.words.push(word);
        self.runner = self.words.len();
    }

    /// Adds the program's own words.
    pub(crate) fn extend(&mut self, words: &[String]) {
        self.words.extend(words.iter().map(|word| vec![Piece::Text(word.clone())]));
    }

    fn filled(&self, found: &BTreeMap<Wanted, String>) -> Vec<String> {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Blank { titled, wanted } => {
                let version = found.get(wanted).map_or("<version>", String::as_str);
                format!("{titled}{}{version}", wanted.ecosystem.joint())
            }
        };
        self.words.iter().map(|word| word.iter().map(piece).collect()).collect()
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            None => f.write_str(&self.name),
            Some(said) => write!(f, "{} ({said})", self.name),
        }
    }
}
