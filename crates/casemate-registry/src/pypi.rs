//! Packages of PyPI, by uv or pip.
//!
//! A tree is a virtual environment of our own making: a file that says where Python is, a link to it, and packages. Two
//! steps: the client works out what is needed, of which we make a list with a version and hashes for everything; then it
//! installs exactly that list. Wheels alone are accepted: an archive of source runs the package's code to become one.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use casemate_net::Policy;
use casemate_sandbox::environment::{self, Variable};
use secrecy::{ExposeSecret, SecretString};

use crate::asked::Asked;
use crate::errand::{Errand, Outcome, Runner};
use crate::error::Error;
use crate::package::Ecosystem;
use crate::runtime::{self, Python};
use crate::shelf::{self, Place};
use crate::sources::{CA_BUNDLE, Sources};

mod complaint;
pub(crate) mod listing;
pub(crate) mod script;

pub(crate) use listing::Listing;

/// The largest report that is read, in bytes: pip puts the description of every package into it.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// What is asked for.
const WANTED: &str = "wanted.txt";

/// What is installed.
const LISTED: &str = "listed.txt";

/// What pip says that it would install.
const REPORT: &str = "report.json";

/// The program that works out and installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Client {
    /// This one.
    Uv(PathBuf),
    /// Python's own.
    Pip,
}

/// What it takes to fill one place.
#[derive(Debug)]
pub(crate) struct PyPi<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) python: &'a Python,
    pub(crate) client: &'a Client,
    pub(crate) sources: &'a Sources,
    pub(crate) place: &'a Place,
}

impl Client {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Client::Uv(_) => "uv",
            Client::Pip => "pip",
        }
    }
}

impl PyPi<'_> {
    /// Makes the tree a virtual environment without packages (PEP 405). Python's own module for it is a package of its own
    /// with some distributions, and would bring a pip that no server needs.
    pub(crate) fn lay_out(&self) -> Result<(), Error> {
        let tree = self.place.tree();
        let home = self.python.program.parent().unwrap_or(Path::new("/usr/bin"));
        let version = &self.python.about.version;
        let settings =
            format!("home = {}\ninclude-system-site-packages = false\nversion = {version}\n", home.display());
        let made = || {
            fs::write(tree.join("pyvenv.cfg"), settings)?;
            for folder in [Path::new("bin"), &self.python.about.packages] {
                let mut made = tree.clone();
                for part in folder.components() {
                    made.push(part);
                    fs::create_dir(&made)?;
                    // As root, a package client runs as a user of its own.
                    shelf::set_mode(&made, 0o777)?;
                }
            }
            symlink("lib", tree.join("lib64"))?;
            symlink(&self.python.program, tree.join(PYTHON))?;
            symlink("python", tree.join("bin/python3"))
        };
        made().map_err(Error::file("make an environment in", &tree))
    }

    /// Works out what is needed for these packages.
    pub(crate) async fn resolve(&self, asked: &Asked) -> Result<Listing, Error> {
        let wanted = asked.packages.iter().map(|package| package.requirement(Ecosystem::PyPi) + "\n");
        self.write(WANTED, &wanted.collect::<String>())?;
        let outcome = self.run(&self.resolving(), self.online()).await?;
        if !outcome.exit.is_success() {
            return Err(self.complaint(&outcome, &asked.packages).await);
        }
        let listing = match self.client {
            Client::Uv(_) => Listing::of_uv(&String::from_utf8_lossy(&outcome.stdout)),
            Client::Pip => {
                let path = self.place.work().join(REPORT);
                let text =
                    shelf::read_at_most(&path, REPORT_BYTES_MAX).map_err(Error::file("read", &path))?;
                Listing::of_pip(&text.unwrap_or_default(), self.sources)
            }
        }?;
        listing.judge(asked)?;
        Ok(listing)
    }

    /// Installs exactly what is listed.
    pub(crate) async fn install(&self, asked: &Asked, listing: &str) -> Result<(), Error> {
        self.write(LISTED, listing)?;
        let listed = self.place.work().join(LISTED);
        let mut args = words(&["install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "-r"]);
        args.push(listed.into());
        // Compiling is ours: a client that does it starts the tree's Python, and that runs what packages have put into `.pth`.
        args.extend(match self.client {
            Client::Uv(_) => words(&["--link-mode", "copy"]),
            Client::Pip => words(&["--no-compile"]),
        });
        let outcome = self.run(&args, self.online()).await?;
        if !outcome.exit.is_success() {
            return Err(self.complaint(&outcome, &asked.packages).await);
        }
        // A wheel may bring a program of that name.
        match fs::read_link(self.place.tree().join(PYTHON)) {
            Ok(link) if link == self.python.program => self.compile().await,
            _ => Err(Error::unfit(&self.title(asked), "it replaces the Python that is to run it")),
        }
    }

    /// Compiles everything to byte code, offline, by the host's Python, which knows nothing of the packages. What does not
    /// compile (templates, examples for other versions) is none of our business.
    async fn compile(&self) -> Result<(), Error> {
        let mut args = words(&["-I", "-m", "compileall", "-q"]);
        args.push(self.place.tree().join(&self.python.about.packages).into());
        let program = self.python.program.clone();
        self.runner.run(self.errand("compileall", (program, args), Policy::default())).await.map(|_| ())
    }

    /// The newest version of a package that runs here.
    pub(crate) async fn newest(&self, name: &str) -> Option<String> {
        match self.client {
            Client::Pip => self.versions(name).await.into_iter().next(),
            Client::Uv(_) => {
                self.write(WANTED, name).ok()?;
                let mut args = self.resolving();
                args.push("--no-deps".into());
                let outcome = self.run(&args, self.online()).await.ok()?;
                let listing = Listing::of_uv(&String::from_utf8_lossy(&outcome.stdout)).ok()?;
                listing.packages.into_iter().next().map(|only| only.version)
            }
        }
    }

    /// All versions of a package, also those that exist as source alone; the newest first. uv has no such question.
    pub(crate) async fn versions(&self, name: &str) -> Vec<String> {
        // Not by the tree's Python: where an installation has failed, the tree may hold anything.
        let args = words(&["-I", "-m", "pip", "index", "versions", name]);
        let errand = self.errand("pip", (self.python.program.clone(), args), self.online());
        let Ok(outcome) = self.runner.run(errand).await else { return Vec::new() };
        let said = String::from_utf8_lossy(&outcome.stdout);
        let list = said.lines().find_map(|line| line.trim().strip_prefix("Available versions:"));
        let versions = list.unwrap_or_default().split(',').map(|version| version.trim().to_owned());
        versions.filter(|version| Ecosystem::PyPi.is_version(version)).collect()
    }

    fn resolving(&self) -> Vec<OsString> {
        let work = self.place.work();
        match self.client {
            Client::Uv(_) => {
                let mut args = words(&["compile", "--generate-hashes", "--no-header", "--no-annotate"]);
                args.extend(words(&["--only-binary", ":all:"]));
                args.push(work.join(WANTED).into());
                args
            }
            Client::Pip => {
                let mut args =
                    words(&["install", "--dry-run", "--ignore-installed", "--only-binary", ":all:"]);
                args.extend(["--report".into(), work.join(REPORT).into()]);
                args.extend(["-r".into(), work.join(WANTED).into()]);
                args
            }
        }
    }

    fn title(&self, asked: &Asked) -> String {
        asked.packages.first().map(|package| package.name.clone()).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.place.work().join(name);
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        shelf::set_mode(&path, 0o644).map_err(Error::file("open up", &path))
    }

    fn online(&self) -> Policy {
        self.sources.reach(Ecosystem::PyPi)
    }

    async fn run(&self, args: &[OsString], reach: Policy) -> Result<Outcome, Error> {
        let python = self.place.tree().join(PYTHON);
        let mut all: Vec<OsString>;
        let program = match self.client {
            Client::Uv(uv) => {
                all = vec!["pip".into()];
                all.extend(args.iter().cloned());
                all.extend(["--python".into(), python.into()]);
                uv.clone()
            }
            Client::Pip => {
                all = words(&["-I", "-m", "pip", "--python"]);
                all.push(python.into());
                all.extend(args.iter().cloned());
                self.python.program.clone()
            }
        };
        self.runner.run(self.errand(self.client.name(), (program, all), reach)).await
    }

    fn errand(&self, tool: &'static str, (program, args): (PathBuf, Vec<OsString>), reach: Policy) -> Errand {
        let mut runtime = self.python.runtime();
        runtime.extend(runtime::beyond_the_distribution([program.clone()]));
        Errand {
            tool,
            program,
            args,
            env: self.environment(!reach.is_empty()),
            cwd: self.place.work(),
            write: vec![self.place.tree(), self.place.work()],
            runtime,
            read: self.sources.wheels.clone(),
            reach,
        }
    }

    /// Every setting that matters, so that no file of the host's has a say.
    fn environment(&self, online: bool) -> Vec<Variable> {
        let work = self.place.work();
        let wheels: Vec<String> =
            self.sources.wheels.iter().map(|folder| folder.to_string_lossy().into_owned()).collect();
        let mut settings: Vec<(&str, String)> = SETTINGS.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        settings.push(("UV_CACHE_DIR", work.join("cache").to_string_lossy().into_owned()));
        settings.push(("PIP_FIND_LINKS", wheels.join(" ")));
        settings.push(("UV_FIND_LINKS", wheels.join(",")));
        if self.sources.certificates(Ecosystem::PyPi).is_some() {
            let bundle = work.join(CA_BUNDLE).to_string_lossy().into_owned();
            settings.push(("PIP_CERT", bundle.clone()));
            settings.push(("SSL_CERT_FILE", bundle));
        }
        settings.retain(|(_, value)| !value.is_empty());
        let mut secret = Vec::new();
        if online {
            let index = self.sources.pypi.full_url();
            secret.extend([("PIP_INDEX_URL", index.clone()), ("UV_DEFAULT_INDEX", index)]);
        }
        if let Some(proxy) = self.sources.proxy.as_ref().filter(|_| online) {
            let names = ["PIP_PROXY", "HTTP_PROXY", "HTTPS_PROXY"];
            secret.extend(names.map(|name| (name, proxy.full_url())));
        }
        let settings =
            settings.into_iter().map(|(name, value)| (name, SecretString::from(value))).chain(secret);
        let settings = settings.map(|(name, value)| (OsString::from(name), value));
        environment::merge(self.python.environment(&work, &work), settings)
    }

    /// What the client said, without the registry's password.
    fn without_credentials(&self, said: &str) -> String {
        let places = [Some(&self.sources.pypi), self.sources.proxy.as_ref()];
        let secrets = places.into_iter().flatten().filter_map(|place| place.credentials());
        secrets.fold(said.to_owned(), |said, secret| said.replace(secret.expose_secret(), "****"))
    }
}

/// The interpreter of a tree.
pub(crate) const PYTHON: &str = "bin/python";

const SETTINGS: &[(&str, &str)] = &[
    ("PIP_CONFIG_FILE", "/dev/null"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PIP_KEYRING_PROVIDER", "disabled"),
    ("PIP_NO_CACHE_DIR", "1"),
    ("PIP_NO_COLOR", "1"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_PROGRESS_BAR", "off"),
    ("PIP_RETRIES", "2"),
    ("PIP_ROOT_USER_ACTION", "ignore"),
    ("PIP_DEFAULT_TIMEOUT", "60"),
    ("NO_COLOR", "1"),
    ("UV_NO_CONFIG", "1"),
    ("UV_NO_PROGRESS", "1"),
    ("UV_PYTHON_DOWNLOADS", "never"),
    ("UV_KEYRING_PROVIDER", "disabled"),
    ("UV_HTTP_TIMEOUT", "60"),
];

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
