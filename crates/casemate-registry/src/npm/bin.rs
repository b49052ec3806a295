//! The programs of a package: what its `package.json` calls by which name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::folder;
use crate::asked::Asked;
use crate::error::Error;
use crate::package::Package;
use crate::shelf;

/// The largest `package.json` that is read, in bytes. Real ones have less than 100,000.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// How many names of programs an error tells.
const TOLD_MAX: usize = 10;

/// <https://docs.npmjs.com/cli/configuring-npm/package-json#bin>
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    bin: Option<Bin>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Bin {
    /// One program, by the package's name.
    Own(String),
    Named(BTreeMap<String, String>),
}

/// The file that an asked program is, relative to the tree, and the package that brings it.
pub(crate) fn find(tree: &Path, asked: &Asked) -> Result<(PathBuf, String), Error> {
    let mut there = Vec::new();
    for package in &asked.packages {
        let programs = programs(tree, package)?;
        if let Some(path) = choose(&programs, package, asked.command.as_deref()) {
            let inside = inside(path).ok_or_else(|| {
                let shown: String = path.chars().filter(|c| !c.is_control()).take(200).collect();
                Error::unfit(&package.name, format!("its program lies outside of it, at {shown:?}"))
            })?;
            let file = Path::new("node_modules").join(&package.name).join(inside);
            return Ok((file, package.name.clone()));
        }
        there.extend(programs.into_keys());
        if asked.command.is_none() {
            break;
        }
    }
    let package = asked.packages.first().map(|package| package.name.clone()).unwrap_or_default();
    let command = asked.command.clone().unwrap_or_else(|| own_name(&package).to_owned());
    there.truncate(TOLD_MAX);
    Err(Error::NoProgram { package, command, there })
}

/// As npx chooses: the one that is named; else the only one, or the one that is called as the package.
fn choose<'a>(
    programs: &'a BTreeMap<String, String>,
    package: &Package,
    command: Option<&str>,
) -> Option<&'a String> {
    match command {
        Some(command) => programs.get(command),
        None => {
            let files: BTreeSet<&String> = programs.values().collect();
            match files.first() {
                Some(only) if files.len() == 1 => Some(only),
                _ => programs.get(own_name(&package.name)),
            }
        }
    }
}

fn programs(tree: &Path, package: &Package) -> Result<BTreeMap<String, String>, Error> {
    let path = folder(tree, &package.name).join("package.json");
    let text = shelf::read_at_most(&path, MANIFEST_BYTES_MAX).map_err(Error::file("read", &path))?;
    let manifest: Manifest = serde_json::from_slice(&text.unwrap_or_default())
        .map_err(|fault| Error::unfit(&package.name, format!("its package.json cannot be read: {fault}")))?;
    Ok(match manifest.bin {
        None => BTreeMap::new(),
        Some(Bin::Own(file)) => [(own_name(&package.name).to_owned(), file)].into(),
        Some(Bin::Named(programs)) => programs,
    })
}

/// `name` of `@scope/name`.
fn own_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A path that stays where it starts.
fn inside(path: &str) -> Option<PathBuf> {
    let parts: Vec<Component<'_>> =
        Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
    let stays = !parts.is_empty() && parts.iter().all(|part| matches!(part, Component::Normal(_)));
    stays.then(|| parts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bin` of a package's manifest leads to for a command line.
    fn found(bin: &str, line: &[&str]) -> Result<String, String> {
        let tree = tempfile::tempdir().unwrap();
        let package = folder(tree.path(), "@s/x");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(package.join("package.json"), format!(r#"{{"name": "@s/x", "bin": {bin}}}"#)).unwrap();
        let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let asked = Asked::recognize("npx", &line).unwrap().unwrap();
        let found = find(tree.path(), &asked).map_err(|fault| format!("{fault}; {}", fault.hint()))?;
        Ok(found.0.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_program_is_chosen_as_npx_does() {
        let own = ["@s/x@1.0.0"];
        let other = ["-p", "@s/x@1.0.0", "b"];
        let table = [
            (r#""./cli.js""#, &own[..], "node_modules/@s/x/cli.js"),
            (r#"{"anything": "dist/a.js"}"#, &own, "node_modules/@s/x/dist/a.js"),
            (r#"{"a": "a.js", "b": "a.js"}"#, &own, "node_modules/@s/x/a.js"),
            (r#"{"a": "a.js", "x": "x.js"}"#, &own, "node_modules/@s/x/x.js"),
            (r#"{"a": "a.js", "b": "b.js"}"#, &other, "node_modules/@s/x/b.js"),
        ];
        for (bin, line, expected) in table {
            assert_eq!(found(bin, line).unwrap(), expected, "{bin}");
        }
        let fault = found(r#"{"a": "a.js", "b": "b.js"}"#, &own).unwrap_err();
        assert_eq!(fault, "@s/x brings no program called x; it brings a, b");
        assert_eq!(
            found("null", &own).unwrap_err(),
            "@s/x brings no program called x; it is a library; name another package"
        );
    }

    #[test]
    fn a_program_lies_in_its_package() {
        for path in ["../../x", "/bin/sh", "a/../../../b", "..", "", "."] {
            let bin = serde_json::json!({ "x": path }).to_string();
            let fault = found(&bin, &["@s/x@1.0.0"]).unwrap_err();
            assert!(fault.contains("outside of it"), "{path}: {fault}");
        }
    }
}
