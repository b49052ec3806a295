//! Where cargo puts what it builds.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::process;

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
