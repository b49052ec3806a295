//! A policy file taken apart: statements and examples, each with its line.

use std::fmt::Write as _;

/// Most operators of one statement. Conditions are trees, and whatever walks one needs room for its depth.
const OPERATORS_MAX: usize = 200;

/// Most bytes of one policy file.
pub(crate) const BYTES_MAX: usize = 1 << 20;

/// One policy as it is written.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    /// Where its text starts, in bytes.
    pub(crate) start: usize,
    pub(crate) text: &'a str,
    /// What cannot be judged because it is too deep.
    pub(crate) is_too_deep: bool,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) statements: Vec<Statement<'a>>,
    /// The comments that are examples: where they start, and what follows `must`.
    pub(crate) examples: Vec<(usize, &'a str)>,
}

/// Takes a file apart. What follows the last semicolon is a statement as well, for the parser to complain of.
pub(crate) fn parts(text: &str) -> Parts<'_> {
    let mut parts = Parts::default();
    let mut start = None;
    let mut operators = 0;
    let mut resume = 0;
    for (at, byte) in text.bytes().enumerate() {
        if at < resume {
            continue;
        }
        match byte {
            b'/' if rest(text, at).starts_with("//") => {
                let line = rest(text, at).split('\n').next().unwrap_or_default();
                resume = at + line.len();
                if let Some(example) = line.trim_start_matches('/').trim().strip_prefix("must ") {
                    parts.examples.push((at, example));
                }
                continue;
            }
            b'"' => resume = at + string_end(rest(text, at)),
            b';' => {
                let from = start.take().unwrap_or(at);
                parts.statements.push(statement(text, (from, at + 1), operators));
                operators = 0;
                continue;
            }
            b'&' | b'|' | b'.' | b'+' | b'-' | b'*' | b'!' | b'(' | b'[' | b'{' | b'<' | b'>' | b'=' => {
                operators += 1;
            }
            byte if byte.is_ascii_whitespace() => continue,
            _ => {}
        }
        start.get_or_insert(at);
    }
    if let Some(from) = start {
        parts.statements.push(statement(text, (from, text.len()), operators));
    }
    parts
}

fn statement(text: &str, (from, to): (usize, usize), operators: usize) -> Statement<'_> {
    let text = text.get(from..to).unwrap_or_default();
    let words = text.matches("if").count();
    Statement { start: from, text, is_too_deep: operators + words > OPERATORS_MAX }
}

fn rest(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

/// The length of a string literal, its quotes included.
fn string_end(text: &str) -> usize {
    let mut escaped = true;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A text as a Cedar string literal.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for found in text.chars() {
        match found {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            found if found.is_control() => drop(write!(out, "\\u{{{:x}}}", u32::from(found))),
            found => out.push(found),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        parts(text).statements.iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn statements_end_at_semicolons_that_are_in_no_string_and_no_comment() {
        assert_eq!(texts(" a; b ;c"), ["a;", "b ;", "c"]);
        assert_eq!(texts("a \";\\\";\" ; // x; y\n b;"), ["a \";\\\";\" ;", "b;"]);
        assert_eq!(texts("a // \" ;\n ;b;"), ["a // \" ;\n ;", "b;"]);
        assert_eq!(texts("// only\n"), Vec::<&str>::new());
        assert_eq!(texts("\"open ;"), ["\"open ;"]);
        assert_eq!(texts(";"), [";"]);
    }

    #[test]
    fn examples_are_comments_that_begin_with_must() {
        let parts = parts("// must allow: a\npermit; /// must deny: \"b;\n// a must\n\"// must x\"");
        let examples: Vec<&str> = parts.examples.iter().map(|(_, text)| *text).collect();
        assert_eq!(examples, ["allow: a", "deny: \"b;"]);
    }
}
