//! JSON that is looked at once, and afterwards only cut into pieces.
//!
//! [`Raw::check`] walks a message a single time before anything is parsed into trees. It refuses what two
//! parsers could read differently (duplicate member names at any depth, lone surrogates, invalid UTF-8) and what
//! could exhaust us (size, depth, number of values). What passes stays a slice of the buffer it arrived in.

mod edit;
mod scan;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use edit::Edit;

/// Bounds that a message must keep, applied while it is scanned.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Size of the whole text, in bytes. Default 16 MiB.
    pub bytes_max: usize,
    /// Arrays and objects inside one another. Default 128: recursive readers downstream survive it.
    pub depth_max: u16,
    /// Values of any kind, member names not counted. Default 1,000,000.
    pub values_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes_max: 16 << 20, depth_max: 128, values_max: 1_000_000 }
    }
}

/// Why a text was refused, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {at}")]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Offset of the first byte that is wrong.
    pub at: usize,
}

/// What can be wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FaultKind {
    /// RFC 8259 does not allow it.
    #[error("this is not JSON")]
    Syntax,
    /// The text ends inside a value.
    #[error("the JSON text ends too early")]
    Truncated,
    /// Something follows the value.
    #[error("more text follows the JSON value")]
    Trailing,
    /// Not UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
    /// `\ud800` without its other half; parsers disagree on what that means.
    #[error("a string has half a surrogate pair")]
    Surrogate,
    /// An object has the same member twice; parsers disagree on which one counts.
    #[error("an object has the same member name twice")]
    Duplicate,
    /// Longer than [`Limits::bytes_max`].
    #[error("the text is too long")]
    TooLong,
    /// Deeper than [`Limits::depth_max`].
    #[error("arrays or objects are nested too deeply")]
    TooDeep,
    /// More values than [`Limits::values_max`].
    #[error("there are too many values")]
    TooMany,
}

/// A checked text on one line, for transports that frame by lines: between tokens a line break is white space, and inside
/// a string there is none.
#[must_use]
pub fn one_line(text: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &text).is_none() {
        return text;
    }
    text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

/// One JSON value that was checked: valid UTF-8 without duplicate members and within its limits.
///
/// Cloning is cheap; it shares the buffer that the value arrived in.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(Bytes);

impl Raw {
    /// The empty object.
    pub const EMPTY_OBJECT: Raw = Raw(Bytes::from_static(b"{}"));
    /// `null`.
    pub const NULL: Raw = Raw(Bytes::from_static(b"null"));

    /// Checks a text. White space around the value is dropped.
    ///
    /// # Errors
    /// A [`Fault`] for the first thing that is wrong.
    pub fn check(text: Bytes, limits: &Limits) -> Result<Raw, Fault> {
        let (span, _) = scan::check(&text, limits)?;
        Ok(Raw(text.slice(span)))
    }

    /// Writes a value of ours. A type that cannot be written as JSON (a map with keys that are no strings)
    /// becomes `null`; none of ours is of that kind.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Raw {
        serde_json::to_vec(value).map_or(Raw::NULL, |text| Raw(text.into()))
    }

    /// A string value.
    #[must_use]
    pub fn string_of(text: &str) -> Raw {
        if scan::is_plain(text) {
            return Raw([b"\"", text.as_bytes(), b"\""].concat().into());
        }
        Raw::of(text)
    }

    /// The text of the value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text of the value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The text was checked when it was made; the empty string is never reached.
        simdutf8::basic::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether it is the very same text in memory, which is told without reading it. Two that are equal need not be.
    #[must_use]
    pub fn is_same(&self, other: &Raw) -> bool {
        self.0.as_ptr() == other.0.as_ptr() && self.0.len() == other.0.len()
    }

    /// The text as a shared buffer, without a copy.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The same value in memory of its own. Whatever is kept for long has to be: a slice keeps alive the whole buffer that it
    /// arrived in.
    #[must_use]
    pub fn detached(&self) -> Raw {
        Raw(Bytes::copy_from_slice(&self.0))
    }

    /// Reads the value into a type, borrowing from it where the type can.
    ///
    /// # Errors
    /// What serde says does not fit.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// The members of an object; `None` when the value is none.
    #[must_use]
    pub fn members(&self) -> Option<Members> {
        let spans = scan::members(&self.0)?;
        Some(Members { raw: self.clone(), spans })
    }

    /// The elements of an array; `None` when the value is none.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Raw>> {
        let spans = scan::elements(&self.0)?;
        Some(spans.into_iter().map(|span| self.slice(&span)).collect())
    }

    /// The text of a string value, unescaped; `None` when the value is none.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'_, str>> {
        scan::unquote(self.as_str())
    }

    /// Joins values to an array.
    #[must_use]
    pub fn array<'a>(elements: impl IntoIterator<Item = &'a Raw>) -> Raw {
        let mut text = vec![b'['];
        for element in elements {
            if text.len() > 1 {
                text.push(b',');
            }
            text.extend_from_slice(&element.0);
        }
        text.push(b']');
        Raw(text.into())
    }

    fn slice(&self, span: &Range<usize>) -> Raw {
        Raw(self.0.slice(span.clone()))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A payload may hold what nobody should read in a log; its size is enough to debug with.
        write!(f, "Raw({} bytes)", self.0.len())
    }
}

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: &serde_json::value::RawValue =
            serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

/// A shallow view of an object: which members it has and where. The values stay text.
#[derive(Debug, Clone)]
pub struct Members {
    raw: Raw,
    spans: Vec<Member>,
}

/// Where one member stands in its object's text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    /// The name with its quotes.
    name: Range<usize>,
    value: Range<usize>,
    /// Whether the name is written with escapes, so that its text is not the name.
    escaped: bool,
}

impl Members {
    /// Checks a text that has to be an object, and notes its members in the same pass.
    ///
    /// # Errors
    /// A [`Fault`] for the first thing that is wrong; [`FaultKind::Syntax`] at 0 when the value is no object.
    pub fn check(text: Bytes, limits: &Limits) -> Result<Members, Fault> {
        let (span, spans) = scan::check(&text, limits)?;
        let spans = spans.ok_or(Fault { kind: FaultKind::Syntax, at: span.start })?;
        let start = span.start;
        let shift = |range: Range<usize>| range.start - start..range.end - start;
        let spans = spans
            .into_iter()
            .map(|member| Member { name: shift(member.name), value: shift(member.value), ..member })
            .collect();
        Ok(Members { raw: Raw(text.slice(span)), spans })
    }

    /// An object without members.
    #[must_use]
    pub fn empty() -> Members {
        Members { raw: Raw::EMPTY_OBJECT, spans: Vec::new() }
    }

    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> &Raw {
        &self.raw
    }

    /// The same object in memory of its own, see [`Raw::detached`].
    #[must_use]
    pub fn detached(&self) -> Members {
        Members { raw: self.raw.detached(), spans: self.spans.clone() }
    }

    /// A member's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Raw> {
        self.find(name).map(|member| self.raw.slice(&member.value))
    }

    /// A member's value when it is a string.
    #[must_use]
    pub fn string(&self, name: &str) -> Option<String> {
        self.get(name)?.string().map(Cow::into_owned)
    }

    /// A member's members when it is an object.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Members> {
        self.get(name)?.members()
    }

    /// Whether there is such a member.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// All members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Raw)> {
        self.spans.iter().map(|member| (self.name(member), self.raw.slice(&member.value)))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the object has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Starts a change; everything that is not named in it stays byte for byte.
    #[must_use]
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    fn find(&self, name: &str) -> Option<&Member> {
        self.spans.iter().find(|member| self.is_named(member, name))
    }

    fn is_named(&self, member: &Member, name: &str) -> bool {
        if member.escaped {
            return self.name(member) == name;
        }
        self.raw.0.get(member.name.start + 1..member.name.end - 1) == Some(name.as_bytes())
    }

    fn name(&self, member: &Member) -> Cow<'_, str> {
        self.raw.as_str_at(&member.name).and_then(scan::unquote).unwrap_or_default()
    }
}

impl Raw {
    fn as_str_at(&self, span: &Range<usize>) -> Option<&str> {
        simdutf8::basic::from_utf8(self.0.get(span.clone())?).ok()
    }
}
