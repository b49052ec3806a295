//! The house rules that a machine checks, read off the tree without compiling it.
//!
//! Each rule is a function from the tree to its findings, listed in [`RULES`], and carries tests that show a
//! snippet which breaks it. docs/style.md says why each rule exists.

mod documents;
mod edges;
mod finding;
mod names;
mod rooms;
mod sizes;
mod source;
mod traces;
mod tree;

use anyhow::{Result, bail};

use self::finding::{Finding, Weight};
use self::tree::Tree;
use crate::console::say;
use crate::environment;

type Rule = fn(&Tree) -> Vec<Finding>;

/// All rules, in the order in which their findings are printed.
const RULES: &[Rule] = &[
    edges::edges,
    edges::folders,
    |tree| edges::default_program(tree).into_iter().collect(),
    sizes::functions,
    sizes::files,
    sizes::shares,
    names::modules,
    names::mod_files,
    names::bool_parameters,
    names::spelling,
    rooms::introductions,
    rooms::unsafe_code,
    rooms::left_overs,
    documents::code_map,
    documents::error_pages,
    documents::paths,
    documents::links,
    documents::settings,
    documents::examples,
    documents::conformance,
    traces::binaries,
    traces::machine_paths,
    traces::registries,
];

/// Checks the project and prints what it finds; an error when a rule is broken.
pub(crate) fn run() -> Result<()> {
    let findings = findings()?;
    for finding in &findings {
        say(finding);
    }
    match errors(&findings).count() {
        0 => Ok(()),
        1 => bail!("tidy found 1 error"),
        n => bail!("tidy found {n} errors"),
    }
}

fn findings() -> Result<Vec<Finding>> {
    let tree = Tree::read(environment::root())?;
    Ok(RULES.iter().flat_map(|rule| rule(&tree)).collect())
}

fn errors(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.weight == Weight::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        let findings = findings().expect("the tree can be read");
        let shown: Vec<_> = errors(&findings).map(ToString::to_string).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
    }
}
