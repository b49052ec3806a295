//! Tools and test subjects from the public registries, pinned, installed once into the cache folder.
//!
//! The folder's layout is what end-to-end tests rely on (CONTRIBUTING.md): `node/node_modules/.bin/…`,
//! `python/bin/…`, `deny/bin/cargo-deny`.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::console::say;
use crate::{environment, process};

/// Built without optimization: it runs for two seconds and would otherwise compile for minutes.
const CARGO_DENY: &str = "0.20.2";

/// The cache folder.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

/// What is installed into one folder of the cache.
struct Recipe<'a> {
    /// The folder's name.
    name: &'a str,
    /// Everything that decides what is installed. Written into the folder once it is complete.
    stamp: String,
    install: &'a dyn Fn(&Path) -> Result<()>,
}

impl Cache {
    /// Opens the folder.
    pub(crate) fn open() -> Result<Cache> {
        let folder = environment::cache()?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Cache { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// cargo-deny.
    pub(crate) fn deny(&self) -> Result<PathBuf> {
        let install = |folder: &Path| {
            let package = format!("cargo-deny@{CARGO_DENY}");
            process::run(
                process::cargo()
                    .args([
                        "install",
                        "--locked",
                        "--debug",
                        "--quiet",
                        "--no-default-features",
                        &package,
                        "--root",
                    ])
                    .arg(folder)
                    .env("CARGO_TARGET_DIR", folder.join("target")),
            )?;
            fs::remove_dir_all(folder.join("target")).context("cannot remove what was compiled on the way")
        };
        let stamp = format!("cargo-deny {CARGO_DENY}");
        let folder = self.installed(&Recipe { name: "deny", stamp, install: &install })?;
        Ok(folder.join("bin/cargo-deny"))
    }

    /// Node 22 and all packages from npm; the folder that holds their programs.
    pub(crate) fn node(&self) -> Result<PathBuf> {
        let manifest = packages("package.json")?;
        let lock = packages("package-lock.json")?;
        let install = |folder: &Path| {
            fs::write(folder.join("package.json"), &manifest)?;
            fs::write(folder.join("package-lock.json"), &lock)?;
            // Nothing that is installed needs its install script, and scripts are how packages attack.
            let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
            process::run(process::command("npm").args(options).current_dir(folder))
        };
        let folder = self.installed(&Recipe { name: "node", stamp: lock.clone(), install: &install })?;
        Ok(folder.join("node_modules/.bin"))
    }

    /// A virtual environment with all packages from PyPI; the folder that holds its programs.
    pub(crate) fn python(&self) -> Result<PathBuf> {
        let requirements = packages("requirements.txt")?;
        let install = |folder: &Path| {
            let list = folder.join("requirements.txt");
            fs::write(&list, &requirements)?;
            process::run(process::command("python3").args(["-m", "venv"]).arg(folder))?;
            let options = ["-m", "pip", "install", "--quiet", "--requirement"];
            process::run(process::command(folder.join("bin/python")).args(options).arg(list))
        };
        let stamp = requirements.clone();
        let folder = self.installed(&Recipe { name: "python", stamp, install: &install })?;
        Ok(folder.join("bin"))
    }

    /// Installs what is missing or was installed from something else.
    fn installed(&self, recipe: &Recipe<'_>) -> Result<PathBuf> {
        let folder = self.folder.join(recipe.name);
        let stamp = folder.join(".complete");
        let complete = || fs::read_to_string(&stamp).is_ok_and(|found| found == recipe.stamp);
        if complete() {
            return Ok(folder);
        }
        // Held until we return, so that two runs never install the same thing at once.
        let lock = File::create(self.folder.join(format!("{}.lock", recipe.name)))?;
        lock.lock().context("cannot lock the cache folder")?;
        if complete() {
            return Ok(folder);
        }
        say(format_args!("installing {} into {}", recipe.name, folder.display()));
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        (recipe.install)(&folder).with_context(|| format!("cannot install {}", recipe.name))?;
        fs::write(&stamp, &recipe.stamp)?;
        Ok(folder)
    }
}

fn packages(file: &str) -> Result<String> {
    let path = environment::root().join("xtask/packages").join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_complete_is_not_installed_again() {
        let home = tempfile::tempdir().expect("a folder");
        let cache = Cache { folder: home.path().to_owned() };
        let installs = Cell::new(0);
        let install = |_: &Path| {
            installs.set(installs.get() + 1);
            if installs.get() == 1 { anyhow::bail!("the network is down") } else { Ok(()) }
        };
        let recipe = |stamp: &str| Recipe { name: "thing", stamp: stamp.to_owned(), install: &install };
        assert!(cache.installed(&recipe("1")).is_err());
        assert!(cache.installed(&recipe("1")).is_ok(), "a failed one is tried again");
        assert!(cache.installed(&recipe("1")).is_ok());
        assert_eq!(installs.get(), 2);
        assert!(cache.installed(&recipe("2")).is_ok(), "another pin is another installation");
        assert_eq!(installs.get(), 3);
    }
}
