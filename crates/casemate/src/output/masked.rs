//! Hiding secrets in what a person is shown, as far as they can be told by their looks.

use casemate_config::looks_like_secret;

/// The text, or a note in place of one that looks like a secret; `key` is the name it stands under, if any.
pub fn masked(key: &str, text: &str) -> String {
    match looks_like_secret(key, text) {
        Some(reason) => format!("[masked: {reason}; {} bytes]", text.len()),
        None => text.to_owned(),
    }
}
