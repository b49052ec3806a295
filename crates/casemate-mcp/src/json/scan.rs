//! The one pass over a text that a stranger wrote, and the quick walks over a text that passed.

use std::borrow::Cow;
use std::ops::Range;

use super::{Fault, FaultKind, Limits, Member};

/// Checks a whole text. Gives the value's span without surrounding white space, and the members if it is an object.
pub(super) fn check(text: &[u8], limits: &Limits) -> Result<(Range<usize>, Option<Vec<Member>>), Fault> {
    if text.len() > limits.bytes_max {
        return Err(Fault { kind: FaultKind::TooLong, at: limits.bytes_max });
    }
    if let Err(fault) = simdutf8::compat::from_utf8(text) {
        return Err(Fault { kind: FaultKind::Utf8, at: fault.valid_up_to() });
    }
    let mut scan = Scan { text, at: 0, limits, values: 0, depth: 0, names: Vec::new(), top: None };
    scan.space();
    let start = scan.at;
    scan.value()?;
    let end = scan.at;
    scan.space();
    if scan.at < text.len() {
        return Err(scan.fault(FaultKind::Trailing));
    }
    Ok((start..end, scan.top))
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    limits: &'a Limits,
    values: u32,
    depth: u16,
    /// Names of all objects that are open, innermost last; each object remembers where its own begin.
    names: Vec<Cow<'a, [u8]>>,
    /// Members of the outermost object.
    top: Option<Vec<Member>>,
}

impl<'a> Scan<'a> {
    fn value(&mut self) -> Result<(), Fault> {
        self.values += 1;
        if self.values > self.limits.values_max {
            return Err(self.fault(FaultKind::TooMany));
        }
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(_) => Err(self.fault(FaultKind::Syntax)),
            None => Err(self.fault(FaultKind::Truncated)),
        }
    }

    fn nested(&mut self, inside: fn(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth == self.limits.depth_max {
            return Err(self.fault(FaultKind::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        inside(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Fault> {
        let first = self.names.len();
        let mut members = (self.depth == 1).then(Vec::new);
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                let (name, escaped) = self.name()?;
                let start = self.at;
                self.value()?;
                if let Some(members) = &mut members {
                    members.push(Member { name, value: start..self.at, escaped });
                }
                if self.next_or(b'}')? {
                    break;
                }
            }
        }
        let here = self.at;
        let Some(own) = self.names.get_mut(first..) else { return Ok(()) };
        if has_duplicate(own) {
            return Err(Fault { kind: FaultKind::Duplicate, at: here - 1 });
        }
        self.names.truncate(first);
        if members.is_some() {
            self.top = members;
        }
        Ok(())
    }

    fn array(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            if self.next_or(b']')? {
                return Ok(());
            }
        }
    }

    /// Reads `"name" :` and leaves the cursor at the value. Says where the name stands, and whether it has escapes.
    fn name(&mut self) -> Result<(Range<usize>, bool), Fault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.string()?;
        let span = start..self.at;
        let inner = self.text.get(start + 1..self.at - 1).unwrap_or_default();
        let name = match memchr::memchr(b'\\', inner) {
            None => Cow::Borrowed(inner),
            Some(_) => Cow::Owned(unescape(inner).into_bytes()),
        };
        let escaped = matches!(name, Cow::Owned(_));
        self.names.push(name);
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.space();
        Ok((span, escaped))
    }

    /// After a value: `true` when the closing byte follows, `false` when a comma does.
    fn next_or(&mut self, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += plain_prefix(self.text.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault(FaultKind::Syntax)),
                None => return Err(self.fault(FaultKind::Truncated)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.unit(start)? {
                0xD800..=0xDBFF => {
                    let low = if self.text.get(self.at..self.at + 2) == Some(b"\\u") {
                        self.unit(self.at)?
                    } else {
                        0
                    };
                    let paired = (0xDC00..=0xDFFF).contains(&low);
                    if paired { Ok(()) } else { Err(Fault { kind: FaultKind::Surrogate, at: start }) }
                }
                0xDC00..=0xDFFF => Err(Fault { kind: FaultKind::Surrogate, at: start }),
                _ => Ok(()),
            },
            Some(_) => Err(self.fault(FaultKind::Syntax)),
            None => Err(Fault { kind: FaultKind::Truncated, at: self.text.len() }),
        }
    }

    /// Reads `\uXXXX` that begins at `start`.
    fn unit(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self
            .text
            .get(start + 2..start + 6)
            .ok_or(Fault { kind: FaultKind::Truncated, at: self.text.len() })?;
        self.at = start + 6;
        hex(digits).ok_or(Fault { kind: FaultKind::Syntax, at: start })
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.unexpected());
        }
        self.at += count;
        Ok(())
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        let kind = if word.starts_with(rest) { FaultKind::Truncated } else { FaultKind::Syntax };
        Err(self.fault(kind))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn unexpected(&self) -> Fault {
        self.fault(if self.at < self.text.len() { FaultKind::Syntax } else { FaultKind::Truncated })
    }

    fn fault(&self, kind: FaultKind) -> Fault {
        Fault { kind, at: self.at }
    }
}

/// Few names are compared pairwise; many are sorted, so that an object with a million names costs no more than n log n.
fn has_duplicate(names: &mut [Cow<'_, [u8]>]) -> bool {
    if names.len() <= 16 {
        return names.iter().enumerate().any(|(at, name)| names.iter().take(at).any(|other| other == name));
    }
    names.sort_unstable();
    names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

/// Whether every character stands for itself inside a string.
pub(super) fn is_plain(text: &str) -> bool {
    plain_prefix(text.as_bytes()) == text.len()
}

/// How many bytes follow that stand for themselves inside a string: no quote, backslash or control character.
fn plain_prefix(text: &[u8]) -> usize {
    // No early exit inside a chunk, and bytes rather than booleans: this is the form that the compiler turns into vector
    // instructions (six times as fast, measured). Short strings are found to end in a short chunk; one that went on for two
    // of these is a long one, for which longer chunks take three quarters of the time.
    let special = |byte: u8| u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    let is_plain = |chunk: &[u8]| chunk.iter().fold(0, |found, &byte| found | special(byte)) == 0;
    let short = text.as_chunks::<32>().0.iter().take(2).take_while(|chunk| is_plain(*chunk)).count();
    let mut done = 32 * short;
    if short == 2 {
        let long = text.get(done..).unwrap_or_default().as_chunks::<64>().0;
        done += 64 * long.iter().take_while(|chunk| is_plain(*chunk)).count();
    }
    for word in text.get(done..).unwrap_or_default().as_chunks::<8>().0 {
        match first_special(u64::from_le_bytes(*word)) {
            Some(at) => return done + at,
            None => done += 8,
        }
    }
    let rest = text.get(done..).unwrap_or_default();
    done + rest.iter().position(|&byte| special(byte) != 0).unwrap_or(rest.len())
}

/// The first of eight bytes that does not stand for itself, found without looking at each: a subtraction borrows from
/// a byte's high bit where the byte was too small. Bytes after the first find may be found wrongly; nobody asks.
fn first_special(word: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGHS;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let found = below(word, 0x20) | is(b'"') | is(b'\\');
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Members of an object whose text passed [`check`]; `None` when it is no object.
pub(super) fn members(text: &[u8]) -> Option<Vec<Member>> {
    let mut walk = Walk { text, at: 0 };
    walk.open(b'{')?;
    let mut members = Vec::with_capacity(8);
    while walk.more(b'}')? {
        let start = walk.at;
        let escaped = walk.string()?;
        let name = start..walk.at;
        walk.past(b':')?;
        let value = walk.skip()?;
        members.push(Member { name, value, escaped });
    }
    Some(members)
}

/// Elements of an array whose text passed [`check`]; `None` when it is none.
pub(super) fn elements(text: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut walk = Walk { text, at: 0 };
    walk.open(b'[')?;
    let mut elements = Vec::new();
    while walk.more(b']')? {
        elements.push(walk.skip()?);
    }
    Some(elements)
}

/// A walk over a text that is known to be JSON: it skips values without looking into them.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn open(&mut self, open: u8) -> Option<()> {
        (self.text.first() == Some(&open)).then(|| self.at = 1)
    }

    /// Steps over white space and a comma; `false` at the closing byte.
    fn more(&mut self, close: u8) -> Option<bool> {
        self.space();
        if self.peek()? == b',' {
            self.at += 1;
            self.space();
        }
        Some(self.peek()? != close)
    }

    fn past(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)?;
        self.space();
        Some(())
    }

    fn skip(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                _ => self.scalar(),
            }
            if depth == 0 {
                return Some(start..self.at);
            }
        }
    }

    /// Steps over a string; whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let found = memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            self.at += found;
            if self.peek()? == b'"' {
                self.at += 1;
                return Some(escaped);
            }
            escaped = true;
            self.at += 2;
        }
    }

    fn scalar(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let ends =
            |byte: &u8| matches!(byte, b',' | b':' | b'}' | b']' | b'"' | b' ' | b'\t' | b'\n' | b'\r');
        // One byte at least, so that a walk over a broken text still ends.
        self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// The text of a quoted string; `None` when it is not quoted.
pub(super) fn unquote(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(unescape(inner.as_bytes())),
    })
}

/// Unescapes the inside of a string that passed the check.
fn unescape(inner: &[u8]) -> String {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (character, used) = escaped_char(escaped);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escaped.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    String::from_utf8_lossy(&out).into_owned()
}

/// The character that an escape stands for and how many bytes the escape takes.
fn escaped_char(escaped: &[u8]) -> (char, usize) {
    let simple = match escaped.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_char(escaped),
        Some(&other) => char::from(other),
        None => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (simple, 2)
}

fn unicode_char(escaped: &[u8]) -> (char, usize) {
    let unit = |from: usize| escaped.get(from..from + 4).and_then(hex);
    match (unit(2), unit(8)) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        (Some(code), _) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
        (None, _) => (char::REPLACEMENT_CHARACTER, escaped.len()),
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
}
