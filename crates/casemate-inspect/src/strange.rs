//! Where in a JSON text a closer look is needed: at escapes behind which anything could stand, and at characters that could
//! be hidden.

use crate::hidden;

/// Tells where. It may tell of more than there is: the backslash of `\\u` is itself escaped, and nobody looks.
pub(crate) fn strange(text: &[u8], mut found: impl FnMut(usize)) {
    let behind = text.get(1..).unwrap_or_default();
    let chunks = text.as_chunks::<32>().0.iter().zip(behind.as_chunks::<32>().0);
    let mut done = 0;
    for (chunk, next) in chunks {
        // Bytes rather than booleans and no early exit: the form that becomes vector instructions. Most chunks have nothing
        // but plain ASCII in them, and asking for that alone takes a sixth of the time.
        let may_be =
            chunk.iter().fold(0, |any, &byte| any | u8::from(byte >= 0x7f) | u8::from(byte == b'\\'));
        if may_be == 0 {
            done += 32;
            continue;
        }
        // Each byte is seen with the one behind it, so nothing has to be remembered from one chunk to the next.
        let any = chunk.iter().zip(next).fold(0, |any, (&byte, &next)| any | leads(byte) | opens(byte, next));
        if any != 0 {
            look(text, done..done + 32, &mut found);
        }
        done += 32;
    }
    look(text, done..text.len(), &mut found);
}

fn look(text: &[u8], span: std::ops::Range<usize>, found: &mut impl FnMut(usize)) {
    for at in span {
        let Some([byte, rest @ ..]) = text.get(at..) else { return };
        let is_escape = opens(*byte, rest.first().copied().unwrap_or(0)) != 0;
        if is_escape || (leads(*byte) != 0 && hidden::begins(text.get(at..).unwrap_or_default())) {
            found(at);
        }
    }
}

/// Whether a hidden character can begin with this byte. Inside of JSON no control character stands for itself.
fn leads(byte: u8) -> u8 {
    u8::from(byte == 0x7f)
        | u8::from(byte == 0xc2)
        | u8::from(byte == 0xcd)
        | u8::from(byte == 0xd8)
        | (u8::from(byte & 0xfc == 0xe0) & u8::from(byte != 0xe0))
        | u8::from(byte == 0xef)
        | u8::from(byte == 0xf0)
        | u8::from(byte == 0xf3)
}

/// Whether an escape begins here that is not one of the common ones, which no word and no hidden character can be behind.
fn opens(byte: u8, next: u8) -> u8 {
    let is_rare =
        u8::from(next == b'u') | u8::from(next == b'/') | u8::from(next == b'b') | u8::from(next == b'f');
    u8::from(byte == b'\\') & is_rare
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_character_that_is_removed_is_found_written_or_escaped(
            before in "[ -~é中]{0,70}",
            c in prop_oneof![any::<char>(), prop::sample::select(vec!['\u{200b}', '\u{e0041}', '\u{1b}', '\u{8}'])],
        ) {
            let text = format!("{before}{c}");
            let quoted = serde_json::to_string(&text).unwrap();
            let mut spots = Vec::new();
            strange(quoted.as_bytes(), |at| spots.push(at));
            if hidden::removed(&text, |_| {}) != text {
                prop_assert!(!spots.is_empty(), "{quoted}");
            }
            let escaped: String = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let quoted = format!("\"{}{escaped}\"", before.replace(['"', '\\'], ""));
            let mut seen = false;
            strange(quoted.as_bytes(), |_| seen = true);
            prop_assert!(seen, "{quoted}");
        }
    }
}
