//! The strings of a JSON text, one after the other, and the text with some of them changed.

use std::ops::Range;

use casemate_mcp::json::Raw;

use crate::marks::Marks;

/// What stands in a JSON text, as far as it can carry text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// The name of a member.
    Name(&'a str),
    /// A string.
    Value(&'a str),
    /// A number.
    Number(&'a str),
}

/// The text with those parts replaced that `change` gives something for; `None` when it gives nothing. Only parts with a
/// mark are looked at. What is given becomes a string.
pub(crate) fn rewritten(
    text: &[u8],
    marks: &Marks,
    mut change: impl FnMut(Part<'_>) -> Option<String>,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut kept_to = 0;
    let mut at = 0;
    let mut replace = |span: &Range<usize>, part: Part<'_>| {
        let Some(new) = change(part) else { return };
        out.extend_from_slice(text.get(kept_to..span.start).unwrap_or_default());
        out.extend_from_slice(Raw::string_of(&new).as_bytes());
        kept_to = span.end;
    };
    while at < text.len() {
        let string = next_string(text, at);
        let gap = at..string.as_ref().map_or(text.len(), |string| string.start);
        if marks.any_in(&gap) {
            numbers(text, &gap, &mut replace);
        }
        let Some(span) = string else { break };
        if marks.any_in(&span) {
            let quoted = text.get(span.clone()).and_then(|quoted| std::str::from_utf8(quoted).ok());
            if let Some(content) = quoted.and_then(unquoted) {
                let is_name = is_name(text.get(span.end..).unwrap_or_default());
                replace(&span, if is_name { Part::Name(&content) } else { Part::Value(&content) });
            }
        }
        at = span.end;
    }
    if kept_to == 0 {
        return None;
    }
    out.extend_from_slice(text.get(kept_to..).unwrap_or_default());
    Some(out)
}

/// Where the next string stands, quotes included.
fn next_string(text: &[u8], from: usize) -> Option<Range<usize>> {
    let start = from + memchr::memchr(b'"', text.get(from..)?)?;
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(start..at + 1);
        }
        at += 2;
    }
}

fn is_name(after: &[u8]) -> bool {
    after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// The content of a quoted string of a checked text.
fn unquoted(quoted: &str) -> Option<std::borrow::Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(inner.into());
    }
    serde_json::from_str::<String>(quoted).ok().map(Into::into)
}

/// Each number between two strings.
fn numbers(text: &[u8], gap: &Range<usize>, replace: &mut impl FnMut(&Range<usize>, Part<'_>)) {
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    let mut at = gap.start;
    while let Some(rest) = text.get(at..gap.end).filter(|rest| !rest.is_empty()) {
        let Some(skipped) = rest.iter().position(|byte| byte.is_ascii_digit() || *byte == b'-') else {
            return;
        };
        let start = at + skipped;
        let length =
            text.get(start..gap.end).unwrap_or_default().iter().take_while(|b| is_of_number(b)).count();
        let span = start..start + length;
        if let Some(number) = text.get(span.clone()).and_then(|number| std::str::from_utf8(number).ok()) {
            replace(&span, Part::Number(number));
        }
        at = span.end;
    }
}
