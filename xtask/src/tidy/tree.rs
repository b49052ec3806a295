//! The files that the rules look at: what git tracks, and what it would track if it were added now.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::source::Source;
use crate::process;

/// All files of the project, by path.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Sorted by path.
    pub(crate) files: Vec<File>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the project's root, with `/`.
    pub(crate) path: String,
    /// Its text; nothing when it is not text.
    pub(crate) text: Option<String>,
    /// Its scanned source, when it is Rust.
    pub(crate) source: Option<Source>,
}

impl Tree {
    /// Reads the project at `root`.
    pub(crate) fn read(root: &Path) -> Result<Tree> {
        let mut files = Vec::new();
        for path in list(root)? {
            // A file that was deleted but not yet removed from the index is not there to be judged.
            let Ok(bytes) = std::fs::read(root.join(&path)) else { continue };
            files.push(File::new(path, bytes));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Tree { files })
    }

    /// A tree made of snippets.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File::new((*path).to_owned(), text.as_bytes().to_vec()));
        Tree { files: files.collect() }
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path)?.text.as_deref()
    }

    /// Whether a file or a folder of that name exists.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }

    /// All files with text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&File, &str)> {
        self.files.iter().filter_map(|file| Some((file, file.text.as_deref()?)))
    }

    /// All Rust files.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files.iter().filter_map(|file| Some((file, file.source.as_ref()?)))
    }
}

impl File {
    fn new(path: String, bytes: Vec<u8>) -> File {
        let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
        let source = text.as_deref().filter(|_| path.ends_with(".rs")).map(Source::scan);
        File { path, text, source }
    }

    /// The crate that a file belongs to: the folder's name under `crates/`, or `xtask`.
    pub(crate) fn package(&self) -> Option<&str> {
        let (first, rest) = self.path.split_once('/')?;
        match first {
            "crates" => rest.split_once('/').map(|(name, _)| name),
            "xtask" => Some("xtask"),
            _ => None,
        }
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name == "tests.rs" || self.path.split('/').any(|part| part == "tests" || part == "casemate-testkit")
    }
}

/// The paths of all files, relative to `root`.
fn list(root: &Path) -> Result<Vec<String>> {
    if !root.join(".git").exists() {
        return walk(root); // An unpacked archive: everything in it is meant to be there.
    }
    let output = process::command("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("tidy asks git which files there are, and git could not be started")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            let built = path.file_name().is_some_and(|name| name == "target");
            if path.is_dir() && !built {
                folders.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(root)?.to_str().context("a file name is not UTF-8")?;
                files.push(name.to_owned());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_walked() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("crates/target")).expect("a folder");
        std::fs::write(root.path().join("crates/a.rs"), "fn f() {}").expect("a file");
        std::fs::write(root.path().join("crates/target/b.rs"), "").expect("a file");
        let tree = Tree::read(root.path()).expect("readable");
        let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["crates/a.rs"]);
        assert!(tree.has("crates") && tree.text("crates/a.rs").is_some());
    }
}
