//! The environment of whoever runs us: the only place in this crate that reads variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The cargo that started us; the one on PATH when we were started by hand.
pub(crate) fn cargo() -> PathBuf {
    variable("CARGO").unwrap_or_else(|| PathBuf::from("cargo"))
}

/// Where downloaded tools and test subjects are kept: `$XDG_CACHE_HOME/casemate-ci`, by default
/// `~/.cache/casemate-ci`. Deleting it is always safe.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder")?;
    Ok(base.join("casemate-ci"))
}

/// The project's root.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// PATH with a folder put first.
pub(crate) fn path_with(first: &Path) -> Result<OsString> {
    let rest = variable("PATH").unwrap_or_default();
    let parts = std::iter::once(first.to_owned()).chain(std::env::split_paths(&rest));
    std::env::join_paths(parts).context("a folder's name cannot be put into PATH")
}

/// The names of all variables that set something for Casemate.
pub(crate) fn settings() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| name.as_encoded_bytes().starts_with(b"CASEMATE_"))
}

/// What the conformance suite tells the client that it judges: the revision, the scenario, and what belongs to it.
pub(crate) fn conformance() -> [Option<String>; 3] {
    let names = ["MCP_CONFORMANCE_PROTOCOL_VERSION", "MCP_CONFORMANCE_SCENARIO", "MCP_CONFORMANCE_CONTEXT"];
    names.map(|name| variable(name)?.into_os_string().into_string().ok())
}

#[expect(clippy::disallowed_methods, reason = "a developer's tool has no configuration to read these from")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
