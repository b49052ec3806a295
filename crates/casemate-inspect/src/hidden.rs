//! Text that is not seen: what terminals act on, what turns reading around, what no font draws.
//!
//! Each character is judged by where it stands: the same joiner holds a family of emoji together, spells a Persian word, or
//! hides a bit. What is legitimate somewhere is kept there and nowhere else, and never twice in a row, so that little can
//! be hidden in it. Judging what is left gives the same again: only what is kept counts as a neighbor.

mod escape;
mod script;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use script::{
    is_ideograph, is_jamo_vowel, is_mark, is_modifier, is_musical, is_pictograph, is_standard_variant,
};

/// What a hidden character is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hidden {
    /// A sequence that a terminal acts on: colors, titles, links, moving about.
    TerminalEscape,
    /// A control character, but for tab, line feed and carriage return.
    Control,
    /// A character that changes the direction of reading.
    Bidi,
    /// A character without width: joiners and breaks where they join and break nothing.
    ZeroWidth,
    /// A tag character: letters that no font draws. Flags made of them lose them.
    Tag,
    /// A variation selector behind something that has no such variant.
    VariationSelector,
    /// Another character that is not drawn: soft hyphens, fillers, invisible operators, annotations.
    Invisible,
}

impl Hidden {
    /// All kinds.
    pub const ALL: [Hidden; 7] = [
        Hidden::TerminalEscape,
        Hidden::Control,
        Hidden::Bidi,
        Hidden::ZeroWidth,
        Hidden::Tag,
        Hidden::VariationSelector,
        Hidden::Invisible,
    ];

    /// The name by which it is told of.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Hidden::TerminalEscape => "terminal-escape",
            Hidden::Control => "control-character",
            Hidden::Bidi => "bidi-control",
            Hidden::ZeroWidth => "zero-width",
            Hidden::Tag => "tag-character",
            Hidden::VariationSelector => "variation-selector",
            Hidden::Invisible => "invisible-character",
        }
    }
}

/// Removes what is hidden, and tells of each thing that was. The same text comes back when there is none.
pub fn removed<'a>(text: &'a str, mut told: impl FnMut(Hidden)) -> Cow<'a, str> {
    let once = pass(text, &mut told);
    let Cow::Owned(mut shown) = once else { return once };
    // What a mark of direction stood by may have been a part of what was removed.
    while let Cow::Owned(again) = pass(&shown, &mut told) {
        shown = again;
    }
    Cow::Owned(shown)
}

fn pass<'a>(text: &'a str, told: &mut impl FnMut(Hidden)) -> Cow<'a, str> {
    let mut out: Option<String> = None;
    let mut spot = Spot { text, kept_to: 0, right_to_left: None };
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| next(rest.as_bytes())).map(|found| at + found) {
        let Some(c) = text.get(start..).and_then(|rest| rest.chars().next()) else { break };
        let kept = text.get(spot.kept_to..start).unwrap_or_default();
        let last = kept.chars().next_back().or_else(|| out.as_ref()?.chars().next_back());
        match spot.judge((start, c), last) {
            None => at = start + c.len_utf8(),
            Some((hidden, end)) => {
                told(hidden);
                out.get_or_insert_with(|| String::with_capacity(text.len())).push_str(kept);
                (spot.kept_to, at) = (end, end);
            }
        }
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(spot.kept_to..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// A text while it is judged.
struct Spot<'a> {
    text: &'a str,
    /// Up to here it was decided what is kept.
    kept_to: usize,
    /// Whether there are letters that are read from right to left; asked once.
    right_to_left: Option<bool>,
}

impl Spot<'_> {
    /// Whether the character at this place is hidden, and where what it begins ends. `last` is kept before it.
    fn judge(&mut self, (start, c): (usize, char), last: Option<char>) -> Option<(Hidden, usize)> {
        let after = start + c.len_utf8();
        let rest = self.text.get(after..).unwrap_or_default();
        if let Some(length) = escape::length(c, rest) {
            return Some((Hidden::TerminalEscape, after + length));
        }
        let next = rest.chars().next();
        let (hidden, is_needed) = match c {
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => (Hidden::Control, false),
            '\u{e0000}'..='\u{e007f}' => (Hidden::Tag, false),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => (Hidden::Bidi, false),
            '\u{200e}' | '\u{200f}' | '\u{61c}' => (Hidden::Bidi, self.guides(last)),
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {
                (Hidden::ZeroWidth, joins(c, (last, next), start))
            }
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                (Hidden::VariationSelector, last.is_some_and(|last| selects(c, (last, next))))
            }
            _ => (Hidden::Invisible, is_needed(c, (last, next))),
        };
        (!is_needed).then_some((hidden, after))
    }

    /// Texts that are read from right to left need marks of direction, one at a time.
    fn guides(&mut self, last: Option<char>) -> bool {
        let is_doubled = matches!(last, Some('\u{200e}' | '\u{200f}' | '\u{61c}'));
        let text = self.text;
        !is_doubled && *self.right_to_left.get_or_insert_with(|| text.chars().any(script::is_right_to_left))
    }
}

/// Whether a character without width does what it is for.
fn joins(c: char, (last, next): (Option<char>, Option<char>), start: usize) -> bool {
    match c {
        // The mark with which some programs begin a file.
        '\u{feff}' => start == 0,
        '\u{200b}' => {
            let breaks = |c: Option<char>| c.is_some_and(script::has_no_spaces);
            breaks(last) && breaks(next)
        }
        '\u{200d}'
            if last.is_some_and(|last| is_pictograph(last) || is_modifier(last) || last == '\u{fe0f}') =>
        {
            next.is_some_and(is_pictograph)
        }
        '\u{200c}' | '\u{200d}' => last.is_some_and(script::uses_joiners),
        _ => false,
    }
}

/// Whether a variation selector stands behind something that has the variant.
fn selects(c: char, (last, next): (char, Option<char>)) -> bool {
    let is_keycap = last.is_ascii_digit() || matches!(last, '#' | '*');
    match c {
        '\u{fe0e}' | '\u{fe0f}' if is_keycap => c == '\u{fe0f}' && next == Some('\u{20e3}'),
        '\u{fe0e}' | '\u{fe0f}' => is_pictograph(last),
        '\u{fe00}'..='\u{fe0d}' => is_standard_variant(last, c),
        // Variants of ideographs, as names are written with: one behind each, from the part of the range that is in use.
        '\u{e0100}'..='\u{e011f}' => is_ideograph(last),
        _ => false,
    }
}

/// Whether another character that is not drawn shapes its neighbors.
fn is_needed(c: char, (last, next): (Option<char>, Option<char>)) -> bool {
    let is = |neighbor: Option<char>, test: fn(char) -> bool| neighbor.is_some_and(test);
    match c {
        '\u{34f}' => is(next, is_mark),
        '\u{115f}' => is(next, is_jamo_vowel),
        '\u{1160}' => is(last, |c| matches!(c, '\u{1100}'..='\u{115e}')),
        '\u{180b}'..='\u{180f}' => is(last, |c| matches!(c, '\u{1820}'..='\u{18aa}')),
        '\u{1d173}'..='\u{1d17a}' => is(last, is_musical) || is(next, is_musical),
        _ => false,
    }
}

/// Where the next character stands that could be hidden. Only bytes that begin such a character are looked at closely.
fn next(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        for chunk in text.get(at..)?.as_chunks::<32>().0 {
            // Bytes rather than booleans and no early exit: the form that becomes vector instructions.
            let foreign =
                chunk.iter().fold(0, |found, &byte| found | u8::from(byte >= 0x7f) | u8::from(byte < 0x20));
            if foreign != 0 && chunk.iter().any(|byte| leads(*byte)) {
                break;
            }
            at += 32;
        }
        at += text.get(at..)?.iter().position(|byte| leads(*byte))?;
        if begins(text.get(at..)?) {
            return Some(at);
        }
        at += 1;
    }
}

/// The bytes with which hidden characters begin.
const fn leads(byte: u8) -> bool {
    match byte {
        b'\t' | b'\n' | b'\r' => false,
        0..0x20 | 0x7f | 0xc2 | 0xcd | 0xd8 | 0xe1 | 0xe2 | 0xe3 | 0xef | 0xf0 | 0xf3 => true,
        _ => false,
    }
}

/// Whether a text begins with a character that [`judge`] has to see.
pub(crate) fn begins(text: &[u8]) -> bool {
    match *text {
        [0xc2, second, ..] => second < 0xa0 || second == 0xad,
        [0xcd, 0x8f, ..] | [0xd8, 0x9c, ..] => true,
        [0xe1, 0x85, 0x9f | 0xa0, ..]
        | [0xe1, 0x9e, 0xb4 | 0xb5, ..]
        | [0xe1, 0xa0, 0x8b..=0x8f, ..]
        | [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..]
        | [0xe2, 0x81, 0xa0..=0xaf, ..]
        | [0xe3, 0x85, 0xa4, ..]
        | [0xef, 0xb8, 0x80..=0x8f, ..]
        | [0xef, 0xbb, 0xbf, ..]
        | [0xef, 0xbe, 0xa0, ..]
        | [0xef, 0xbf, 0xb0..=0xbb, ..]
        | [0xf0, 0x9b, 0xb2, 0xa0..=0xa3, ..]
        | [0xf0, 0x9d, 0x85, 0xb3..=0xba, ..]
        | [0xf3, 0xa0, ..] => true,
        [first, ..] => (first < 0x20 && !matches!(first, b'\t' | b'\n' | b'\r')) || first == 0x7f,
        [] => false,
    }
}
