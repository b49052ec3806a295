//! What things are called, and how functions are declared.

use super::finding::Finding;
use super::source::{is_word, line_of, words};
use super::tree::Tree;

/// Names that say nothing about what is inside, so that everything ends up there.
const EMPTY_NAMES: &[&str] = &["manager", "helper", "helpers", "util", "utils", "common", "core", "misc"];

/// British spellings that creep in, and how this code spells them.
const SPELLINGS: &[(&str, &str)] = &[
    ("authoris", "authoriz"),
    ("behaviour", "behavior"),
    ("canonicalis", "canonicaliz"),
    ("centre", "center"),
    ("colour", "color"),
    ("defence", "defense"),
    ("favour", "favor"),
    ("honour", "honor"),
    ("initialis", "initializ"),
    ("normalis", "normaliz"),
    ("optimise", "optimize"),
    ("organis", "organiz"),
    ("recognis", "recogniz"),
    ("sanitis", "sanitiz"),
    ("serialis", "serializ"),
    ("summaris", "summariz"),
    ("synchronis", "synchroniz"),
];

/// Modules and crates are nouns that say what is inside.
pub(crate) fn modules(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for part in file.path.split('/') {
            let stem = part.strip_suffix(".rs").unwrap_or(part);
            let code = file.source.is_some() || file.path.ends_with("Cargo.toml");
            findings.extend(empty(stem).filter(|_| code).map(|word| {
                Finding::error(&file.path, 0, format!("a name with \"{word}\" in it says nothing"))
            }));
        }
    }
    for (file, source) in tree.sources() {
        for at in words(&source.code, "mod") {
            let after = source.code.get(at + "mod".len()..).unwrap_or_default().trim_start();
            let name: String = after.chars().take_while(|c| is_word(*c)).collect();
            findings.extend(empty(&name).map(|word| {
                let line = line_of(&source.code, at);
                Finding::error(&file.path, line, format!("a module with \"{word}\" in its name says nothing"))
            }));
        }
    }
    findings
}

/// `foo.rs` beside `foo/`: an editor full of tabs called `mod.rs` helps nobody.
pub(crate) fn mod_files(tree: &Tree) -> Vec<Finding> {
    let named = tree.files.iter().filter(|file| file.path.ends_with("/mod.rs"));
    named
        .map(|file| Finding::error(&file.path, 0, "write foo.rs beside foo/ instead of foo/mod.rs"))
        .collect()
}

/// `f(true)` says nothing at the place of the call.
pub(crate) fn bool_parameters(tree: &Tree) -> Vec<Finding> {
    let product = tree.sources().filter(|(file, _)| !file.is_test());
    let all = product.flat_map(|(file, source)| source.functions().into_iter().map(move |f| (file, f)));
    all.filter(|(_, f)| f.public && f.parameter_types.iter().any(|kind| kind == "bool"))
        .map(|(file, f)| {
            let message = format!("public function {} takes a bool; an enum says what it means", f.name);
            Finding::error(&file.path, f.line, message)
        })
        .collect()
}

/// American spelling in code and comments.
pub(crate) fn spelling(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.sources() {
        for text in [&source.code, &source.comments] {
            let lower = text.to_ascii_lowercase();
            for (british, american) in SPELLINGS {
                findings.extend(lower.match_indices(british).map(|(at, _)| {
                    let message = format!("\"{british}\" is spelled \"{american}\" here");
                    Finding::error(&file.path, line_of(text, at), message)
                }));
            }
        }
    }
    findings
}

fn empty(name: &str) -> impl Iterator<Item = &str> {
    name.split(['_', '-']).filter(|word| EMPTY_NAMES.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lib(text: &str) -> Tree {
        Tree::of(&[("crates/casemate-mcp/src/lib.rs", text)])
    }

    #[test]
    fn empty_names_are_found_in_paths_and_in_code() {
        assert_eq!(modules(&lib("mod names;\nuse core::fmt;\n")), []);
        assert_eq!(modules(&lib("pub mod helpers;\n")).len(), 1);
        assert_eq!(modules(&lib("mod session_manager {}\n")).len(), 1);
        assert_eq!(modules(&Tree::of(&[("crates/a/src/utils.rs", "")])).len(), 1);
        assert_eq!(modules(&Tree::of(&[("crates/casemate-core/Cargo.toml", "")])).len(), 1);
        assert_eq!(modules(&Tree::of(&[("docs/core.md", "")])), []);
    }

    #[test]
    fn mod_rs_is_found() {
        assert_eq!(mod_files(&Tree::of(&[("crates/a/src/b/mod.rs", "")])).len(), 1);
    }

    #[test]
    fn a_public_bool_parameter_is_found() {
        assert_eq!(bool_parameters(&lib("pub fn f(on: bool) {}\n")).len(), 1);
        assert_eq!(bool_parameters(&lib("fn f(on: bool) {}\npub fn g(on: &[bool]) -> bool { true }\n")), []);
    }

    #[test]
    fn british_spelling_is_found_outside_of_strings() {
        assert_eq!(spelling(&lib("/// Its behaviour.\nfn initialise() {}\n")).len(), 2);
        assert_eq!(spelling(&lib("fn f() { g(\"colour\") }\n")), []);
    }
}
