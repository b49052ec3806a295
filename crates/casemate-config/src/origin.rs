//! Where a value was written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a value comes from. A later variant wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody wrote it; it is in the table of settings.
    Default,
    /// The configuration file.
    File(Place),
    /// An environment variable, by name.
    Environment(String),
    /// A flag of the command line, as it is typed.
    Flag(String),
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: Arc<Path>,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(place) => write!(f, "file {place}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// The lines of a file, to turn offsets into places.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(path: PathBuf, text: &'a str) -> Lines<'a> {
        Lines { path: path.into(), text }
    }

    /// The place of a byte offset; one beyond the end counts as the end.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let column = line.chars().filter(|c| *c != '\u{feff}').count() + 1;
        Place { path: self.path.clone(), line: before.matches('\n').count() + 1, column }
    }
}
