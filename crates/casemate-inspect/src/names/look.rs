//! What a name looks like, and whether its letters belong together.

use std::sync::Arc;

use unicode_security::confusable_detection::skeleton;
use unicode_security::mixed_script::MixedScript;

/// Characters of a name that are looked at. What is longer is no name that anybody reads.
const CHARS_MAX: usize = 512;

/// Characters of a stranger's name that are shown.
const SHOWN_MAX: usize = 64;

/// What a name looks like: its skeleton (Unicode TR39), whatever its letters' size. Two names that look alike have one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Look(Arc<str>);

impl Look {
    /// The look of a name.
    #[must_use]
    pub fn of(name: &str) -> Look {
        let end = name.char_indices().nth(CHARS_MAX).map_or(name.len(), |(at, _)| at);
        let small: String =
            skeleton(name.get(..end).unwrap_or_default()).flat_map(char::to_lowercase).collect();
        // Small letters can look like others than the large ones do: `m` like `rn`.
        Look(skeleton(&small).collect::<String>().into())
    }

    /// The look as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn begins_with(&self, other: &Look) -> bool {
        self.0.starts_with(&*other.0)
    }

    /// The same, and whatever follows is another word.
    pub(super) fn begins_with_word(&self, other: &Look) -> bool {
        let rest = self.0.strip_prefix(&*other.0);
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    }

    /// What stands before the first separator.
    pub(super) fn before(&self, separator: &str) -> Option<Look> {
        self.0.split_once(separator).map(|(head, _)| Look(head.into()))
    }
}

/// A word of the name that reads as plain letters and is written with those of several scripts. Words of one script are
/// what they are, also beside those of another: `данные_json` is one of each.
pub(super) fn mixed(name: &str) -> Option<&str> {
    if name.is_ascii() {
        return None;
    }
    name.split(|c: char| !c.is_alphabetic()).find(|word| {
        !word.is_ascii() && !word.is_single_script() && skeleton(word).all(|c| c.is_ascii_alphabetic())
    })
}

/// A stranger's name as it can be shown: quoted, in one line, with nothing unseen, and cut.
#[must_use]
pub fn shown(name: &str) -> String {
    let mut shown = String::from("\"");
    for (at, c) in name.chars().enumerate() {
        if at == SHOWN_MAX {
            shown.push('…');
            break;
        }
        if c.is_alphanumeric() && !c.is_ascii() {
            // The letters that names are mistaken for one another by are told apart.
            shown.extend(c.escape_unicode());
        } else {
            shown.extend(c.escape_debug());
        }
    }
    shown.push('"');
    shown
}
