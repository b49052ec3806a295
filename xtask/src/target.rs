//! What cargo builds, and where it puts it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::process;

/// Builds all programs and all tests.
///
/// Every step builds through this: a smaller choice of packages has other features, and cargo would compile
/// half of the dependencies once for each choice.
pub(crate) fn build() -> Result<()> {
    process::run(process::cargo().args(["build", "--locked", "--workspace", "--bins", "--tests"]))
}

/// A program that was built with a profile (`debug`, `release`).
pub(crate) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    let path = folder()?.join(profile).join(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

fn folder() -> Result<PathBuf> {
    let text = process::capture(process::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let folder = metadata.get("target_directory").and_then(|value| value.as_str());
    Ok(PathBuf::from(folder.context("cargo metadata names no target folder")?))
}
