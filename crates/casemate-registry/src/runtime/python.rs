//! Python, behind pyenv, asdf, uv and virtual environments.

use std::path::{Path, PathBuf};

use casemate_sandbox::environment::{self, Variable};
use serde::Deserialize;

use super::{Surroundings, beyond_the_distribution};
use crate::errand::Runner;
use crate::error::Error;

/// Where version managers keep interpreters below the user's home, each in a folder of its own.
const COLLECTIONS: [&str; 4] = [
    ".pyenv/versions",
    ".local/share/uv/python",
    ".asdf/installs/python",
    ".local/share/mise/installs/python",
];

/// Asked of whatever has the name: where the interpreter is that does the work, also when this one is a virtual environment.
const WHERE: &str = "import json, os, sys; \
    print(json.dumps(os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable)))";

/// Asked of that interpreter.
const WHAT: &str = "
import json, sys, sysconfig
try:
    from pip import __version__ as pip
except Exception:
    pip = None
print(json.dumps({
    'version': '.'.join(map(str, sys.version_info[:3])),
    'abi': sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag,
    'prefixes': sorted({sys.base_prefix, sys.base_exec_prefix}),
    'packages': sysconfig.get_path('purelib', 'posix_prefix', {'base': '', 'platbase': ''}).strip('/'),
    'pip': pip,
}))";

/// An interpreter of Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    pub(crate) about: About,
}

/// What an interpreter says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct About {
    /// `3.12.4`
    pub(crate) version: String,
    /// What compiled modules have to fit: `cpython-312-x86_64-linux-gnu`.
    pub(crate) abi: String,
    /// Where its own modules lie.
    prefixes: Vec<PathBuf>,
    /// Where a virtual environment has its packages: `lib/python3.12/site-packages`.
    pub(crate) packages: PathBuf,
    /// The version of its pip, if it has one.
    pub(crate) pip: Option<String>,
}

impl Surroundings {
    /// Finds a Python of the wanted version (`3`, `3.12`, `3.12.4`), or the one that is called `python3`.
    pub(crate) async fn python(&self, runner: &Runner, wanted: Option<&str>) -> Result<Python, Error> {
        let mut other = None;
        for candidate in self.pythons(wanted) {
            let Some(python) = self.examine(runner, &candidate).await else { continue };
            if python.fits(wanted) {
                return Ok(python);
            }
            other.get_or_insert(python.about.version);
        }
        match wanted {
            Some(wanted) => Err(Error::NoPython { wanted: wanted.to_owned(), found: other }),
            None => Err(Error::no_python()),
        }
    }

    /// Everything that may be it, the likeliest first.
    fn pythons(&self, wanted: Option<&str>) -> Vec<PathBuf> {
        let minor = wanted.map(|wanted| wanted.splitn(3, '.').take(2).collect::<Vec<_>>().join("."));
        let named = minor.map(|minor| format!("python{minor}")).into_iter().chain(["python3".to_owned()]);
        let mut all: Vec<PathBuf> = named.filter_map(|name| self.find(&name)).collect();
        for collection in COLLECTIONS {
            let folders = self.home.join(collection).read_dir().into_iter().flatten().flatten();
            let fits = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                wanted.is_none_or(|wanted| name.contains(wanted))
            };
            let mut found: Vec<PathBuf> = folders.map(|entry| entry.path()).filter(fits).collect();
            found.sort();
            all.extend(found.into_iter().rev().map(|folder| folder.join("bin/python3")));
        }
        all.retain(|path| path.is_file());
        all
    }

    async fn examine(&self, runner: &Runner, candidate: &Path) -> Option<Python> {
        let place = self.ask(runner, candidate, &["-I", "-c", WHERE]).await?;
        let program: PathBuf = serde_json::from_slice(&place).ok()?;
        let about = self.ask(runner, &program, &["-I", "-c", WHAT]).await?;
        let about: About = serde_json::from_slice(&about).ok()?;
        // A server gets to see the whole prefix, which must not be a place where people keep other things.
        let is_broad = |prefix: &PathBuf| !prefix.is_absolute() || self.home.starts_with(prefix);
        (!about.prefixes.iter().any(is_broad)).then_some(Python { program, about })
    }
}

impl Python {
    fn fits(&self, wanted: Option<&str>) -> bool {
        let has = numbers(&self.about.version);
        let wanted = wanted.map(numbers).unwrap_or_default();
        // Before 3.8 there is no pip that tells what it would install.
        has >= vec![3, 8] && has.starts_with(&wanted)
    }

    /// What a server sees of Python: the prefix, unless the distribution's folders have it.
    pub(crate) fn runtime(&self) -> Vec<PathBuf> {
        beyond_the_distribution([self.program.clone()].into_iter().chain(self.about.prefixes.clone()))
    }

    /// PATH, HOME and the like.
    pub(crate) fn environment(&self, home: &Path, tmp: &Path) -> Vec<Variable> {
        let folder = self.program.parent().unwrap_or(Path::new("/usr/bin"));
        environment::base(home, tmp, &[folder])
    }
}

/// The leading numbers of a version.
pub(crate) fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}
