//! What pip and uv say when they cannot do something, in our words.

use super::listing::normal;
use super::{Client, PyPi};
use crate::errand::Outcome;
use crate::error::{Error, last_words};
use crate::nearness::nearest;
use crate::package::{Ecosystem, Package};

/// What either of them says, and what it means. The first that is found counts.
const SIGNS: &[(&str, Sign)] = &[
    ("DO NOT MATCH THE HASHES", Sign::Integrity),
    ("Hash mismatch", Sign::Integrity),
    ("401 Error", Sign::Unauthorized),
    ("401 Unauthorized", Sign::Unauthorized),
    ("403 Client Error", Sign::Unauthorized),
    ("403 Forbidden", Sign::Unauthorized),
    ("connection broken by", Sign::Unreachable),
    ("Could not fetch URL", Sign::Unreachable),
    ("ProxyError", Sign::Unreachable),
    ("SSLError", Sign::Unreachable),
    ("error sending request", Sign::Unreachable),
    ("Failed to fetch", Sign::Unreachable),
    ("Request failed after", Sign::Unreachable),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Integrity,
    Unauthorized,
    Unreachable,
}

/// What cannot be found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    /// There is no such package.
    Package(String),
    /// There is the package, but not so that it runs here.
    Wheel(String),
    /// `x==1.2.3`: either of them, or the version.
    Any(String),
}

impl PyPi<'_> {
    /// What the client complains about.
    pub(super) async fn complaint(&self, outcome: &Outcome, packages: &[Package]) -> Error {
        let all = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let said = self.without_credentials(&last_words(all.as_bytes()));
        let registry = self.sources.pypi.url().to_owned();
        match SIGNS.iter().find(|(text, _)| all.contains(text)) {
            Some((_, Sign::Integrity)) => return Error::Integrity { said },
            Some((_, Sign::Unauthorized)) => return Error::Unauthorized { registry, said },
            Some((_, Sign::Unreachable)) => return Error::Unreachable { registry, said },
            None => {}
        }
        let python = self.python.about.version.clone();
        match missing(&all) {
            Some(Missing::Package(name)) => Error::NoPackage { registry, name },
            Some(Missing::Wheel(package)) => Error::NoWheel { package, python },
            Some(Missing::Any(requirement)) => self.missing(&requirement, packages, said).await,
            None => Error::Failed { tool: self.client.name(), said },
        }
    }

    /// Looks more closely at a package that is not there as it was wanted.
    async fn missing(&self, requirement: &str, packages: &[Package], said: String) -> Error {
        let title = requirement.split(|c: char| "=<>!~[;( ".contains(c)).next().unwrap_or(requirement);
        let asked = packages.iter().find(|package| normal(&package.name) == normal(title));
        let versions = match self.python.about.pip {
            Some(_) if Ecosystem::PyPi.is_name(title) => self.versions(title).await,
            _ => Vec::new(),
        };
        let name = title.to_owned();
        match asked {
            _ if versions.is_empty() && *self.client == Client::Pip => {
                Error::NoPackage { registry: self.sources.pypi.url().to_owned(), name }
            }
            Some(Package { version, .. }) if !versions.contains(version) => {
                let nearest = nearest(&oldest_first(versions), version);
                Error::NoVersion { name, version: version.clone(), nearest }
            }
            None if versions.is_empty() => Error::Failed { tool: self.client.name(), said },
            _ => Error::NoWheel {
                package: requirement.replacen("==", " ", 1),
                python: self.python.about.version.clone(),
            },
        }
    }
}

fn oldest_first(mut versions: Vec<String>) -> Vec<String> {
    versions.reverse();
    versions
}

fn missing(said: &str) -> Option<Missing> {
    // pip's words.
    if let Some((_, rest)) = said.split_once("No matching distribution found for ") {
        return rest.split_whitespace().next().map(|requirement| Missing::Any(requirement.to_owned()));
    }
    // uv's, which break at any place.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let before = |mark: &str| {
        let (start, _) = said.split_once(mark)?;
        Some(start.rsplit(' ').next()?.to_owned())
    };
    if let Some(name) = before(" was not found in the package registry") {
        return Some(Missing::Package(name));
    }
    for mark in [" has no usable wheels", " has no wheels with a matching"] {
        if let Some(package) = before(mark) {
            return Some(Missing::Wheel(package.replacen("==", " ", 1)));
        }
    }
    let (_, rest) = said.split_once("there is no version of ")?;
    Some(Missing::Any(rest.split(' ').next()?.trim_end_matches(',').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_found_in_their_words() {
        let pip = "ERROR: Could not find a version that satisfies the requirement x==1.2.4 (from versions: 1.2.3)\n\
            ERROR: No matching distribution found for x==1.2.4\n";
        let uv = "  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of\n      \
            x==1.2.4 and you require x==1.2.4, we can conclude\n";
        for said in [pip, uv] {
            assert_eq!(missing(said), Some(Missing::Any("x==1.2.4".to_owned())), "{said}");
        }
        let absent = "cause: Because y was not found in the package registry and you require y==1";
        assert_eq!(missing(absent), Some(Missing::Package("y".to_owned())));
        let source = "cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2";
        assert_eq!(missing(source), Some(Missing::Wheel("docopt 0.6.2".to_owned())));
        assert_eq!(missing("error: something else"), None);
    }
}
