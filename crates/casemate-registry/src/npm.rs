//! Packages of npm, by npm itself.
//!
//! Two steps: npm works out what is needed and writes its lock file, which we judge; then it installs exactly that. The
//! second step alone is repeated where a tree has gone missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use casemate_net::Policy;
use casemate_sandbox::environment::{self, Variable};
use secrecy::SecretString;

use crate::asked::Asked;
use crate::errand::{Errand, Outcome, Runner};
use crate::error::{Error, last_words};
use crate::package::{Ecosystem, Package};
use crate::runtime::Node;
use crate::shelf::{self, Place};
use crate::sources::{CA_BUNDLE, Sources};

pub(crate) mod bin;
mod complaint;
pub(crate) mod lock;

pub(crate) use lock::Resolution;

/// The largest lock file that is judged, in bytes. Those of large applications have two million.
const LOCK_BYTES_MAX: u64 = 32 << 20;

/// What it takes to run npm for one place.
#[derive(Debug)]
pub(crate) struct Npm<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) node: &'a Node,
    pub(crate) sources: &'a Sources,
    pub(crate) place: &'a Place,
}

impl Npm<'_> {
    /// Works out what is needed for these packages.
    pub(crate) async fn resolve(&self, asked: &Asked) -> Result<Resolution, Error> {
        self.write("package.json", manifest(&asked.packages).as_bytes())?;
        let outcome = self.run(&["install", "--package-lock-only"], self.online()).await?;
        if !outcome.exit.is_success() {
            return Err(self.complaint(&outcome, &asked.packages).await);
        }
        let path = self.place.tree().join("package-lock.json");
        let text = shelf::read_at_most(&path, LOCK_BYTES_MAX).map_err(Error::file("read", &path))?;
        let text = String::from_utf8(text.unwrap_or_default());
        let text = text.map_err(|_| Error::unfit("package-lock.json", "it is not UTF-8"))?;
        Resolution::judge(text, asked, &self.sources.npm)
    }

    /// Installs exactly what was worked out, without running anything of it.
    pub(crate) async fn install(&self, asked: &Asked, resolution: &str) -> Result<(), Error> {
        self.write("package.json", manifest(&asked.packages).as_bytes())?;
        self.write("package-lock.json", resolution.as_bytes())?;
        let outcome = self.run(&["ci"], self.online()).await?;
        if outcome.exit.is_success() { Ok(()) } else { Err(self.complaint(&outcome, &asked.packages).await) }
    }

    /// Runs the install scripts of all packages, offline.
    pub(crate) async fn run_scripts(&self) -> Result<(), Error> {
        let args = ["rebuild", "--ignore-scripts=false", "--foreground-scripts", "--offline"];
        let outcome = self.run(&args, Policy::default()).await?;
        if outcome.exit.is_success() {
            return Ok(());
        }
        let said = if outcome.stderr.is_empty() { &outcome.stdout } else { &outcome.stderr };
        Err(Error::Failed { tool: "npm rebuild", said: last_words(said) })
    }

    /// The versions of a package that fit what was said, the newest last.
    pub(crate) async fn versions(&self, name: &str, said: Option<&str>, field: &str) -> Option<Vec<String>> {
        let spec = said.map_or(name.to_owned(), |said| format!("{name}@{said}"));
        let outcome = self.run(&["view", &spec, field], self.online()).await.ok()?;
        match serde_json::from_slice(&outcome.stdout).ok()? {
            serde_json::Value::String(only) => Some(vec![only]),
            list => serde_json::from_value(list).ok(),
        }
        .filter(|versions: &Vec<String>| versions.iter().all(|version| Ecosystem::Npm.is_version(version)))
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        let path = self.place.tree().join(name);
        std::fs::write(&path, text).map_err(Error::file("write", &path))
    }

    fn online(&self) -> Policy {
        self.sources.reach(Ecosystem::Npm)
    }

    async fn run(&self, args: &[&str], reach: Policy) -> Result<Outcome, Error> {
        let first: OsString = self.node.npm.clone().into();
        let errand = Errand {
            tool: "npm",
            program: self.node.program.clone(),
            args: std::iter::once(first).chain(args.iter().map(OsString::from)).collect(),
            env: self.environment(!reach.is_empty()),
            cwd: self.place.tree(),
            write: vec![self.place.tree(), self.place.work()],
            runtime: self.node.npm_runtime(),
            read: Vec::new(),
            reach,
        };
        self.runner.run(errand).await
    }

    /// Every setting that matters, so that no file of the host's has a say.
    fn environment(&self, online: bool) -> Vec<Variable> {
        let work = self.place.work();
        let in_work = |name: &str| work.join(name).to_string_lossy().into_owned();
        let mut settings: Vec<(&str, String)> = vec![
            ("npm_config_cache", in_work("cache")),
            ("npm_config_userconfig", in_work("no-settings")),
            ("npm_config_globalconfig", in_work("no-global-settings")),
            ("npm_config_ignore_scripts", "true".to_owned()),
            ("npm_config_omit", "dev".to_owned()),
            ("npm_config_audit", "false".to_owned()),
            ("npm_config_fund", "false".to_owned()),
            ("npm_config_update_notifier", "false".to_owned()),
            ("npm_config_progress", "false".to_owned()),
            ("npm_config_loglevel", "error".to_owned()),
            ("npm_config_logs_max", "0".to_owned()),
            ("npm_config_json", "true".to_owned()),
            ("npm_config_fetch_retries", "2".to_owned()),
            ("npm_config_fetch_retry_mintimeout", "1000".to_owned()),
            ("npm_config_fetch_timeout", "60000".to_owned()),
            // A dependency that lies in a repository is refused when the lock file is judged; until then nothing is cloned.
            ("npm_config_git", "/bin/false".to_owned()),
        ];
        if let Some(headers) = self.node.headers() {
            settings.push(("npm_config_nodedir", headers.to_string_lossy().into_owned()));
        }
        if online && self.sources.ca_bundle.is_some() {
            settings.push(("npm_config_cafile", in_work(CA_BUNDLE)));
        }
        let mut secret = Vec::new();
        if online {
            secret.push(("npm_config_registry", self.sources.npm.full_url()));
            if let Some(proxy) = &self.sources.proxy {
                secret.push(("npm_config_proxy", proxy.full_url()));
                secret.push(("npm_config_https_proxy", proxy.full_url()));
            }
        }
        let settings =
            settings.into_iter().map(|(name, value)| (name, SecretString::from(value))).chain(secret);
        let settings = settings.map(|(name, value)| (OsString::from(name), value));
        environment::merge(self.node.environment(&work, &work), settings)
    }
}

/// Asks for exactly these packages. npm is never given a name of theirs as an argument.
fn manifest(packages: &[Package]) -> String {
    let dependencies: serde_json::Map<String, serde_json::Value> =
        packages.iter().map(|package| (package.name.clone(), package.version.clone().into())).collect();
    let manifest = serde_json::json!({
        "name": "prepared-by-casemate",
        "private": true,
        "dependencies": dependencies,
    });
    manifest.to_string()
}

/// The folder of a package in a tree.
pub(crate) fn folder(tree: &Path, name: &str) -> PathBuf {
    tree.join("node_modules").join(name)
}
