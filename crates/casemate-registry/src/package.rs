//! A package of a registry: its name, and the one version that is meant.

use std::fmt;

/// A registry's world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// Packages for Node.
    Npm,
    /// Packages for Python.
    PyPi,
}

impl Ecosystem {
    /// The name used in folders and lock files: `npm` or `pypi`.
    pub fn as_str(self) -> &'static str {
        match self {
            Ecosystem::Npm => "npm",
            Ecosystem::PyPi => "pypi",
        }
    }

    /// How a name and a version are put together.
    pub(crate) fn joint(self) -> &'static str {
        match self {
            Ecosystem::Npm => "@",
            Ecosystem::PyPi => "==",
        }
    }

    /// The command that tells a person the versions of a package.
    pub(crate) fn finder(self, name: &str) -> String {
        match self {
            Ecosystem::Npm => format!("npm view {name} version"),
            Ecosystem::PyPi => format!("pip index versions {name}"),
        }
    }

    /// Whether this is a name that the registry could have. What passes can be part of a path.
    pub(crate) fn is_name(self, name: &str) -> bool {
        match self {
            Ecosystem::Npm => {
                // https://docs.npmjs.com/cli/configuring-npm/package-json#name, with the capitals of old packages.
                let plain = |part: &str| {
                    part.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '~'))
                        && part
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '~' | '.' | '_'))
                };
                let rest = name.strip_prefix('@').map(|scoped| scoped.split_once('/'));
                let fits = match rest {
                    None => plain(name),
                    Some(parts) => parts.is_some_and(|(scope, name)| plain(scope) && plain(name)),
                };
                // The runner itself would read the first as an option.
                fits && !name.starts_with('-') && name.len() <= NAME_BYTES_MAX
            }
            Ecosystem::PyPi => {
                // https://packaging.python.org/en/latest/specifications/name-normalization/
                let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
                name.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && name.ends_with(|c: char| c.is_ascii_alphanumeric())
                    && name.chars().all(inner)
                    && name.len() <= NAME_BYTES_MAX
            }
        }
    }

    /// Whether this is one version and no other, written as the registry writes it.
    pub(crate) fn is_version(self, version: &str) -> bool {
        version.len() <= VERSION_BYTES_MAX
            && match self {
                Ecosystem::Npm => is_semver(version),
                Ecosystem::PyPi => is_pep440(version),
            }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ecosystem::Npm => "npm",
            Ecosystem::PyPi => "PyPI",
        })
    }
}

/// npm's own limit. PyPI's names are shorter.
const NAME_BYTES_MAX: usize = 214;

/// Longer than any version in use; it becomes part of a folder's name.
const VERSION_BYTES_MAX: usize = 64;

/// One version of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    pub(crate) name: String,
    pub(crate) extras: Vec<String>,
    pub(crate) version: String,
}

impl Package {
    /// The name: `@scope/name` with npm, and with PyPI as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The exact version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The optional parts that are wanted too (`x[cli]`), in the order of the alphabet. Only PyPI has them.
    pub fn extras(&self) -> &[String] {
        &self.extras
    }

    /// As the registry's own tools want it: `x@1.2.3` or `x[cli]==1.2.3`.
    pub(crate) fn requirement(&self, ecosystem: Ecosystem) -> String {
        format!("{}{}{}", self.titled(), ecosystem.joint(), self.version)
    }

    fn titled(&self) -> String {
        match self.extras.as_slice() {
            [] => self.name.clone(),
            extras => format!("{}[{}]", self.name, extras.join(",")),
        }
    }
}

/// `1.2.3`, `1.2.3-rc.1`, `1.2.3+build` (https://semver.org/#backusnaur-form-grammar-for-valid-semver-versions).
fn is_semver(version: &str) -> bool {
    let (rest, build) = split(version, '+');
    let (release, pre) = split(rest, '-');
    let number = |part: &str| is_number(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let pre_part = |part: &str| word(part) && (!is_number(part) || number(part));
    let release: Vec<&str> = release.split('.').collect();
    release.len() == 3
        && release.into_iter().all(number)
        && pre.is_none_or(|pre| pre.split('.').all(pre_part))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// `1.2.3`, `2!1.0rc1.post2.dev3+local.4`
/// (https://packaging.python.org/en/latest/specifications/version-specifiers/, in its normal form).
fn is_pep440(version: &str) -> bool {
    let (public, local) = split(version, '+');
    let (epoch, rest) = public.split_once('!').map_or((None, public), |(epoch, rest)| (Some(epoch), rest));
    let (rest, dev) = tail(rest, ".dev");
    let (rest, post) = tail(rest, ".post");
    let (release, pre) = ["a", "b", "rc"]
        .into_iter()
        .find_map(|mark| match tail(rest, mark) {
            (release, Some(number)) => Some((release, Some(number))),
            _ => None,
        })
        .unwrap_or((rest, None));
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    [epoch, pre, post, dev].into_iter().flatten().all(is_number)
        && release.split('.').all(is_number)
        && local.is_none_or(|local| local.split('.').all(word))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// What stands before and after the last mark.
fn tail<'a>(text: &'a str, mark: &str) -> (&'a str, Option<&'a str>) {
    text.rsplit_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_version() {
        let exact = ["1.2.3", "0.0.0", "2026.8.31", "1.0.0-alpha.1", "1.0.0-0a", "1.0.0-x-y", "1.0.0+b.01"];
        let other = [
            "",
            "1",
            "1.2",
            "1.2.x",
            "v1.2.3",
            "=1.2.3",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3+",
            "^1.2.3",
            "latest",
            "1.2.3 ",
            "1.2.3/..",
            "1.2.3;id",
            "1.2.3-$(id)",
            "1.2.3-..",
            "１.2.3",
            "*",
        ];
        exact.iter().for_each(|version| assert!(Ecosystem::Npm.is_version(version), "{version}"));
        other.iter().for_each(|version| assert!(!Ecosystem::Npm.is_version(version), "{version}"));
    }

    #[test]
    fn so_it_is_with_python() {
        let exact = [
            "1",
            "1.2",
            "1.2.3",
            "2026.10.19",
            "2!1.0",
            "1.0a1",
            "1.0b2",
            "1.0rc1",
            "1.0.post2",
            "1.0.dev3",
            "2!1.0rc1.post2.dev3+local.4",
        ];
        let other = [
            "", "1.*", "1.2.*", "v1", "latest", ">=1", "1.0-rc1", "1..2", ".1", "1.", "1.0rc", "1.0+", "1!",
            "1 ", "1.0;x", "1.0+A", "1/2", "../1", "1.0dev", "$(id)",
        ];
        exact.iter().for_each(|version| assert!(Ecosystem::PyPi.is_version(version), "{version}"));
        other.iter().for_each(|version| assert!(!Ecosystem::PyPi.is_version(version), "{version}"));
    }

    #[test]
    fn a_name_leads_nowhere() {
        let npm = ["x", "@scope/x", "left-pad", "JSONStream", "a.b_c~d", "@s/.x"];
        npm.iter().take(5).for_each(|name| assert!(Ecosystem::Npm.is_name(name), "{name}"));
        let wrong = [
            "",
            ".",
            "..",
            "../x",
            "@../x",
            "@x/..",
            "@/x",
            "@x/",
            "@x",
            "a/b",
            "@a/b/c",
            "-x",
            "_x",
            "x y",
            "x\0",
            "@s/.x",
            "x;y",
            "x\\y",
            "%2e%2e",
            "https:",
            &"x".repeat(215),
        ];
        wrong.iter().for_each(|name| assert!(!Ecosystem::Npm.is_name(name), "{name}"));
        let wrong = ["", ".", "..", "a/b", "-x", "x-", ".x", "x.", "@s/x", "x y", "x[y]", "é"];
        wrong.iter().for_each(|name| assert!(!Ecosystem::PyPi.is_name(name), "{name}"));
        ["x", "mcp-server-time", "Zope.Interface", "a_b"]
            .iter()
            .for_each(|name| assert!(Ecosystem::PyPi.is_name(name), "{name}"));
    }
}
