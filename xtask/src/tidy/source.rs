//! Rust source as the rules see it: code without comments and literals, comments without code.
//!
//! This is a scanner, not a parser. It knows just enough of the language (nested comments, raw strings,
//! character literals against lifetimes) never to mistake a brace in a string for a brace in code.

use std::ops::Range;

/// One Rust file, split into what the compiler reads and what people read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file with comments and the insides of literals blanked out; offsets and lines are unchanged.
    pub(crate) code: String,
    /// The file with everything but comments blanked out.
    pub(crate) comments: String,
}

/// One function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, counted from 1.
    pub(crate) line: usize,
    /// Lines from its `fn` to its closing brace, both included.
    pub(crate) lines: usize,
    /// Whether `pub` stands before it, with or without a scope.
    pub(crate) public: bool,
    /// The types of its parameters, as they are written.
    pub(crate) parameter_types: Vec<String>,
}

impl Source {
    /// Scans a file.
    pub(crate) fn scan(text: &str) -> Source {
        let mut split = Split { rest: text, previous: ' ', code: String::new(), comments: String::new() };
        while split.step() {}
        Source { code: split.code, comments: split.comments }
    }

    /// Every function that has a body, tests and nested ones included.
    pub(crate) fn functions(&self) -> Vec<Function> {
        words(&self.code, "fn").filter_map(|at| self.function(at)).collect()
    }

    /// The number of lines that are not blank and not inside a `#[cfg(test)] mod … { … }`.
    pub(crate) fn product_lines(&self) -> usize {
        let tests = self.test_modules();
        let mut offset = 0;
        let mut count = 0;
        for line in self.code.split_inclusive('\n') {
            let blank = line.trim().is_empty();
            let tested = tests.iter().any(|range| range.contains(&offset));
            offset += line.len();
            count += usize::from(!blank && !tested);
        }
        count
    }

    fn test_modules(&self) -> Vec<Range<usize>> {
        let marks = self.code.match_indices("#[cfg(test)]");
        marks
            .filter_map(|(at, mark)| {
                let after = self.code.get(at + mark.len()..)?;
                let module = after.trim_start().strip_prefix("mod ")?;
                let brace = module.find(['{', ';'])?;
                let open = self.code.len() - module.len() + brace;
                Some(at..closing(&self.code, open)? + 1)
            })
            .collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let after = self.code.get(at + "fn".len()..)?;
        let name: String = after.trim_start().chars().take_while(|c| is_word(*c)).collect();
        if name.is_empty() {
            return None; // A function pointer type, `fn(u8) -> u8`.
        }
        let open = at + body_start(self.code.get(at..)?)?;
        let end = closing(&self.code, open)?;
        let before = self.code.get(..at)?;
        let modifiers = before.get(before.rfind([';', '}', '{', ']']).map_or(0, |i| i + 1)..)?;
        let line = line_of(&self.code, at);
        Some(Function {
            name,
            line,
            lines: line_of(&self.code, end) - line + 1,
            public: words(modifiers, "pub").next().is_some(),
            parameter_types: parameter_types(self.code.get(at..open)?),
        })
    }
}

/// The offsets at which `word` stands as a whole word.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text.get(..*at).and_then(|s| s.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|s| s.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

/// Whether a character may stand in an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The offset of the brace that opens a function's body, or nothing when a `;` ends the signature first.
fn body_start(signature: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The offset of the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code.get(open..)?.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at);
        }
    }
    None
}

/// The types of a signature's parameters, receiver excluded.
fn parameter_types(signature: &str) -> Vec<String> {
    let signature = signature.replace("->", "  "); // Not a closing bracket.
    let mut depth = 0_i32;
    let mut inside = false;
    let mut parts = vec![String::new()];
    for c in signature.chars() {
        inside |= c == '(' && depth == 0; // Generics come first: `fn f<F: Fn(u8)>(…)`.
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        match (inside, depth) {
            (false, _) => {}
            (true, 0) => break,
            (true, 1) if c == ',' => parts.push(String::new()),
            (true, _) => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts.iter().filter_map(|part| part.split_once(':')).map(|(_, kind)| kind.trim().to_owned()).collect()
}

/// The scanner's state: what is left to read, and the two texts written so far.
struct Split<'a> {
    rest: &'a str,
    previous: char,
    code: String,
    comments: String,
}

/// Where scanned text belongs.
#[derive(Clone, Copy)]
enum Kind {
    Code,
    Comment,
    Literal,
}

impl Split<'_> {
    /// Reads one token; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        let (kind, length) = if self.rest.starts_with("//") {
            (Kind::Comment, self.rest.find('\n').unwrap_or(self.rest.len()))
        } else if self.rest.starts_with("/*") {
            (Kind::Comment, block_comment(self.rest))
        } else if let Some(length) = self.raw_string() {
            (Kind::Literal, length)
        } else if first == '"' {
            (Kind::Literal, quoted(self.rest, '"'))
        } else if first == '\'' && is_character(self.rest) {
            (Kind::Literal, quoted(self.rest, '\''))
        } else {
            (Kind::Code, first.len_utf8())
        };
        self.take(kind, length);
        true
    }

    /// Moves `length` bytes to where they belong and blanks them elsewhere.
    fn take(&mut self, kind: Kind, length: usize) {
        let (token, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.previous = token.chars().next_back().unwrap_or(' ');
        for c in token.chars() {
            let blank = if c == '\n' { "\n" } else { " " };
            match kind {
                Kind::Code => {
                    self.code.push(c);
                    self.comments.push_str(&blank.repeat(c.len_utf8()));
                }
                Kind::Comment => {
                    self.code.push_str(&blank.repeat(c.len_utf8()));
                    self.comments.push(c);
                }
                Kind::Literal => {
                    // The quotes stay, so that a literal does not look like nothing at all.
                    let shown = if c == '"' { "\"".to_owned() } else { blank.repeat(c.len_utf8()) };
                    self.code.push_str(&shown);
                    self.comments.push_str(&blank.repeat(c.len_utf8()));
                }
            }
        }
    }

    /// The length of the raw string that starts here, if one does. Raw identifiers (`r#fn`) are not strings.
    fn raw_string(&self) -> Option<usize> {
        if is_word(self.previous) {
            return None;
        }
        let prefix = ["r", "br", "cr"].into_iter().find(|p| {
            self.rest.strip_prefix(*p).is_some_and(|after| after.starts_with('"') || after.starts_with('#'))
        })?;
        let after = self.rest.get(prefix.len()..)?;
        let hashes = after.chars().take_while(|c| *c == '#').count();
        let body = after.get(hashes..)?.strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = body.find(&end)?;
        Some(prefix.len() + hashes + 1 + length + end.len())
    }
}

/// The length of a block comment, nested ones included.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a literal that starts with a quote, escapes honored.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Whether the apostrophe that `text` starts with opens a character literal and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests;
