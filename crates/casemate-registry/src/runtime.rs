//! The programs of this host that packages run on: the real ones, behind whatever stands in front of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use casemate_sandbox::environment::{self, Variable};
use casemate_sandbox::{CellSpec, Spec};
use serde::Deserialize;

use crate::errand::{Outcome, Runner};
use crate::error::Error;
use crate::shelf;

mod python;

pub(crate) use python::{Python, numbers};

/// The largest `package.json` that is read, in bytes. Real ones have less than 100,000.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// Where programs are looked for, and what they see when they are asked about themselves.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// Folders before the fixed PATH.
    pub(crate) search: Vec<PathBuf>,
    /// The user's own.
    pub(crate) home: PathBuf,
}

/// Node, with npm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    /// The version of the interface for native modules.
    pub(crate) modules: String,
    /// The script that is npm.
    pub(crate) npm: PathBuf,
    pub(crate) npm_version: String,
}

impl Surroundings {
    /// The first executable of that name.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let fixed = std::env::split_paths(environment::PATH);
        let candidates = self.search.iter().cloned().chain(fixed).map(|folder| folder.join(name));
        let is_runnable = |path: &PathBuf| {
            path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        candidates.filter(|path| path.is_absolute()).find(is_runnable)
    }

    /// Asks a program something that it answers on standard output.
    pub(crate) async fn ask(&self, runner: &Runner, program: &Path, args: &[&str]) -> Option<Vec<u8>> {
        let search: Vec<&Path> = self.search.iter().map(PathBuf::as_path).collect();
        let spec = Spec {
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            env: environment::base(&self.home, Path::new("/tmp"), &search),
            cwd: Some("/".into()),
            label: "prepare-ask".to_owned(),
            cell: None,
        };
        match runner.ask(spec).await {
            Ok(Outcome { exit, stdout, .. }) if exit.is_success() => Some(stdout),
            _ => None,
        }
    }

    /// Finds node and npm.
    pub(crate) async fn node(&self, runner: &Runner) -> Result<Node, Error> {
        const QUESTION: &str =
            "JSON.stringify([process.execPath, process.versions.node, process.versions.modules])";
        let found = self.find("node").ok_or_else(Error::no_node)?;
        let answer = self.ask(runner, &found, &["-p", QUESTION]).await.ok_or_else(Error::no_node)?;
        let (program, version, modules): (PathBuf, String, String) =
            serde_json::from_slice(&answer).map_err(|_| Error::no_node())?;
        let npm = self.npm(&program).ok_or_else(Error::no_node)?;
        let npm_version = npm_version(&npm).ok_or_else(Error::no_node)?;
        Ok(Node { program, version, modules, npm, npm_version })
    }

    /// The script behind the name `npm`, or the one that comes with node.
    fn npm(&self, node: &Path) -> Option<PathBuf> {
        let named = self.find("npm").and_then(|npm| npm.canonicalize().ok());
        let bundled = node.parent()?.parent()?.join("lib/node_modules/npm/bin/npm-cli.js");
        let is_script = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "js");
        named.filter(is_script).or_else(|| bundled.canonicalize().ok())
    }
}

impl Node {
    /// What a server sees of node: the program, unless the distribution's folders have it.
    pub(crate) fn runtime(&self) -> Vec<PathBuf> {
        beyond_the_distribution([self.program.clone()])
    }

    /// What npm needs besides: its own folder, and node's headers.
    pub(crate) fn npm_runtime(&self) -> Vec<PathBuf> {
        let folder = self.npm.parent().and_then(Path::parent).map(Path::to_owned);
        let headers = self.headers().map(|prefix| prefix.join("include/node"));
        beyond_the_distribution([self.program.clone()].into_iter().chain(folder).chain(headers))
    }

    /// The folder whose `include/node` holds node's headers, with which native modules are compiled.
    pub(crate) fn headers(&self) -> Option<PathBuf> {
        let prefix = self.program.parent()?.parent()?;
        prefix.join("include/node/node_api.h").is_file().then(|| prefix.to_owned())
    }

    /// PATH, HOME and the like.
    pub(crate) fn environment(&self, home: &Path, tmp: &Path) -> Vec<Variable> {
        let folder = self.program.parent().unwrap_or(Path::new("/usr/bin"));
        environment::base(home, tmp, &[folder])
    }
}

/// Of these paths the ones that a cell does not show anyway.
pub(crate) fn beyond_the_distribution(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let shown = |path: &PathBuf| CellSpec::RUNTIME.iter().any(|folder| path.starts_with(folder));
    paths.into_iter().filter(|path| !shown(path)).collect()
}

fn npm_version(npm: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Manifest {
        name: String,
        version: String,
    }
    let manifest = npm.parent()?.parent()?.join("package.json");
    let text = shelf::read_at_most(&manifest, MANIFEST_BYTES_MAX).ok()??;
    let manifest: Manifest = serde_json::from_slice(&text).ok()?;
    (manifest.name == "npm").then_some(manifest.version)
}
