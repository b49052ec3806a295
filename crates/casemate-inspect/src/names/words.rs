//! The words of a definition that can be names: of tools, not of the language that it is written in.

use std::collections::HashSet;

use casemate_mcp::json::Raw;

use super::Look;
use crate::marks::Marks;
use crate::strings::{self, Part};

/// Words that are kept of one definition; a longer one says nothing that its beginning did not.
const WORDS_MAX: usize = 256;

/// Bytes of a word: shorter ones are words of a language, longer ones are no names.
const BYTES: std::ops::RangeInclusive<usize> = 5..=128;

/// The words of a definition's texts that could be names of tools.
#[must_use]
pub fn words(definition: &Raw) -> Vec<Look> {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut looks = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let text = definition.as_bytes();
    strings::rewritten(text, &Marks::all(text.len()), |part| {
        if let Part::Value(value) = part {
            texts.push(value.to_owned());
        }
        None
    });
    for word in texts.iter().flat_map(|text| text.split(|c: char| !is_of_name(c))) {
        let word = word.trim_matches(['_', '-', '.']);
        if looks.len() == WORDS_MAX {
            break;
        }
        if is_distinct(word) && seen.insert(word) {
            looks.push(Look::of(word));
        }
    }
    looks
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// Whether a name is no plain word: it has a joint, or a capital inside.
pub(super) fn is_distinct(word: &str) -> bool {
    let inner = word.trim_matches(['_', '-', '.']);
    let has_joint = inner.contains(['_', '-']);
    let has_hump =
        inner.chars().zip(inner.chars().skip(1)).any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    BYTES.contains(&word.len()) && (has_joint || has_hump)
}
