//! What a test stands on: a folder, a registry, and the packages that are prepared from it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casemate_net::{Attempt, SystemResolver, Witness};
use casemate_registry::{Asked, Error, Packages, Prepared, Registry as Source, Scripts, Settings, Sources};
use casemate_sandbox::{Access, CellSpec, Exit, Kind, Spawner, Spec, environment};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::registry::Registry;

pub(crate) struct World {
    pub(crate) home: TempDir,
    pub(crate) registry: Registry,
    pub(crate) runtime: Runtime,
    pub(crate) spawner: Spawner,
}

impl World {
    pub(crate) fn new() -> World {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        World {
            home: tempfile::Builder::new().prefix("casemate-prepare-").tempdir().unwrap(),
            registry: Registry::start(),
            runtime,
            spawner: Spawner::start().unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join("packages")
    }

    pub(crate) fn packages(&self) -> Packages {
        self.packages_from(self.sources())
    }

    /// Those that find programs in these folders first.
    pub(crate) fn packages_searching(&self, search: Vec<PathBuf>) -> Packages {
        Packages::new(self.spawner.clone(), Settings { search, ..settings(&self.folder(), self.sources()) })
    }

    fn sources(&self) -> Sources {
        let npm = Source::parse(&self.registry.url()).unwrap();
        let pypi = Source::parse(&format!("{}simple/", self.registry.url())).unwrap();
        Sources { npm, pypi, ..Sources::default() }
    }

    pub(crate) fn packages_from(&self, sources: Sources) -> Packages {
        Packages::new(self.spawner.clone(), settings(&self.folder(), sources))
    }

    /// Prepares what a command line asks for.
    pub(crate) fn prepare(&self, line: &str, scripts: Scripts) -> Result<Prepared, Error> {
        let packages = self.packages();
        let asked = asked(line);
        self.runtime.block_on(packages.prepare(&asked, scripts))
    }

    /// What a prepared program prints in a full cell without network.
    pub(crate) fn run(&self, prepared: &Prepared) -> (Exit, String) {
        self.runtime.block_on(async {
            let cell = self.spawner.spawn(spec(prepared)).await.unwrap();
            let (mut io, handle) = cell.split();
            drop(io.stdin);
            let (mut out, mut err) = (String::new(), String::new());
            let _ = tokio::join!(io.stdout.read_to_string(&mut out), io.stderr.read_to_string(&mut err));
            (handle.wait().await, if out.is_empty() { err } else { out })
        })
    }

    /// Every file, folder and link below the folder of packages whose path contains a word.
    pub(crate) fn found(&self, word: &str) -> Vec<PathBuf> {
        fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                into.push(entry.path());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), into);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.folder(), &mut all);
        all.retain(|path| path.strip_prefix(self.folder()).unwrap().to_string_lossy().contains(word));
        all
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Trees are read-only, also for whoever removes them.
        let tree = self.folder();
        let _ = std::process::Command::new("chmod").arg("-R").arg("u+w").arg(&tree).output();
    }
}

pub(crate) fn asked(line: &str) -> Asked {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    Asked::recognize(&words[0], &words[1..]).unwrap().unwrap()
}

pub(crate) fn settings(folder: &Path, sources: Sources) -> Settings {
    Settings {
        folder: folder.to_owned(),
        sources,
        search: Vec::new(),
        home: "/".into(),
        account: 0x6000_0000,
        resolver: Arc::new(SystemResolver::new()),
        witness: Arc::new(Nobody),
        tracker: TaskTracker::new(),
        stop: CancellationToken::new(),
    }
}

#[derive(Debug)]
struct Nobody;

impl Witness for Nobody {
    fn attempt(&self, _attempt: &Attempt) {}
}

/// How whoever starts a prepared package does it.
pub(crate) fn spec(prepared: &Prepared) -> Spec {
    let mut cell = CellSpec::new(Kind::Full).grant(Access::Read, &prepared.tree);
    cell.runtime.extend(prepared.runtime.iter().cloned());
    cell.account = 0x6000_0001;
    let base = environment::base(Path::new("/tmp"), Path::new("/tmp"), &[]);
    Spec {
        program: OsString::from(&prepared.program),
        args: prepared.args.clone(),
        env: environment::merge(base, prepared.env.iter().cloned()),
        cwd: Some("/tmp".into()),
        label: "prepared".to_owned(),
        cell: Some(cell),
    }
}

/// Whether this host's Python has a pip that can be used.
pub(crate) fn has_pip() -> bool {
    let version =
        std::process::Command::new("/usr/bin/python3").args(["-I", "-m", "pip", "--version"]).output();
    version.is_ok_and(|answer| answer.status.success())
}

/// A program of this host.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(environment::PATH).map(|folder| folder.join(name)).find(|path| path.exists())
}
