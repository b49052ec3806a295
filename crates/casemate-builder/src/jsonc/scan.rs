//! From text to nodes with positions.

use std::collections::HashSet;

use serde_json::Value;

use super::{BOM, DEPTH_MAX, Fault, Gap, Kind, Member, Node, Object};

pub(super) fn document(text: &str) -> Result<Node, Fault> {
    let start = if text.starts_with(BOM) { BOM.len_utf8() } else { 0 };
    let mut scanner = Scanner { text, at: start, depth: 0 };
    scanner.gap()?;
    let root = scanner.value()?;
    scanner.gap()?;
    match scanner.peek() {
        None => Ok(root),
        Some(_) => Err(scanner.fault("something follows the end of the document")),
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: u16,
}

impl Scanner<'_> {
    fn value(&mut self) -> Result<Node, Fault> {
        match self.peek() {
            Some(b'{') => self.nested(Scanner::object),
            Some(b'[') => self.nested(Scanner::array),
            Some(b'"') => {
                let start = self.at;
                let text = self.string()?;
                Ok(Node { span: start..self.at, kind: Kind::Scalar(Value::String(text)) })
            }
            Some(_) => self.word(),
            None => Err(self.fault("the text ends where a value is expected")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Kind, Fault>) -> Result<Node, Fault> {
        let start = self.at;
        if self.depth == DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        self.at += 1;
        let kind = read(self)?;
        self.depth -= 1;
        Ok(Node { span: start..self.at, kind })
    }

    fn object(&mut self) -> Result<Kind, Fault> {
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        let mut gap = self.gap()?;
        loop {
            let name_start = self.at;
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Kind::Object(Object { members, tail: gap }));
                }
                Some(b'"') => {}
                _ => return Err(self.fault("expected a member name in double quotes, or `}`")),
            }
            let name = self.string()?;
            if !seen.insert(name.clone()) {
                return Err(Fault::at(self.text, name_start, format!("the member {name:?} is there twice")));
            }
            self.gap()?;
            if !self.eat(b':') {
                return Err(self.fault("expected `:` after the member name"));
            }
            self.gap()?;
            let value = self.value()?;
            let lead = gap;
            let comma;
            (gap, comma) = self.separator(b'}')?;
            members.push(Member { lead, name, name_start, value, comma });
        }
    }

    fn array(&mut self) -> Result<Kind, Fault> {
        let mut elements = Vec::new();
        self.gap()?;
        loop {
            if self.eat(b']') {
                return Ok(Kind::Array(elements));
            }
            elements.push(self.value()?);
            self.separator(b']')?;
        }
    }

    /// Passes the comma after a value, which only the last one may lack. Gives the gap before what follows.
    fn separator(&mut self, close: u8) -> Result<(Gap, Option<usize>), Fault> {
        let gap = self.gap()?;
        let comma = self.at;
        if self.eat(b',') {
            return Ok((self.gap()?, Some(comma)));
        }
        match self.peek() {
            Some(byte) if byte == close => Ok((gap, None)),
            _ => Err(self.fault(format!("expected `,` or `{}`", char::from(close)))),
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(b'\n') | None => return Err(Fault::at(self.text, start, "this string is never closed")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let literal = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(literal)
            .map_err(|_| Fault::at(self.text, start, "this string is not valid JSON"))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        let ends = |byte: u8| byte.is_ascii_whitespace() || b",:{}[]\"/".contains(&byte);
        while self.peek().is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        match serde_json::from_str(word) {
            Ok(value) => Ok(Node { span: start..self.at, kind: Kind::Scalar(value) }),
            Err(_) => Err(Fault::at(self.text, start, "expected a value")),
        }
    }

    /// Passes white space and comments.
    fn gap(&mut self) -> Result<Gap, Fault> {
        let mut gap = Gap { solid_end: self.at, line_comment: false };
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
                self.at += 1;
                continue;
            }
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
                // In a file with CRLF the carriage return belongs to the end of the line.
                let comment = rest.get(..self.at - (self.text.len() - rest.len())).unwrap_or_default();
                let carriage = usize::from(comment.ends_with('\r'));
                gap = Gap { solid_end: self.at - carriage, line_comment: true };
            } else if rest.starts_with("/*") {
                let Some(end) = rest.find("*/") else {
                    return Err(self.fault("this comment is never closed"));
                };
                self.at += end + 2;
                gap = Gap { solid_end: self.at, line_comment: false };
            } else {
                return Ok(gap);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::at(self.text, self.at, what)
    }
}
