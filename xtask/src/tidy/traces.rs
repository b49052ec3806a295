//! What a developer's machine leaves behind and the repository must not carry.

use super::finding::Finding;
use super::source::line_of;
use super::tree::Tree;

/// Names under `/home` that examples and tests may use.
const EXAMPLE_USERS: &[&str] = &["you", "me", "user", "ada", "alice", "ann", "bob", "x"];

/// The one registry of Rust crates that the lock file may name.
const CRATES: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Nothing but text is tracked: a binary cannot be reviewed.
pub(crate) fn binaries(tree: &Tree) -> Vec<Finding> {
    let opaque = tree.files.iter().filter(|file| file.text.is_none());
    opaque.map(|file| Finding::error(&file.path, 0, "is not text, and so nobody can review it")).collect()
}

/// No path of the machine that something was written on.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.texts() {
        for prefix in ["/root/", "/work/", "/home/"] {
            let starts = text.match_indices(prefix).map(|(at, _)| at);
            let private = starts.filter(|at| is_private(text, *at, prefix));
            findings.extend(private.map(|at| {
                let message = format!("a path under {prefix} exists on one machine only");
                Finding::error(&file.path, line_of(text, at), message)
            }));
        }
    }
    findings
}

/// Everything is fetched from the public registries; a mirror is the business of whoever runs us.
pub(crate) fn registries(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.texts() {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if matches!(name, ".npmrc" | ".pypirc" | "pip.conf" | ".netrc") {
            findings.push(Finding::error(&file.path, 0, "registries are not configured here"));
        }
        for (at, line) in text.lines().enumerate().filter(|(_, line)| names_registry(name, line)) {
            findings.push(Finding::error(&file.path, at + 1, format!("names a registry: {}", line.trim())));
        }
    }
    findings
}

fn names_registry(file: &str, line: &str) -> bool {
    let line = line.trim_start();
    match file {
        "Cargo.lock" => {
            line.strip_prefix("source = ").is_some_and(|source| source.trim_matches('"') != CRATES)
        }
        "Cargo.toml" | "config.toml" => line.starts_with("[source") || line.starts_with("[registries"),
        "package-lock.json" => line.starts_with("\"resolved\""),
        "requirements.txt" => line.starts_with("--") || line.contains("://"),
        _ => false,
    }
}

fn is_private(text: &str, at: usize, prefix: &str) -> bool {
    // `target/root/x` and `https://example.org/home/x` are no absolute paths.
    let before = text.get(..at).and_then(|s| s.chars().next_back());
    let inside = before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c));
    let after = text.get(at + prefix.len()..).unwrap_or_default();
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || "._-".contains(*c)).collect();
    let example = prefix == "/home/" && EXAMPLE_USERS.contains(&name.as_str());
    !inside && !name.is_empty() && !example
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_is_found() {
        assert_eq!(binaries(&Tree::of(&[("a.bin", "MZ\0"), ("b.txt", "text")])).len(), 1);
    }

    #[test]
    fn a_private_path_is_found() {
        let of = |text: &str| machine_paths(&Tree::of(&[("docs/a.md", text)]));
        let slash = "/";
        assert_eq!(of(&format!("see {slash}home/carol/x and {slash}work/main, {slash}root/.ssh")).len(), 3);
        assert_eq!(
            of("/home/alice/x, target/root/a, https://a.example/work/b, /root is hidden, \"/root/\""),
            []
        );
    }

    #[test]
    fn a_registry_is_found() {
        let of = |path: &str, text: &str| registries(&Tree::of(&[(path, text)])).len();
        assert_eq!(of("Cargo.lock", &format!("source = \"{CRATES}\"\n")), 0);
        assert_eq!(of("Cargo.lock", "source = \"registry+https://mirror.example/index\"\n"), 1);
        assert_eq!(of("Cargo.lock", "source = \"git+https://github.com/a/b\"\n"), 1);
        assert_eq!(of(".cargo/config.toml", "[source.crates-io]\n"), 1);
        assert_eq!(of("a/package-lock.json", "  \"resolved\": \"https://mirror.example/a.tgz\",\n"), 1);
        assert_eq!(of("a/requirements.txt", "--index-url https://mirror.example\n"), 1);
        assert_eq!(of("a/requirements.txt", "mcp==2.3.0\n"), 0);
        assert_eq!(of("a/.npmrc", ""), 1);
    }
}
