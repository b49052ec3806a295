//! npm's lock file, version 3: what would be installed, judged before anything of it is fetched.
//!
//! <https://docs.npmjs.com/cli/configuring-npm/package-lock-json>

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::asked::Asked;
use crate::error::Error;
use crate::package::Ecosystem;
use crate::record::Locked;
use crate::sources::Registry;

/// npm replaces this host by the registry's own.
const PUBLIC: &str = "https://registry.npmjs.org/";

/// What will be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolution {
    /// npm's lock file.
    pub(crate) text: String,
    pub(crate) packages: Vec<Locked>,
    /// Packages that bring install scripts.
    pub(crate) scripts: Vec<String>,
    /// Those among them that others cannot do without.
    pub(crate) required_scripts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LockFile {
    lockfile_version: u32,
    packages: BTreeMap<String, Entry>,
}

/// One row of the lock file. What else stands in it changes nothing of what is fetched.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    has_install_script: bool,
    in_bundle: bool,
    link: bool,
    optional: bool,
}

impl Resolution {
    /// Accepts a lock file in which every package has a version and a hash and comes from the registry, and which has what
    /// was asked for.
    pub(crate) fn judge(text: String, asked: &Asked, registry: &Registry) -> Result<Resolution, Error> {
        let file: LockFile = serde_json::from_str(&text).map_err(|fault| {
            Error::unfit("package-lock.json", format!("npm has written no lock file: {fault}"))
        })?;
        if file.lockfile_version != 3 {
            let what = "npm is too old or too new: its lock file is not of version 3; use npm 7 to 11";
            return Err(Error::unfit("package-lock.json", what));
        }
        let mut packages = Vec::new();
        let (mut scripts, mut required_scripts) = (Vec::new(), Vec::new());
        for (path, entry) in file.packages.iter().filter(|(path, _)| !path.is_empty()) {
            let name = name(path).ok_or_else(|| Error::unfit(&shown(path), "its place is no package's"))?;
            packages.push(entry.locked(name, registry).map_err(|what| Error::unfit(name, what))?);
            if entry.has_install_script {
                scripts.push(name.to_owned());
                required_scripts.extend((!entry.optional).then(|| name.to_owned()));
            }
        }
        for package in &asked.packages {
            let entry = file.packages.get(&format!("node_modules/{}", package.name));
            if entry.and_then(|entry| entry.version.as_ref()) != Some(&package.version) {
                return Err(Error::unfit(
                    &package.name,
                    "the registry gives another version than was asked for",
                ));
            }
        }
        packages.sort();
        packages.dedup();
        scripts.sort();
        scripts.dedup();
        Ok(Resolution { text, packages, scripts, required_scripts })
    }
}

impl Entry {
    fn locked(&self, name: &str, registry: &Registry) -> Result<Locked, String> {
        let version = self.version.as_deref().filter(|version| Ecosystem::Npm.is_version(version));
        let version = version.ok_or("it has no exact version")?;
        if self.link {
            return Err("it is a link to a folder".to_owned());
        }
        let integrity: Vec<String> =
            self.integrity.iter().flat_map(|hashes| hashes.split_whitespace()).map(str::to_owned).collect();
        if !self.in_bundle {
            let from = self.resolved.as_deref().unwrap_or(PUBLIC);
            if !from.starts_with(PUBLIC) && !registry.serves(from) {
                return Err(
                    "it does not come from the registry, but from a repository or another site".to_owned()
                );
            }
            if !integrity.iter().any(|hash| is_hash(hash)) {
                return Err("the registry gives no hash of it".to_owned());
            }
        }
        Ok(Locked { name: name.to_owned(), version: version.to_owned(), integrity })
    }
}

/// Subresource Integrity. Packages from before 2017 have SHA-1 alone.
fn is_hash(hash: &str) -> bool {
    let known = ["sha512-", "sha384-", "sha256-", "sha1-"];
    known.iter().any(|kind| hash.strip_prefix(kind).is_some_and(|value| value.len() >= 20))
}

/// The package whose place in the tree this is: `node_modules/a/node_modules/@b/c` is `@b/c`.
fn name(path: &str) -> Option<&str> {
    let mut rest = path.strip_prefix("node_modules/")?;
    loop {
        match rest.split_once("/node_modules/") {
            None => return Ecosystem::Npm.is_name(rest).then_some(rest),
            Some((name, inner)) if Ecosystem::Npm.is_name(name) => rest = inner,
            Some(_) => return None,
        }
    }
}

fn shown(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(packages: &Value) -> Result<Resolution, String> {
        let asked = Asked::recognize("npx", &["x@1.2.3".to_owned()]).unwrap().unwrap();
        let text =
            json!({"name": "t", "lockfileVersion": 3, "requires": true, "packages": packages}).to_string();
        let registry = Registry::parse("https://r.example/").unwrap();
        Resolution::judge(text, &asked, &registry).map_err(|fault| fault.to_string())
    }

    fn row(version: &str) -> Value {
        json!({"version": version, "resolved": "https://r.example/x.tgz", "integrity": format!("sha512-{}", "A".repeat(88))})
    }

    #[test]
    fn everything_is_recorded() {
        let mut second = row("2.0.0");
        second["hasInstallScript"] = true.into();
        let resolution = judge(&json!({
            "": {"dependencies": {"x": "1.2.3"}},
            "node_modules/x": row("1.2.3"),
            "node_modules/x/node_modules/@b/c": second,
            "node_modules/x/node_modules/bundled": {"version": "1.0.0", "inBundle": true},
        }))
        .unwrap();
        let shown: Vec<String> = resolution
            .packages
            .iter()
            .map(|p| format!("{} {} {}", p.name, p.version, p.integrity.len()))
            .collect();
        assert_eq!(shown, ["@b/c 2.0.0 1", "bundled 1.0.0 0", "x 1.2.3 1"]);
        assert_eq!(resolution.scripts, ["@b/c"]);
    }

    #[test]
    fn what_is_not_fixed_is_refused() {
        let with = |field: &str, value: Value| {
            let mut row = row("1.0.0");
            row[field] = value;
            json!({"node_modules/x": self::row("1.2.3"), "node_modules/y": row})
        };
        let cases = [
            (with("resolved", "git+ssh://git@github.com/a/y.git#abc".into()), "not come from the registry"),
            (with("resolved", "https://evil.example/y.tgz".into()), "not come from the registry"),
            (with("resolved", "file:../y.tgz".into()), "not come from the registry"),
            (with("integrity", Value::Null), "no hash"),
            (with("integrity", "md5-AAAAAAAAAAAAAAAAAAAAAAAA".into()), "no hash"),
            (with("version", "../../x".into()), "no exact version"),
            (with("version", Value::Null), "no exact version"),
            (with("link", true.into()), "link to a folder"),
            (json!({"node_modules/x": row("1.2.4")}), "another version"),
            (json!({"node_modules/y": row("1.2.3")}), "another version"),
            (json!({"node_modules/x": row("1.2.3"), "node_modules/../../y": row("1.0.0")}), "no package's"),
            (json!({"node_modules/x": row("1.2.3"), "../y": row("1.0.0")}), "no package's"),
            (json!({"node_modules/x": row("1.2.3"), "packages/y": row("1.0.0")}), "no package's"),
        ];
        for (packages, expected) in cases {
            let fault = judge(&packages).expect_err(expected);
            assert!(fault.contains(expected), "{packages}: {fault}");
        }
    }
}
