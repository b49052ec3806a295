//! Documents that must keep step with the code.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::tree::Tree;
use crate::suite::wordless;

/// The file in which every refusal's code stands.
const REFUSALS: &str = "crates/casemate-gateway/src/refusal.rs";
/// The document about the conformance suite, and how its table of checks that are let fail begins.
const CONFORMANCE: &str = "docs/conformance.md";
const WORDLESS_HEAD: &str = "| checks of 2026-07-28 |";
/// The document that describes every setting, each under a heading of its own.
const SETTINGS: &str = "docs/config.md";
/// The folder with a page per code.
const PAGES: &str = "docs/errors/";

/// Every crate has its line in the code map of ARCHITECTURE.md.
pub(crate) fn code_map(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.text("ARCHITECTURE.md") else {
        return vec![Finding::error("ARCHITECTURE.md", 0, "is missing")];
    };
    let crates: BTreeSet<&str> = tree.files.iter().filter_map(|file| file.package()).collect();
    let unmapped = crates.into_iter().filter(|name| !names(map).any(|word| word == *name));
    let unmapped = unmapped.map(|name| (0, format!("the code map does not mention {name}")));
    let lost = map.lines().enumerate().flat_map(|(at, line)| {
        let misleading = where_to_start(line).into_iter().filter(|path| !tree.has(path));
        misleading.map(move |path| (at + 1, format!("{path} does not exist")))
    });
    unmapped.chain(lost).map(|(line, message)| Finding::error("ARCHITECTURE.md", line, message)).collect()
}

/// The paths that a row of the code map sends its reader to: the code spans of its last column.
fn where_to_start(row: &str) -> Vec<String> {
    let columns: Vec<&str> = row.split('|').map(str::trim).collect();
    let [_, name, _, start, _] = columns.as_slice() else { return Vec::new() };
    let name = name.trim_matches('`');
    let folder = match name {
        "xtask" => "xtask/src".to_owned(),
        name if name.starts_with("casemate") => format!("crates/{name}/src"),
        _ => return Vec::new(),
    };
    code_spans(start).map(|path| format!("{folder}/{path}")).collect()
}

/// Every refusal has a page, and every page a refusal.
pub(crate) fn error_pages(tree: &Tree) -> Vec<Finding> {
    // A code is defined by a literal; in a comment it is an example.
    let refusals = tree.text(REFUSALS).unwrap_or_default();
    let literals = refusals.split('"').filter(|literal| is_code(literal));
    let defined: BTreeSet<&str> = literals.collect();
    let described: BTreeSet<&str> = tree
        .files
        .iter()
        .filter_map(|file| file.path.strip_prefix(PAGES)?.strip_suffix(".md"))
        .filter(|name| is_code(name))
        .collect();
    let missing = defined.difference(&described);
    let stale = described.difference(&defined);
    missing
        .map(|code| Finding::error(REFUSALS, 0, format!("{code} has no page {PAGES}{code}.md")))
        .chain(stale.map(|code| Finding::error(&format!("{PAGES}{code}.md"), 0, "no refusal has this code")))
        .collect()
}

/// The files and tests that documents name by their path exist.
pub(crate) fn paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.texts().filter(|(file, _)| file.path.ends_with(".md")) {
        for (at, line) in text.lines().enumerate() {
            let gone = code_spans(line).filter(|span| is_path(span) && !leads_somewhere(tree, span));
            findings.extend(
                gone.map(|span| Finding::error(&file.path, at + 1, format!("{span} does not exist"))),
            );
        }
    }
    findings
}

/// Whether a code span is a path from the root or from `crates/`, and not a pattern or a placeholder.
fn is_path(span: &str) -> bool {
    let start = span.split('/').next().unwrap_or_default();
    let ours =
        matches!(start, "crates" | "xtask" | "docs") || start.starts_with("casemate-") || start == "casemate";
    ours && span.contains('/') && !span.contains(['*', '…', ' ', '=', '<'])
}

/// Whether a path exists and, after `::`, has the test.
fn leads_somewhere(tree: &Tree, span: &str) -> bool {
    let (path, test) = span.split_once("::").unwrap_or((span, ""));
    let full = format!("crates/{path}");
    let known = [path, full.as_str()].into_iter().find(|path| tree.has(path));
    let holds = |path| tree.text(path).is_some_and(|text| text.contains(&format!("fn {test}")));
    known.is_some_and(|path| test.is_empty() || holds(path))
}

/// What stands between backticks in a line.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The settings that documents name by their section are described in the document about all of them.
pub(crate) fn settings(tree: &Tree) -> Vec<Finding> {
    let described = tree.text(SETTINGS).unwrap_or_default();
    let keys: BTreeSet<&str> =
        described.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    let sections: BTreeSet<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
    let is_setting = |span: &&str| {
        let is_key = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        let section = span.split_once('.').map(|(section, _)| section);
        span.chars().all(is_key)
            && !span.ends_with(".rs")
            && section.is_some_and(|name| sections.contains(name))
    };
    let is_known = |span: &str| keys.iter().any(|key| within(key, span));
    let mut findings = Vec::new();
    for (file, text) in tree.texts().filter(|(file, _)| is_guide(&file.path)) {
        for (at, line) in text.lines().enumerate() {
            let unknown = code_spans(line).filter(is_setting).filter(|span| !is_known(span));
            findings.extend(
                unknown.map(|span| Finding::error(&file.path, at + 1, format!("there is no setting {span}"))),
            );
        }
    }
    findings
}

/// Whether a document tells how things are, not how they came about.
fn is_guide(path: &str) -> bool {
    path.ends_with(".md") && !path.starts_with("docs/decisions/") && path != "CHANGELOG.md"
}

/// Whether a key is this setting or one below it; where the key has a name of somebody's choice, any word will do.
fn within(key: &str, span: &str) -> bool {
    let mut parts = key.split('.');
    span.split('.').all(|word| parts.next().is_some_and(|part| part == word || part == "NAME"))
}

/// A relative link in a document leads somewhere.
pub(crate) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.texts().filter(|(file, _)| file.path.ends_with(".md")) {
        for (at, line) in text.lines().enumerate() {
            let dead = line.match_indices("](").filter_map(|(start, _)| {
                let target = line.get(start + 2..)?.split([')', ' ', '#']).next()?;
                let outside = target.contains("://") || target.starts_with("mailto:") || target.is_empty();
                (!outside && !tree.has(&resolve(&file.path, target))).then_some(target)
            });
            findings.extend(
                dead.map(|target| Finding::error(&file.path, at + 1, format!("{target} does not exist"))),
            );
        }
    }
    findings
}

/// The document about the conformance suite lists the checks that are let fail, with their reasons, and no others.
pub(crate) fn conformance(tree: &Tree) -> Vec<Finding> {
    let text = tree.text(CONFORMANCE).unwrap_or_default();
    let begins = |line: &&str| line.starts_with(WORDLESS_HEAD);
    let shown: Vec<&str> = text
        .lines()
        .skip_while(|line| !begins(line))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let expected: Vec<String> = wordless().iter().map(|some| some.row()).collect();
    if shown == expected {
        return Vec::new();
    }
    let message = format!("the table below \"{WORDLESS_HEAD}\" has to be:\n{}", expected.join("\n"));
    vec![Finding::error(CONFORMANCE, 0, message)]
}

/// An example that the README names exists.
pub(crate) fn examples(tree: &Tree) -> Vec<Finding> {
    let readme = tree.text("README.md").unwrap_or_default();
    let named = readme.match_indices("examples/").filter_map(|(at, _)| {
        let rest = readme.get(at..)?;
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c))).unwrap_or(rest.len());
        rest.get(..end).map(|path| path.trim_end_matches(['.', '/']))
    });
    named
        .filter(|path| !tree.has(path))
        .map(|path| Finding::error("README.md", 0, format!("{path} does not exist")))
        .collect()
}

/// Whether a word is a refusal's code: `CM` and four digits.
fn is_code(word: &str) -> bool {
    let digits = word.strip_prefix("CM").unwrap_or_default();
    digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
}

/// The path that a link in `from` means.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_a_line_in_the_map_is_found() {
        let of = |map: &str| {
            code_map(&Tree::of(&[
                ("ARCHITECTURE.md", map),
                ("crates/casemate-mcp/Cargo.toml", ""),
                ("crates/casemate/Cargo.toml", ""),
            ]))
        };
        assert_eq!(of("`casemate-mcp` the words, `casemate` the program"), []);
        assert_eq!(of("`casemate-mcp` the words").len(), 1, "the prefix of another name is not a mention");
        let sent_astray = of("| `casemate-mcp` | the words | `lib.rs` |\n| `casemate` | the program | |");
        assert_eq!(sent_astray.len(), 1, "{sent_astray:?}");
    }

    #[test]
    fn codes_and_pages_are_held_against_each_other() {
        let refusals = (REFUSALS, "/// Such as `CM1009`.\nA = \"CM1001\", B = \"CM1002\"");
        let page = |name: &'static str| (name, "");
        let both = Tree::of(&[refusals, page("docs/errors/CM1001.md"), page("docs/errors/CM1002.md")]);
        assert_eq!(error_pages(&both), []);
        let other = Tree::of(&[refusals, page("docs/errors/CM1001.md"), page("docs/errors/CM1003.md")]);
        assert_eq!(error_pages(&other).len(), 2);
        let readme = Tree::of(&[page("docs/errors/README.md")]);
        assert_eq!(error_pages(&readme), []);
    }

    #[test]
    fn a_promise_without_its_file_or_test_is_found() {
        let of = |text: &str| {
            let source = ("crates/casemate-mcp/src/json.rs", "#[test]\nfn it_holds() {}\n");
            paths(&Tree::of(&[("THREAT_MODEL.md", text), source])).len()
        };
        assert_eq!(
            of(
                "| a `word` `docs/*.md` | `casemate-mcp/src/json.rs` | `casemate-mcp/src/json.rs::it_holds` |"
            ),
            0
        );
        assert_eq!(of("| a | `casemate-mcp/src/gone.rs` | `casemate-mcp/src/json.rs::it_is_gone` |"), 2);
    }

    #[test]
    fn a_setting_that_there_is_not_is_found() {
        let settings = (SETTINGS, "### `gateway.limits.body_time`\n### `limits.keys.NAME.rate`");
        let of = |text: &str| super::settings(&Tree::of(&[settings, ("docs/errors/CM1302.md", text)])).len();
        assert_eq!(
            of(
                "`gateway.limits.body_time`, `gateway.limits`, `limits.keys.office.rate`, `gateway.rs`, `a.b`"
            ),
            0
        );
        assert_eq!(of("`gateway.body_time_max` and `gateway.limits.keys`"), 2);
    }

    #[test]
    fn a_dead_link_is_found() {
        let of =
            |text: &str| links(&Tree::of(&[("docs/style.md", text), ("README.md", ""), ("docs/a/b.md", "")]));
        assert_eq!(of("[a](../README.md#top) [b](a/b.md) [c](a) [d](https://example.org/x) [e](#here)"), []);
        assert_eq!(of("[a](README.md)").len(), 1);
    }

    #[test]
    fn an_example_that_does_not_exist_is_found() {
        let of =
            |text: &str| examples(&Tree::of(&[("README.md", text), ("examples/team/casemate.toml", "")]));
        assert_eq!(of("see `examples/team/casemate.toml` and examples/team."), []);
        assert_eq!(of("see examples/alone/casemate.toml").len(), 1);
    }
}
