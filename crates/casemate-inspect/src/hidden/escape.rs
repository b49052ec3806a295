//! Sequences that terminals act on.

/// Longest text of a sequence that is taken for one, in bytes. What follows an introducer without an end in sight is text
/// that was made to look like a sequence, and better seen.
const BODY_MAX: usize = 16 << 10;

/// How many bytes behind an introducer belong to its sequence; `None` when the character introduces none.
pub(super) fn length(introducer: char, rest: &str) -> Option<usize> {
    match introducer {
        '\u{1b}' => match rest.chars().next() {
            Some('[') => Some(1 + control_sequence(rest.get(1..).unwrap_or_default())),
            Some(']' | 'P' | 'X' | '^' | '_') => {
                Some(1 + string_sequence(rest.get(1..).unwrap_or_default()).unwrap_or(0))
            }
            _ => Some(short_sequence(rest)),
        },
        '\u{9b}' => Some(control_sequence(rest)),
        '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => Some(string_sequence(rest).unwrap_or(0)),
        _ => None,
    }
}

/// Parameters, intermediates and the letter that ends it. One that is broken off takes nothing of the text with it.
fn control_sequence(rest: &str) -> usize {
    let body = rest.bytes().take_while(|byte| (0x20..=0x3f).contains(byte)).count();
    let ends = rest.as_bytes().get(body).is_some_and(|byte| (0x40..=0x7e).contains(byte));
    if ends { body + 1 } else { 0 }
}

/// A text that ends with BEL, with ST, or at the next control character whatever it is.
fn string_sequence(rest: &str) -> Option<usize> {
    let body = rest.get(..rest.floor_char_boundary(BODY_MAX))?;
    let (at, c) = body.char_indices().find(|(_, c)| c.is_control())?;
    Some(match c {
        '\u{7}' => at + 1,
        '\u{9c}' => at + 2,
        '\u{1b}' if body.as_bytes().get(at + 1) == Some(&b'\\') => at + 2,
        _ => at,
    })
}

/// `ESC c`, `ESC ( B` and their kin.
fn short_sequence(rest: &str) -> usize {
    let between = rest.bytes().take_while(|byte| (0x20..=0x2f).contains(byte)).take(4).count();
    let ends = rest.as_bytes().get(between).is_some_and(|byte| (0x30..=0x7e).contains(byte));
    if ends { between + 1 } else { 0 }
}
