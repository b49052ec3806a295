//! Text in which `*` stands for any run of characters.

use super::{PatternFault, STARS_MAX};

/// A text to compare with, split once at its stars.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Glob {
    /// No star: the very text.
    Exact(Box<str>),
    /// What the text starts with, what follows in this order, and what it ends with.
    Starred { first: Box<str>, inner: Box<[Box<str>]>, last: Box<str> },
}

impl Glob {
    /// Reads the `glob` of the pattern grammar; `part` names it in a fault.
    pub(crate) fn parse(text: &str, part: &'static str) -> Result<Self, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty { part });
        }
        if text.contains("**") {
            return Err(PatternFault::DoubleStar);
        }
        if text.bytes().filter(|byte| *byte == b'*').count() > STARS_MAX {
            return Err(PatternFault::Stars { part });
        }
        let edges = text.chars().next().into_iter().chain(text.chars().next_back());
        let odd = text.chars().filter(|found| found.is_control()).chain(edges.filter(|c| c.is_whitespace()));
        match odd.into_iter().next() {
            Some(found) => Err(PatternFault::Character { part, found }),
            None => Ok(Glob::of(text)),
        }
    }

    /// Splits a text that needs no checks.
    pub(crate) fn of(text: &str) -> Self {
        let mut parts: Vec<Box<str>> = text.split('*').map(Box::from).collect();
        match (parts.pop(), parts.is_empty()) {
            (Some(last), false) => {
                let first = parts.remove(0);
                let inner = parts.into_iter().filter(|part| !part.is_empty()).collect();
                Glob::Starred { first, inner, last }
            }
            _ => Glob::Exact(text.into()),
        }
    }

    /// The text with its stars, as a policy spells it.
    pub(crate) fn text(&self) -> String {
        match self {
            Glob::Exact(text) => text.to_string(),
            Glob::Starred { first, inner, last } => {
                let parts = std::iter::once(first).chain(inner).chain(std::iter::once(last));
                parts.map(|part| &**part).collect::<Vec<_>>().join("*")
            }
        }
    }

    /// True when the whole text is matched. Each inner part is taken where it first occurs, which is right
    /// because a star takes any run: what can match later can also match after an earlier end.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Glob::Exact(own) => **own == *text,
            Glob::Starred { first, inner, last } => {
                let Some(rest) = text.strip_prefix(&**first) else { return false };
                let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
                for part in inner {
                    match rest.split_once(&**part) {
                        Some((_, after)) => rest = after,
                        None => return false,
                    }
                }
                true
            }
        }
    }
}
