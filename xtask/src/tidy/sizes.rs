//! How long things may be: functions, files, crates.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::tree::Tree;

/// A function that fits on a screen can be judged as a whole.
const FUNCTION_LINES_MAX: usize = 70;
/// From here on a file should become two.
const FILE_LINES_GOOD: usize = 500;
/// From here on it must.
const FILE_LINES_MAX: usize = 800;
/// No crate may hold more of the product than this.
const CRATE_SHARE_MAX: f64 = 0.25;
/// Shares mean little before there is this much product.
const SHARE_COUNTS_FROM: usize = 20_000;

/// No function is longer than a screen.
pub(crate) fn functions(tree: &Tree) -> Vec<Finding> {
    let all =
        tree.sources().flat_map(|(file, source)| source.functions().into_iter().map(move |f| (file, f)));
    all.filter(|(_, function)| function.lines > FUNCTION_LINES_MAX)
        .map(|(file, function)| {
            let message = format!(
                "function {} has {} lines; {FUNCTION_LINES_MAX} is the limit",
                function.name, function.lines
            );
            Finding::error(&file.path, function.line, message)
        })
        .collect()
}

/// No file is longer than a person reads in one sitting.
pub(crate) fn files(tree: &Tree) -> Vec<Finding> {
    let rust = tree.texts().filter(|(file, _)| file.source.is_some());
    rust.filter_map(|(file, text)| match text.lines().count() {
        n if n > FILE_LINES_MAX => {
            Some(Finding::error(&file.path, 0, format!("{n} lines; {FILE_LINES_MAX} is the limit")))
        }
        n if n > FILE_LINES_GOOD => {
            Some(Finding::warning(&file.path, 0, format!("{n} lines; beyond {FILE_LINES_GOOD} split it")))
        }
        _ => None,
    })
    .collect()
}

/// No crate swallows the product.
pub(crate) fn shares(tree: &Tree) -> Vec<Finding> {
    let mut lines = BTreeMap::<&str, usize>::new();
    for (file, source) in tree.sources().filter(|(file, _)| !file.is_test()) {
        if let Some(package) = file.package().filter(|name| *name != "xtask") {
            *lines.entry(package).or_default() += source.product_lines();
        }
    }
    let total: usize = lines.values().sum();
    if total < SHARE_COUNTS_FROM {
        return Vec::new();
    }
    let share = |count: usize| count as f64 / total as f64;
    let large = lines.into_iter().filter(|(_, count)| share(*count) > CRATE_SHARE_MAX);
    large
        .map(|(package, count)| {
            let percent = share(count) * 100.0;
            let message = format!("{package} holds {percent:.0} % of the product; a quarter is the limit");
            Finding::error(&format!("crates/{package}/Cargo.toml"), 0, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Weight;
    use super::*;

    #[test]
    fn a_function_of_71_lines_is_found() {
        let of = |inner: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(inner));
        assert_eq!(functions(&Tree::of(&[("crates/a/src/lib.rs", &of(68))])), []);
        assert_eq!(functions(&Tree::of(&[("crates/a/src/lib.rs", &of(69))])).len(), 1);
    }

    #[test]
    fn long_files_warn_and_longer_ones_fail() {
        let weights = |lines: usize| -> Vec<Weight> {
            let text = "\n".repeat(lines);
            files(&Tree::of(&[("crates/a/src/lib.rs", &text)])).into_iter().map(|f| f.weight).collect()
        };
        assert_eq!(weights(500), []);
        assert_eq!(weights(501), [Weight::Warning]);
        assert_eq!(weights(801), [Weight::Error]);
    }

    #[test]
    fn a_crate_with_more_than_a_quarter_is_found_once_it_counts() {
        let small = "const A: u8 = 0;\n".repeat(4_900);
        let large = "const A: u8 = 0;\n".repeat(5_400);
        let of = |d: &str| {
            shares(&Tree::of(&[
                ("crates/a/src/lib.rs", &small),
                ("crates/b/src/lib.rs", &small),
                ("crates/c/src/lib.rs", &small),
                ("crates/d/src/lib.rs", d),
                ("crates/d/src/x/tests.rs", &large),
            ]))
        };
        assert_eq!(of(&small), [], "19,600 lines do not count yet");
        assert_eq!(of(&large).len(), 1);
    }
}
