//! What a crate says about itself, and what only one crate may contain.

use super::finding::Finding;
use super::source::{line_of, words};
use super::tree::Tree;

/// The one crate that may step outside of the language's guarantees.
const UNSAFE_ROOM: &str = "casemate-sandbox";

/// A crate opens with what it knows and what it does not know.
pub(crate) fn introductions(tree: &Tree) -> Vec<Finding> {
    let roots = tree
        .texts()
        .filter(|(file, _)| file.path.starts_with("crates/") && file.path.ends_with("/src/lib.rs"));
    roots
        .filter_map(|(file, text)| {
            let opening = text.lines().map_while(|line| line.strip_prefix("//!"));
            let opening = opening.collect::<Vec<_>>().join(" ").to_lowercase();
            let knows = opening.contains("knows");
            let limits =
                ["not know", "knows nothing", "knows neither"].iter().any(|mark| opening.contains(mark));
            let message = "opens with `//!` lines that say what the crate knows and what it does not know";
            (!knows || !limits).then(|| Finding::error(&file.path, 1, message))
        })
        .collect()
}

/// Only one crate contains `unsafe`.
pub(crate) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.sources().filter(|(file, _)| file.package() != Some(UNSAFE_ROOM)) {
        findings.extend(words(&source.code, "unsafe").map(|at| {
            let message = format!("only {UNSAFE_ROOM} may contain unsafe code");
            Finding::error(&file.path, line_of(&source.code, at), message)
        }));
    }
    findings
}

/// Work that is not done stands in an issue, not in a comment.
pub(crate) fn left_overs(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for mark in ["TODO", "FIXME", "XXX"] {
        for (file, text) in tree.texts() {
            let looked_at = match &file.source {
                Some(source) => source.comments.as_str(),
                None if file.path.ends_with(".toml") || file.path.starts_with(".ci/") => text,
                None => continue,
            };
            findings.extend(words(looked_at, mark).map(|at| {
                let message = format!("{mark}: do it, delete it, or open an issue");
                Finding::error(&file.path, line_of(looked_at, at), message)
            }));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_does_not_say_what_it_does_not_know_is_found() {
        let of = |text: &str| introductions(&Tree::of(&[("crates/casemate-mcp/src/lib.rs", text)]));
        assert_eq!(of("//! Words.\n//!\n//! Knows: frames. Does not know: I/O.\n"), []);
        assert_eq!(of("//! Words. Knows frames.\n").len(), 1);
        assert_eq!(of("// Knows, does not know.\n").len(), 1);
        assert_eq!(of("use x;\n//! Knows, does not know.\n").len(), 1);
    }

    #[test]
    fn unsafe_outside_of_its_room_is_found() {
        let text = "fn f() { unsafe { g() } } // unsafe\n#![deny(unsafe_code)]";
        assert_eq!(unsafe_code(&Tree::of(&[("crates/casemate-mcp/src/a.rs", text)])).len(), 1);
        assert_eq!(unsafe_code(&Tree::of(&[("crates/casemate-sandbox/src/a.rs", text)])), []);
    }

    #[test]
    fn left_over_work_is_found_in_comments() {
        assert_eq!(left_overs(&Tree::of(&[("crates/a/src/a.rs", "// TODO: more\n")])).len(), 1);
        assert_eq!(left_overs(&Tree::of(&[(".ci/run", "# FIXME\n")])).len(), 1);
        assert_eq!(left_overs(&Tree::of(&[("crates/a/src/a.rs", "f(\"TODO\")")])), []);
        assert_eq!(left_overs(&Tree::of(&[("docs/style.md", "No TODO.")])), []);
    }
}
