//! Which crate may use which: the table of ARCHITECTURE.md, held against every Cargo.toml.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{DocumentMut, TableLike};

use super::finding::Finding;
use super::tree::Tree;

/// Every crate there is or will be, without the prefix `casemate-`, and what it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("mcp", &[]),
    ("net", &[]),
    ("policy", &["mcp"]),
    ("inspect", &["mcp"]),
    ("store", &["mcp"]),
    ("transport", &["mcp"]),
    ("sandbox", &["net"]),
    ("auth", &["mcp", "net", "store"]),
    ("toolkit", &["mcp", "transport"]),
    ("registry", &["mcp", "net", "store", "sandbox"]),
    ("builder", &["mcp", "net", "registry", "sandbox"]),
    ("upstream", &["mcp", "policy", "inspect", "transport", "net", "sandbox"]),
    ("gateway", &["mcp", "policy", "inspect", "transport", "net", "sandbox", "auth", "upstream"]),
    ("config", &["mcp", "net", "policy", "inspect", "sandbox", "auth", "registry", "gateway"]),
    ("console", &["mcp", "policy", "gateway", "config", "auth", "registry", "builder", "store", "sandbox"]),
    (
        "casemate",
        &[
            "mcp",
            "net",
            "policy",
            "inspect",
            "store",
            "transport",
            "sandbox",
            "auth",
            "toolkit",
            "registry",
            "builder",
            "upstream",
            "gateway",
            "config",
            "console",
        ],
    ),
    // The fakes are written from the protocol's specification and share no code with what they test.
    ("testkit", &[]),
    ("xtask", &[]),
];

/// Only tests may use it, and every crate's tests may.
const TEST_ONLY: &str = "testkit";

/// The longest path of crates that use one another, both ends counted.
const CHAIN_MAX: usize = 7;

/// What one crate uses.
#[derive(Debug, Default)]
struct Uses {
    manifest: String,
    product: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// Every edge must be in the table, and no chain too long.
pub(crate) fn edges(tree: &Tree) -> Vec<Finding> {
    let (graph, mut findings) = graph(tree);
    for (name, uses) in &graph {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
            findings.push(Finding::error(
                &uses.manifest,
                0,
                format!("crate {name} is not in the table of edges"),
            ));
            continue;
        };
        let forbidden = |used: &&String| !allowed.contains(&used.as_str());
        for used in uses.product.iter().filter(forbidden) {
            findings.push(Finding::error(&uses.manifest, 0, format!("{name} may not use {used}")));
        }
        for used in uses.tests.iter().filter(forbidden).filter(|used| *used != TEST_ONLY) {
            findings.push(Finding::error(
                &uses.manifest,
                0,
                format!("{name} may not use {used}, in tests either"),
            ));
        }
    }
    findings.extend(chain(&graph));
    findings
}

/// The folder of a crate has the crate's name.
pub(crate) fn folders(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.texts().filter(|(file, _)| file.path.ends_with("/Cargo.toml"));
    manifests
        .filter_map(|(file, text)| {
            let folder = file.path.strip_suffix("/Cargo.toml")?.rsplit('/').next()?;
            let document: DocumentMut = text.parse().ok()?;
            let name = document.get("package")?.get("name")?.as_str()?;
            (name != folder).then(|| {
                Finding::error(&file.path, 0, format!("crate {name} lives in a folder called {folder}"))
            })
        })
        .collect()
}

/// `cargo run` at the root starts the program, as the README says; there are other programs in the workspace.
pub(crate) fn default_program(tree: &Tree) -> Option<Finding> {
    let document: DocumentMut = tree.text("Cargo.toml")?.parse().ok()?;
    let members = document.get("workspace")?.get("default-members").and_then(|members| members.as_array());
    let names = members.into_iter().flat_map(|members| members.iter()).map(|name| name.as_str());
    (!names.eq([Some("crates/casemate")])).then(|| {
        let message = "`cargo run` cannot choose; say default-members = [\"crates/casemate\"]";
        Finding::error("Cargo.toml", 0, message)
    })
}

fn graph(tree: &Tree) -> (BTreeMap<String, Uses>, Vec<Finding>) {
    let mut graph = BTreeMap::new();
    let mut findings = Vec::new();
    for (file, text) in tree.texts() {
        let is_member = file.package().is_some_and(|name| file.path.ends_with(&format!("{name}/Cargo.toml")));
        if !is_member {
            continue;
        }
        match text.parse::<DocumentMut>() {
            Err(fault) => findings.push(Finding::error(&file.path, 0, fault.to_string())),
            Ok(document) => {
                let name = document.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str());
                let uses = uses(&file.path, document.as_table());
                graph.insert(short(name.unwrap_or_default()), uses);
            }
        }
    }
    (graph, findings)
}

fn uses(manifest: &str, document: &dyn TableLike) -> Uses {
    let mut uses = Uses { manifest: manifest.to_owned(), ..Uses::default() };
    collect(document, &mut uses);
    let targets = document.get("target").and_then(|t| t.as_table_like());
    for (_, target) in targets.into_iter().flat_map(|t| t.iter()) {
        target.as_table_like().into_iter().for_each(|table| collect(table, &mut uses));
    }
    uses
}

fn collect(table: &dyn TableLike, uses: &mut Uses) {
    uses.product.extend(ours(table.get("dependencies")));
    uses.product.extend(ours(table.get("build-dependencies")));
    uses.tests.extend(ours(table.get("dev-dependencies")));
}

/// The names of our own crates in a table of dependencies, renamed ones by their real name.
fn ours(dependencies: Option<&toml_edit::Item>) -> Vec<String> {
    let table = dependencies.and_then(|d| d.as_table_like());
    let names = table.into_iter().flat_map(|t| t.iter()).map(|(key, value)| {
        let renamed = value.as_table_like().and_then(|v| v.get("package")).and_then(|p| p.as_str());
        renamed.unwrap_or(key).to_owned()
    });
    names
        .filter(|name| name == "casemate" || name == "xtask" || name.starts_with("casemate-"))
        .map(|n| short(&n))
        .collect()
}

fn short(name: &str) -> String {
    name.strip_prefix("casemate-").unwrap_or(name).to_owned()
}

fn chain(graph: &BTreeMap<String, Uses>) -> Option<Finding> {
    let longest = graph.keys().map(|name| longest_from(graph, name, Vec::new())).max_by_key(Vec::len)?;
    (longest.len() > CHAIN_MAX).then(|| {
        let shown = longest.join(" → ");
        Finding::error("Cargo.toml", 0, format!("the chain {shown} is longer than {CHAIN_MAX} crates"))
    })
}

/// The longest path that starts with `path` and goes on to `name`. Cargo refuses cycles; so does this.
fn longest_from(graph: &BTreeMap<String, Uses>, name: &str, mut path: Vec<String>) -> Vec<String> {
    if path.iter().any(|seen| seen == name) {
        return path;
    }
    path.push(name.to_owned());
    let next = graph.get(name).into_iter().flat_map(|uses| &uses.product);
    next.map(|used| longest_from(graph, used, path.clone())).max_by_key(Vec::len).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, rest: &str) -> (String, String) {
        (format!("crates/{name}/Cargo.toml"), format!("[package]\nname = \"{name}\"\n{rest}"))
    }

    fn found(manifests: &[(String, String)]) -> Vec<String> {
        let files: Vec<_> = manifests.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        edges(&Tree::of(&files)).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn an_allowed_edge_passes() {
        let gateway =
            manifest("casemate-gateway", "[dependencies]\ncasemate-mcp.workspace = true\nserde = \"1\"\n");
        assert_eq!(found(&[gateway]), [""; 0]);
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_found() {
        let rest = "[dependencies]\ncasemate-store.workspace = true\n";
        assert_eq!(found(&[manifest("casemate-gateway", rest)]), ["gateway may not use store"]);
    }

    #[test]
    fn renaming_and_target_tables_hide_nothing() {
        let rest =
            "[target.'cfg(unix)'.dependencies]\nbag = { package = \"casemate-store\", path = \"../x\" }\n";
        assert_eq!(found(&[manifest("casemate-mcp", rest)]), ["mcp may not use store"]);
    }

    #[test]
    fn testkit_is_for_tests() {
        let tests = "[dev-dependencies]\ncasemate-testkit.workspace = true\n";
        assert_eq!(found(&[manifest("casemate-mcp", tests)]), [""; 0]);
        let product = "[dependencies]\ncasemate-testkit.workspace = true\n";
        assert_eq!(found(&[manifest("casemate", product)]), ["casemate may not use testkit"]);
    }

    #[test]
    fn tests_keep_to_the_table_too() {
        let rest = "[dev-dependencies]\ncasemate-store.workspace = true\n";
        assert_eq!(
            found(&[manifest("casemate-gateway", rest)]),
            ["gateway may not use store, in tests either"]
        );
    }

    #[test]
    fn an_unknown_crate_is_found() {
        assert_eq!(found(&[manifest("casemate-extras", "")]), ["crate extras is not in the table of edges"]);
    }

    #[test]
    fn a_chain_of_eight_is_found() {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let graph = |count: usize| -> BTreeMap<String, Uses> {
            let pairs = names.iter().take(count).enumerate().map(|(i, name)| {
                let product = names.get(i + 1).filter(|_| i + 1 < count).map(|n| (*n).to_owned());
                ((*name).to_owned(), Uses { product: product.into_iter().collect(), ..Uses::default() })
            });
            pairs.collect()
        };
        assert!(chain(&graph(7)).is_none());
        assert!(chain(&graph(8)).is_some());
    }

    #[test]
    fn the_table_itself_keeps_to_the_chain() {
        let graph = ALLOWED
            .iter()
            .map(|(name, allowed)| {
                let product = allowed.iter().map(|used| (*used).to_owned()).collect();
                ((*name).to_owned(), Uses { product, ..Uses::default() })
            })
            .collect();
        assert_eq!(chain(&graph), None);
    }

    #[test]
    fn a_workspace_that_cannot_run_is_found() {
        let of = |text: &str| default_program(&Tree::of(&[("Cargo.toml", text)]));
        assert_eq!(of("[workspace]\ndefault-members = [\"crates/casemate\"]\n"), None);
        assert!(of("[workspace]\nmembers = []\n").is_some());
        assert!(of("[workspace]\ndefault-members = [\"xtask\"]\n").is_some());
    }

    #[test]
    fn a_folder_with_another_name_is_found() {
        let tree = Tree::of(&[("crates/mcp/Cargo.toml", "[package]\nname = \"casemate-mcp\"\n")]);
        assert_eq!(folders(&tree).len(), 1);
    }
}
