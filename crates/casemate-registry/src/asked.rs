//! What a package runner's command line asks for.
//!
//! ```text
//! npx -y x@1.2.3 …    npm exec …    bunx …    pnpm dlx …    yarn dlx …
//! uvx x==1.2.3 …      uv tool run …           pipx run …
//! ```

use crate::package::{Ecosystem, Package};
use crate::unpinned::Unpinned;

mod reading;
mod runner;
mod spec;
#[cfg(test)]
mod tests;

/// Packages of a registry in exact versions, and the program of theirs that is to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    pub(crate) ecosystem: Ecosystem,
    /// Never empty; the first is the one that the command line is about.
    pub(crate) packages: Vec<Package>,
    /// The program's name. Nothing means that the first package has only one, or one of its own name.
    pub(crate) command: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) python: Option<String>,
}

impl Asked {
    /// Recognizes the command line of a package runner. Nothing for any other program, whatever its arguments are; an
    /// [`Unpinned`] for a runner whose line does not say exactly what would be fetched.
    pub fn recognize(program: &str, args: &[String]) -> Option<Result<Asked, Unpinned>> {
        let (runner, rest) = runner::find(program, args)?;
        Some(reading::read(runner, program, args, rest))
    }

    /// Where the packages come from.
    pub fn ecosystem(&self) -> Ecosystem {
        self.ecosystem
    }

    /// The packages, the one that the command line is about first.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The name of the program that is to run, when the command line gives one.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// What the program gets.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The version of Python that was asked for: `3`, `3.12` or `3.12.4`.
    pub fn python(&self) -> Option<&str> {
        self.python.as_deref()
    }
}
