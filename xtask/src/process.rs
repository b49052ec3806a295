//! Starting other programs.
//!
//! In the product only casemate-sandbox spawns. This crate is a tool for developers and starts compilers,
//! package managers and test subjects, all of them through [`command`].

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::environment;

/// The one constructor. What is started does not see the settings of an installation that the developer uses.
#[expect(clippy::disallowed_methods, reason = "xtask runs on developers' machines and starts their tools")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in environment::settings() {
        command.env_remove(name);
    }
    command
}

/// The cargo that runs us, so that the pinned toolchain is used throughout.
pub(crate) fn cargo() -> Command {
    command(environment::cargo())
}

/// Runs a command with our own output streams; an exit code other than 0 is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns its standard output; what it wrote to standard error is in the error, if it fails.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something that is not UTF-8"))
}

fn show(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
