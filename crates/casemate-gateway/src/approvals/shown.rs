//! Text of a model or a stranger, as a person is shown it who has to judge it.

use std::fmt::Write;

/// Shows a text with everything visible in it that is not: control characters, terminal sequences, and characters that
/// hide, reorder or imitate nothing at all. Line ends and tabs are shown too, since they could draw a second question
/// below the first.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a string cannot fail.
            _ = write!(shown, "{}", c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_hidden(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn nothing_is_hidden_from_whoever_judges() {
        assert_eq!(visible("grüß \"Gott\" こんにちは"), "grüß \"Gott\" こんにちは");
        assert_eq!(visible("a\x1b[2Jb\r\nc\td"), "a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{9}d");
        assert_eq!(
            visible("x\u{202e}y\u{200b}z\u{e0041}\u{a0}\u{2028}"),
            "x\\u{202e}y\\u{200b}z\\u{e0041}\\u{a0}\\u{2028}"
        );
    }
}
