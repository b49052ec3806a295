//! Everything that would be installed, each in one version and with hashes: judged before anything of it is installed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use crate::asked::Asked;
use crate::error::Error;
use crate::package::Ecosystem;
use crate::record::Locked;
use crate::sources::Sources;

/// The hexadecimal digits of SHA-256.
const HASH_CHARS: usize = 64;

/// What will be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    /// In the order of the alphabet. Hashes begin with `sha256:`.
    pub(crate) packages: Vec<Locked>,
}

/// <https://pip.pypa.io/en/stable/reference/installation-report/>
#[derive(Debug, Deserialize)]
struct Report {
    version: String,
    install: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    download_info: Download,
    is_direct: bool,
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Download {
    url: String,
    #[serde(default)]
    archive_info: ArchiveInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ArchiveInfo {
    /// `sha256=…`, where there is no list of them.
    hash: Option<String>,
    hashes: BTreeMap<String, String>,
}

impl Listing {
    /// Reads what pip reports.
    pub(crate) fn of_pip(text: &[u8], sources: &Sources) -> Result<Listing, Error> {
        let report: Report = serde_json::from_slice(text).map_err(|fault| {
            Error::unfit("the list of packages", format!("pip has written no report: {fault}"))
        })?;
        if report.version != "1" {
            return Err(Error::unfit(
                "the list of packages",
                "pip is too new: its report is not of version 1",
            ));
        }
        let row = |row: Row| {
            let name = row.metadata.name.clone();
            row.locked(sources).map_err(|what| Error::unfit(&shown(&name), what))
        };
        Listing::new(report.install.into_iter().map(row).collect::<Result<_, _>>()?)
    }

    /// Reads the list that uv writes, in the form of pip's requirement files: `name==1.2.3 \`, then a hash on each line.
    pub(crate) fn of_uv(text: &str) -> Result<Listing, Error> {
        let mut packages: Vec<Locked> = Vec::new();
        for line in text.lines() {
            let line = line.trim().trim_end_matches('\\').trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(hash) = line.strip_prefix("--hash=") {
                let last = packages.last_mut();
                let last =
                    last.ok_or_else(|| Error::unfit("the list of packages", "a hash belongs to nothing"))?;
                last.integrity.push(hash.to_owned());
                continue;
            }
            // Whether a package is for this machine has been decided.
            let requirement = line.split(';').next().unwrap_or(line).trim();
            let Some((name, version)) = requirement.split_once("==") else {
                return Err(Error::unfit(
                    &shown(requirement),
                    "it does not come from the registry in one version",
                ));
            };
            let name = name.split('[').next().unwrap_or(name).to_owned();
            packages.push(Locked { name, version: version.to_owned(), integrity: Vec::new() });
        }
        Listing::new(packages)
    }

    fn new(mut packages: Vec<Locked>) -> Result<Listing, Error> {
        for package in &mut packages {
            let unfit = |what: &str| Err(Error::unfit(&shown(&package.name), what));
            if !Ecosystem::PyPi.is_name(&package.name) {
                return unfit("it is no package's name");
            }
            if !Ecosystem::PyPi.is_version(&package.version) {
                return unfit("it has no exact version");
            }
            package.integrity.retain(|hash| is_hash(hash));
            if package.integrity.is_empty() {
                return unfit("the registry gives no hash of it");
            }
            package.name = normal(&package.name);
        }
        packages.sort();
        Ok(Listing { packages })
    }

    /// Whether it has what was asked for.
    pub(crate) fn judge(&self, asked: &Asked) -> Result<(), Error> {
        for wanted in &asked.packages {
            let has = |package: &Locked| {
                package.name == normal(&wanted.name) && is_same_version(&package.version, &wanted.version)
            };
            if !self.packages.iter().any(has) {
                return Err(Error::unfit(
                    &wanted.name,
                    "the registry gives another version than was asked for",
                ));
            }
        }
        Ok(())
    }

    /// As pip and uv want it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Locked { name, version, integrity } in &self.packages {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}=={version}");
            for hash in integrity {
                let _ = write!(text, " --hash={hash}");
            }
            text.push('\n');
        }
        text
    }
}

impl Row {
    fn locked(self, sources: &Sources) -> Result<Locked, String> {
        let Row { download_info: Download { url, archive_info }, is_direct, metadata } = self;
        let local = |folder: &std::path::PathBuf| url.starts_with(&format!("file://{}/", folder.display()));
        if is_direct || !(sources.pypi.serves(&url) || sources.wheels.iter().any(local)) {
            return Err(
                "it does not come from the registry, but from a repository or another site".to_owned()
            );
        }
        let ArchiveInfo { hash, mut hashes } = archive_info;
        let single = hash.and_then(|hash| Some(hash.strip_prefix("sha256=")?.to_owned()));
        let integrity = hashes.remove("sha256").or(single).map(|hash| format!("sha256:{hash}"));
        let Metadata { name, version } = metadata;
        Ok(Locked { name, version, integrity: integrity.into_iter().collect() })
    }
}

/// The form in which names are compared: <https://packaging.python.org/en/latest/specifications/name-normalization/>
pub(crate) fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// `1.0` is `1.0.0`, and also `1.0+cuda` when nothing is said about what stands behind the plus.
fn is_same_version(found: &str, wanted: &str) -> bool {
    let found = if wanted.contains('+') { found } else { found.split('+').next().unwrap_or(found) };
    let parts = |version: &str| {
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
        let (release, rest) = version.split_at_checked(end).unwrap_or((version, ""));
        let mut release = release.trim_end_matches('.').to_owned();
        while let Some(shorter) = release.strip_suffix(".0") {
            release = shorter.to_owned();
        }
        (release, rest.to_owned())
    };
    parts(found) == parts(wanted)
}

fn is_hash(hash: &str) -> bool {
    let digits = hash.strip_prefix("sha256:");
    digits.is_some_and(|digits| digits.len() == HASH_CHARS && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sources::Registry;

    const HASH: &str = "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3";

    fn row(name: &str, version: &str) -> Value {
        json!({
            "download_info": {"url": "https://r.example/x.whl", "archive_info": {"hashes": {"sha256": HASH}}},
            "is_direct": false,
            "metadata": {"name": name, "version": version},
        })
    }

    fn of_pip(rows: &[Value]) -> Result<Listing, String> {
        let pypi = Registry::parse("https://r.example/simple/").unwrap();
        let sources = Sources { pypi, wheels: vec!["/opt/wheels".into()], ..Sources::default() };
        let text = json!({"version": "1", "install": rows}).to_string();
        let asked = Asked::recognize("uvx", &["My.Server==1.0".to_owned()]).unwrap().unwrap();
        let listing = Listing::of_pip(text.as_bytes(), &sources).map_err(|fault| fault.to_string())?;
        listing.judge(&asked).map_err(|fault| fault.to_string())?;
        Ok(listing)
    }

    #[test]
    fn everything_has_a_version_and_a_hash() {
        let mut local = row("b_c", "2.0");
        local["download_info"] =
            json!({"url": "file:///opt/wheels/b.whl", "archive_info": {"hash": format!("sha256={HASH}")}});
        let listing = of_pip(&[row("my-server", "1.0.0"), local]).unwrap();
        assert_eq!(
            listing.text(),
            format!("b-c==2.0 --hash=sha256:{HASH}\nmy-server==1.0.0 --hash=sha256:{HASH}\n")
        );
    }

    #[test]
    fn uv_says_the_same_in_its_way() {
        let text = format!(
            "b-c==2.0 ; python_version < '4' \\\n    --hash=sha256:{HASH} \\\n    --hash=md5:00\n# x\nmy-server[cli]==1.0 --x\n"
        );
        let fault = Listing::of_uv(&text).unwrap_err();
        assert!(fault.to_string().contains("no exact version"), "{fault}");
        let text = text.replace(" --x", &format!(" \\\n    --hash=sha256:{HASH}"));
        let listing = Listing::of_uv(&text).unwrap();
        assert_eq!(
            listing.text(),
            format!("b-c==2.0 --hash=sha256:{HASH}\nmy-server==1.0 --hash=sha256:{HASH}\n")
        );
        for foreign in ["x @ git+https://r.example/x", "-e ./x", "--index-url=https://evil/", "x>=1"] {
            assert!(Listing::of_uv(foreign).is_err(), "{foreign}");
        }
    }

    #[test]
    fn what_is_not_fixed_is_refused() {
        let with = |place: &str, value: Value| {
            let mut row = row("other", "1.0");
            *row.pointer_mut(place).unwrap() = value;
            [self::row("my-server", "1.0"), row]
        };
        let url = "/download_info/url";
        let cases = [
            (with("/is_direct", true.into()), "not come from the registry"),
            (with(url, "https://evil.example/x.whl".into()), "not come from the registry"),
            (with(url, "git+https://r.example/x".into()), "not come from the registry"),
            (with(url, "file:///etc/x.whl".into()), "not come from the registry"),
            (with("/download_info/archive_info", json!({})), "no hash"),
            (with("/download_info/archive_info/hashes", json!({"md5": HASH})), "no hash"),
            (with("/download_info/archive_info/hashes", json!({"sha256": "00\n-e x"})), "no hash"),
            (with("/metadata/version", "1.0\n-e .".into()), "no exact version"),
            (with("/metadata/name", "x --index-url=evil".into()), "no package's name"),
        ];
        for (rows, expected) in cases {
            let fault = of_pip(&rows).expect_err(expected);
            assert!(fault.contains(expected), "{rows:?}: {fault}");
        }
        let fault = of_pip(&[row("my-server", "1.1")]).unwrap_err();
        assert!(fault.contains("another version"), "{fault}");
    }

    #[test]
    fn versions_are_compared_as_python_does() {
        for (found, wanted) in
            [("1.0.0", "1"), ("1.0", "1.0.0"), ("1.0+cu12", "1.0"), ("1.0rc1", "1.0.0rc1"), ("10", "10")]
        {
            assert!(is_same_version(found, wanted), "{found} {wanted}");
        }
        for (found, wanted) in
            [("1.0", "1.0rc1"), ("1.0", "1.0+cu12"), ("10", "1"), ("1.0.post1", "1.0"), ("1.01", "1.1.0.1")]
        {
            assert!(!is_same_version(found, wanted), "{found} {wanted}");
        }
    }
}
