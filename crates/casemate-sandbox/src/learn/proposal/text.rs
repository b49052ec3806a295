//! A proposal as the lines of a configuration file.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Proposal;

/// Subjects that are named for one reason; more are counted.
const NAMED_MAX: usize = 5;

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = &self.entry;
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| path_text(path)).collect::<Vec<_>>();
        list(f, "read", &texts(&entry.read))?;
        list(f, "write", &texts(&entry.write))?;
        list(f, "runtime", &texts(&entry.runtime))?;
        list(f, "network", &entry.network)?;
        // Equal reasons stand side by side.
        for remarks in self.remarks.chunk_by(|one, other| one.reason == other.reason) {
            let Some(first) = remarks.first() else { continue };
            let named: Vec<_> = remarks.iter().take(NAMED_MAX).map(|remark| quiet(&remark.subject)).collect();
            write!(f, "# {}: {}", quiet(&first.reason), named.join(", "))?;
            match remarks.len().saturating_sub(NAMED_MAX) {
                0 => writeln!(f)?,
                more => writeln!(f, " and {more} more")?,
            }
        }
        Ok(())
    }
}

/// Paths that are proposed are UTF-8, since others are refused as grants.
fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn list(f: &mut fmt::Formatter<'_>, key: &str, values: &[String]) -> fmt::Result {
    match values {
        [] => Ok(()),
        [only] => writeln!(f, "{key} = [\"{}\"]", quoted(only)),
        values => {
            writeln!(f, "{key} = [")?;
            values.iter().try_for_each(|value| writeln!(f, "    \"{}\",", quoted(value)))?;
            writeln!(f, "]")
        }
    }
}

/// The inside of a basic string (TOML 1.0). What cannot be seen is escaped as well, so that nobody is fooled.
fn quoted(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '"' | '\\' => format!("\\{letter}"),
            _ if is_plain(letter) => letter.to_string(),
            _ => format!("\\U{:08X}", u32::from(letter)),
        })
        .collect()
}

/// The same for a comment, in which escapes mean nothing.
fn quiet(text: &str) -> String {
    let plain = |letter: char| match is_plain(letter) {
        true => letter.to_string(),
        false => format!("\\u{{{:x}}}", u32::from(letter)),
    };
    text.chars().map(plain).collect()
}

/// Whether a letter is one that a person sees, and that does not move others.
fn is_plain(letter: char) -> bool {
    letter == ' ' || (letter.is_alphanumeric() || letter.is_ascii_graphic())
}
