//! Making text of strangers safe to show: a server must not move a cursor, rewrite a line or hide a word.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes everything that a terminal or a reader could be fooled with, except line ends and tabs.
pub fn safe(text: &str) -> Cow<'_, str> {
    escape(text, |c| deceives(c) && c != '\n' && c != '\t')
}

/// As [`safe`], for a place that holds one line: line ends and tabs are escaped too.
pub fn safe_line(text: &str) -> String {
    escape(text, deceives).into_owned()
}

fn escape(text: &str, wrong: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wrong) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !wrong(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "{}", c.escape_unicode());
        }
    }
    Cow::Owned(escaped)
}

/// Control characters, and the invisible ones that reorder or hide text (bidirectional controls, zero-width
/// characters, tags, variation selectors beyond the common ones).
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::{safe, safe_line};

    #[test]
    fn ordinary_text_passes_without_a_copy() {
        let text = "grüß Gott\n\tこんにちは 👩‍🚀";
        assert!(matches!(safe(text), std::borrow::Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn what_fools_a_terminal_or_a_reader_is_shown_as_what_it_is() {
        assert_eq!(safe("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(safe("safe\u{202e}exe"), "safe\\u{202e}exe");
        assert_eq!(safe("over\rwritten"), "over\\u{d}written");
        assert_eq!(safe("tag\u{e0041}"), "tag\\u{e0041}");
        assert_eq!(safe_line("two\nlines"), "two\\u{a}lines");
    }
}
