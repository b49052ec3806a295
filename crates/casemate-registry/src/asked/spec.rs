//! What stands for a package on a command line: a name, and what is said about its version.

use crate::package::{Ecosystem, Package};

/// A package as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spec {
    /// One version.
    Exact(Package),
    /// A package of the registry in whatever version.
    Open {
        /// Without a version, which goes into it.
        package: Package,
        /// What was said about the version, if anything: a range or a tag.
        said: Option<String>,
    },
    /// Something that does not come from a registry, or cannot be read: why.
    Foreign(&'static str),
}

const NOT_A_REGISTRY: &str = "it is a folder, a file, a URL or a repository";
const ALIAS: &str = "it is an alias of another package; name that one";
const NOT_A_NAME: &str = "it is no package's name";
const MARKER: &str = "it depends on a marker";

impl Spec {
    pub(super) fn parse(ecosystem: Ecosystem, text: &str) -> Spec {
        match ecosystem {
            Ecosystem::Npm => npm(text),
            Ecosystem::PyPi => pypi(text),
        }
    }
}

/// <https://docs.npmjs.com/cli/using-npm/package-spec>
fn npm(text: &str) -> Spec {
    let scope = usize::from(text.starts_with('@'));
    let at = text.get(scope..).and_then(|rest| rest.find('@')).map(|at| at + scope);
    let (name, said) = match at.and_then(|at| text.split_at_checked(at)) {
        Some((name, said)) => (name, said.strip_prefix('@')),
        None => (text, None),
    };
    let elsewhere = |text: &str| {
        text.contains([':', '\\'])
            || text.starts_with(['.', '/', '~'])
            || text.ends_with(".tgz")
            || text.ends_with(".tar.gz")
            || (text.contains('/') && !text.starts_with('@'))
    };
    if said.is_some_and(|said| said.starts_with("npm:")) || text.starts_with("npm:") {
        return Spec::Foreign(ALIAS);
    }
    if elsewhere(name) || said.is_some_and(elsewhere) {
        return Spec::Foreign(NOT_A_REGISTRY);
    }
    finish(Ecosystem::Npm, (name, Vec::new()), said)
}

/// `x`, `x[cli]`, `x==1.2.3`, `x@1.2.3`, and the rest of PEP 508, which is never one version.
fn pypi(text: &str) -> Spec {
    let text = text.trim();
    if text.contains(';') {
        return Spec::Foreign(MARKER);
    }
    if text.contains("://") || text.starts_with(['.', '/', '~']) || text.contains('\\') {
        return Spec::Foreign(NOT_A_REGISTRY);
    }
    let end = text.find(['=', '<', '>', '!', '~', '@', '(', ' ']).unwrap_or(text.len());
    // Inside of brackets there may be spaces.
    let end = match text.find('[') {
        Some(open) if open < end => text.find(']').map_or(end, |close| close + 1),
        _ => end,
    };
    let (titled, said) = text.split_at_checked(end).unwrap_or((text, ""));
    let said = said.trim();
    let (name, extras) = match titled.split_once('[') {
        None => (titled, Vec::new()),
        Some((name, list)) => {
            let list = list.strip_suffix(']').unwrap_or_default().split(',').map(str::trim);
            (name.trim_end(), list.map(str::to_owned).collect())
        }
    };
    if !extras.iter().all(|extra| Ecosystem::PyPi.is_name(extra)) || said.contains('/') {
        return Spec::Foreign(NOT_A_NAME);
    }
    let exact = said.strip_prefix("==").or_else(|| said.strip_prefix('@')).map(str::trim_start);
    match exact.filter(|version| Ecosystem::PyPi.is_version(version)) {
        Some(version) => finish(Ecosystem::PyPi, (name, extras), Some(version)),
        None if said.is_empty() => finish(Ecosystem::PyPi, (name, extras), None),
        // Without one of the two signs, even a version is none.
        None => match finish(Ecosystem::PyPi, (name, extras), None) {
            Spec::Open { package, .. } => Spec::Open { package, said: Some(said.to_owned()) },
            other => other,
        },
    }
}

fn finish(ecosystem: Ecosystem, (name, mut extras): (&str, Vec<String>), said: Option<&str>) -> Spec {
    if !ecosystem.is_name(name) {
        return Spec::Foreign(NOT_A_NAME);
    }
    extras.sort();
    extras.dedup();
    let package = |version: &str| Package { name: name.to_owned(), extras, version: version.to_owned() };
    match said {
        Some(version) if ecosystem.is_version(version) => Spec::Exact(package(version)),
        _ => Spec::Open { package: package(""), said: said.map(str::to_owned) },
    }
}
