//! What is wrong with a configuration: all of it at once, each with its place and a way out.

#[cfg(test)]
mod tests;

use std::fmt;

use crate::origin::Origin;

/// One mistake in the written configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub origin: Origin,
    /// What is wrong. Values that may be secrets are not quoted.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The image whose digest is missing, when that is what is wrong: it can be looked up.
    pub image: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(place) => write!(f, "{place}: {}", self.what)?,
            other => write!(f, "{other}: {}", self.what)?,
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All mistakes of a configuration, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems; `None` when there is none.
    pub(crate) fn of(mut problems: Vec<Problem>) -> Option<Problems> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() { None } else { Some(Problems(problems)) }
    }

    /// A failure that left no trace; it cannot happen, and if it does nothing may pass as correct.
    pub(crate) fn unexplained() -> Problems {
        Problems(vec![Fault::new("the configuration could not be read").at(Origin::Default)])
    }

    /// The problems in order.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What is wrong with one value, before it is known where the value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
    pub(crate) image: Option<String>,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), hint: None, image: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Fault {
        Fault { hint: Some(hint.into()), ..self }
    }

    /// With the image whose digest is missing.
    pub(crate) fn of_image(self, image: &str) -> Fault {
        Fault { image: Some(image.to_owned()), ..self }
    }

    pub(crate) fn at(self, origin: Origin) -> Problem {
        Problem { origin, what: self.what, hint: self.hint, image: self.image }
    }
}

/// A value as it is quoted in a message: on one line, and short.
pub(crate) fn quoted(value: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String = value.chars().take(CHARS_MAX).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The candidate that a person most likely meant, if any is close enough.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let typed = plain(typed);
    // A third of the letters wrong is still a slip; more is another word.
    let most = (typed.chars().count() / 3).max(1);
    let scored = candidates.into_iter().map(|candidate| (distance(&typed, &plain(candidate)), candidate));
    scored
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The number of letters to add, drop, replace, or swap with their neighbor.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (index, a) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        let mut left_of = None;
        for (column, b) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&row, column) + usize::from(a != *b);
            let mut best = replaced.min(at(&row, column + 1) + 1).min(at(&next, column) + 1);
            if previous == Some(*b) && left_of == Some(a) && column > 0 {
                best = best.min(at(&before, column - 1) + 1);
            }
            next.push(best);
            left_of = Some(*b);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(a);
    }
    row.last().copied().unwrap_or(0)
}
