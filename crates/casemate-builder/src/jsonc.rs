//! A lossless reader and editor of JSON with comments and trailing commas.
//!
//! The files of other programs are edited here, so the document keeps positions instead of a copy: an edit
//! changes the bytes of one member and leaves all others, comments and odd spacing included, as they were.

mod edit;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_json::Value;

/// Nesting beyond this is refused: no configuration needs it and recursion is bounded by it.
pub const DEPTH_MAX: u16 = 128;

/// Why a text could not be read or edited, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Fault {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl Fault {
    fn at(text: &str, offset: usize, what: impl Into<String>) -> Fault {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().filter(|c| *c != BOM).count();
        Fault { line: before.matches('\n').count() + 1, column: column + 1, what: what.into() }
    }
}

/// Editors on Windows like to open a file with it; it is kept and otherwise ignored.
const BOM: char = '\u{feff}';

/// A text that has been read completely and found to be one JSON value, comments and trailing commas allowed.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    text: &'a str,
    root: Node,
}

impl<'a> Document<'a> {
    /// Reads the whole text.
    ///
    /// # Errors
    /// When it is not JSON, when an object has two members of one name (which of them is meant cannot be
    /// known), or when it nests deeper than [`DEPTH_MAX`].
    pub fn parse(text: &'a str) -> Result<Document<'a>, Fault> {
        Ok(Document { text, root: scan::document(text)? })
    }

    /// The outermost value.
    pub fn root(&self) -> &Node {
        &self.root
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    span: Range<usize>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A string, number, boolean or null.
    Scalar(Value),
    Array(Vec<Node>),
    Object(Object),
}

#[derive(Debug, Clone)]
struct Object {
    members: Vec<Member>,
    /// The space before the closing brace.
    tail: Gap,
}

#[derive(Debug, Clone)]
struct Member {
    /// The space before the name.
    lead: Gap,
    name: String,
    name_start: usize,
    value: Node,
    /// Where the comma after the value stands.
    comma: Option<usize>,
}

/// White space and comments between two tokens.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// Behind the last comment, or where the gap begins when it has none: only white space follows.
    solid_end: usize,
    /// The last comment runs to the end of its line, so that line must end before a token may follow.
    line_comment: bool,
}

impl Node {
    /// The member of that name, when this is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.object()?.members.iter().find(|member| member.name == name).map(|member| &member.value)
    }

    /// Names and values in the order they are written, when this is an object.
    pub fn members(&self) -> Option<impl Iterator<Item = (&str, &Node)>> {
        Some(self.object()?.members.iter().map(|member| (member.name.as_str(), &member.value)))
    }

    /// The elements, when this is an array.
    pub fn elements(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Array(elements) => Some(elements),
            Kind::Scalar(_) | Kind::Object(_) => None,
        }
    }

    /// The text, when this is a string.
    pub fn string(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(value) => value.as_str(),
            Kind::Array(_) | Kind::Object(_) => None,
        }
    }

    /// The plain value, without comments.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::Array(elements) => elements.iter().map(Node::value).collect(),
            Kind::Object(object) => {
                object.members.iter().map(|member| (member.name.clone(), member.value.value())).collect()
            }
        }
    }

    fn object(&self) -> Option<&Object> {
        match &self.kind {
            Kind::Object(object) => Some(object),
            Kind::Scalar(_) | Kind::Array(_) => None,
        }
    }
}
