//! What npm says when it cannot do something, in our words.

use serde::Deserialize;

use super::Npm;
use crate::errand::Outcome;
use crate::error::{Error, last_words};
use crate::nearness::nearest;
use crate::package::{Ecosystem, Package};

/// What `--json` makes npm write to standard output.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Complaint,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: String,
    summary: String,
}

/// Everything by which npm means that it has not reached the registry.
const UNREACHABLE: [&str; 14] = [
    "ECONNREFUSED",
    "ECONNRESET",
    "EAI_AGAIN",
    "ENOTFOUND",
    "ETIMEDOUT",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ERR_SOCKET_TIMEOUT",
    "FETCH_ERROR",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "CERT_HAS_EXPIRED",
];

impl Npm<'_> {
    /// What npm complains about.
    pub(super) async fn complaint(&self, outcome: &Outcome, packages: &[Package]) -> Error {
        let Said { error: Complaint { code, summary } } =
            serde_json::from_slice(&outcome.stdout).unwrap_or_default();
        let said = last_words(if summary.is_empty() { &outcome.stderr } else { summary.as_bytes() });
        let registry = self.sources.npm.url().to_owned();
        match code.as_str() {
            "EINTEGRITY" => Error::Integrity { said },
            "ETARGET" => self.no_version(said, packages).await,
            "E404" => Error::NoPackage { registry, name: missing(&summary).unwrap_or(said) },
            "E401" | "E403" | "ENEEDAUTH" => Error::Unauthorized { registry, said },
            code if UNREACHABLE.contains(&code) || code.starts_with("E5") => {
                Error::Unreachable { registry, said }
            }
            _ => Error::Failed { tool: "npm", said },
        }
    }

    /// Which package lacks a version: one that was asked for, or something that it depends on.
    async fn no_version(&self, said: String, packages: &[Package]) -> Error {
        let asked = packages.iter().find(|package| said.contains(&package.requirement(Ecosystem::Npm)));
        let Some(Package { name, version, .. }) = asked else {
            return Error::Failed { tool: "npm", said };
        };
        let versions = self.versions(name, None, "versions").await.unwrap_or_default();
        Error::NoVersion {
            name: name.clone(),
            version: version.clone(),
            nearest: nearest(&versions, version),
        }
    }
}

/// The package in `Not Found - GET https://registry.npmjs.org/@scope%2fname`.
fn missing(summary: &str) -> Option<String> {
    let url = summary.split_whitespace().find(|word| word.contains("://"))?;
    let (_, path) = url.split_once("://")?.1.split_once('/')?;
    let path = path.replace("%2f", "/").replace("%2F", "/");
    let name = match path.find('@') {
        Some(at) => path.get(at..)?.to_owned(),
        None => path.rsplit('/').next()?.to_owned(),
    };
    Ecosystem::Npm.is_name(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_package_is_named() {
        let summary = "Not Found - GET https://registry.npmjs.org/@modelcontextprotocol%2fserver-nothing";
        assert_eq!(missing(summary).unwrap(), "@modelcontextprotocol/server-nothing");
        assert_eq!(missing("Not Found - GET http://127.0.0.1:1/npm/left-padd").unwrap(), "left-padd");
        assert_eq!(missing("404 Not Found"), None);
    }
}
