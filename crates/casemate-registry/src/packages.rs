//! Preparing packages, each of them once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use casemate_net::{Resolver, Witness};
use casemate_sandbox::Spawner;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::asked::Asked;
use crate::errand::Runner;
use crate::error::Error;
use crate::npm::Npm;
use crate::package::Ecosystem;
use crate::prepared::{Origin, Prepared, Scripts};
use crate::record::{Kept, Record};
use crate::runtime::{Node, Surroundings};
use crate::seal::{self, Verdict};
use crate::shelf::{self, Held, Place};
use crate::sources::Sources;
use crate::unpinned::{Unpinned, Wanted};

mod start;

/// How long looking up a version may take. The refusal that it improves is worth no more.
const LOOK_UP_MAX: Duration = Duration::from_secs(10);

/// What preparing needs to know about the installation and the host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where prepared packages are kept. It is made with mode 0700.
    pub folder: PathBuf,
    /// Where packages come from.
    pub sources: Sources,
    /// Folders that are searched for node, npm, python3 and uv before the fixed PATH.
    pub search: Vec<PathBuf>,
    /// The user's home, which programs that stand in front of an interpreter (pyenv, nvm) look into.
    pub home: PathBuf,
    /// The user id that package clients run as when we are root.
    pub account: u32,
    /// Knows the addresses of registries.
    pub resolver: Arc<dyn Resolver>,
    /// Is told what package clients reach, and try to.
    pub witness: Arc<dyn Witness>,
    /// Preparing runs on it, and goes on when whoever asked has left: a large package may take longer than a caller waits.
    pub tracker: TaskTracker,
    /// Ends all preparing.
    pub stop: CancellationToken,
}

/// Prepares packages. Cheap to clone.
#[derive(Clone)]
pub struct Packages {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    surroundings: Surroundings,
    runner: Runner,
    node: OnceCell<Node>,
}

impl Packages {
    /// Touches nothing yet.
    pub fn new(spawner: Spawner, settings: Settings) -> Packages {
        let surroundings = Surroundings { search: settings.search.clone(), home: settings.home.clone() };
        let runner = Runner {
            spawner,
            account: settings.account,
            resolver: Arc::clone(&settings.resolver),
            witness: Arc::clone(&settings.witness),
        };
        Packages { inner: Arc::new(Inner { settings, surroundings, runner, node: OnceCell::new() }) }
    }

    /// Makes what was asked for ready to start. What was prepared before costs a look at each of its files; everything else is
    /// fetched, which may take minutes. Prepares of the same package, also of other processes, wait for one another.
    pub async fn prepare(&self, asked: &Asked, scripts: Scripts) -> Result<Prepared, Error> {
        match asked.ecosystem {
            Ecosystem::Npm => {
                let node = self.inner.node().await?;
                let place = self.inner.npm_place(node, asked, scripts);
                if let Some(kept) = ready(&place, asked).await? {
                    return start::npm(node, &place, asked, (kept, Origin::Kept));
                }
                let inner = Arc::clone(&self.inner);
                let copies = (place.clone(), asked.clone());
                let work = async move { inner.npm(&copies.0, &copies.1, scripts).await };
                let (kept, origin) = self.detached(work).await?;
                start::npm(node, &place, asked, (kept, origin))
            }
            Ecosystem::PyPi => Err(Error::no_python(asked.ecosystem)),
        }
    }

    /// Looks up the versions that a refused command line lacks; what the registry does not tell within ten seconds is not in
    /// the answer. It is what [`Unpinned::hint`] and [`Unpinned::line`] want.
    pub async fn current(&self, unpinned: &Unpinned) -> BTreeMap<Wanted, String> {
        let mut found = BTreeMap::new();
        let look_up = async {
            for wanted in unpinned.wanted() {
                if let Some(version) = self.inner.current(wanted).await {
                    found.insert(wanted.clone(), version);
                }
            }
        };
        let _ = tokio::time::timeout(LOOK_UP_MAX, look_up).await;
        found
    }

    /// Runs a prepare to its end, also when nobody waits for it any more.
    async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let Settings { tracker, stop, .. } = &self.inner.settings;
        let stop = stop.clone();
        let task = tracker.spawn(async move { stop.run_until_cancelled(work).await });
        match task.await {
            Ok(Some(outcome)) => outcome,
            _ => Err(Error::Failed { tool: "preparing", said: "casemate is going down".to_owned() }),
        }
    }
}

impl Inner {
    async fn node(&self) -> Result<&Node, Error> {
        self.node.get_or_try_init(|| self.surroundings.node(&self.runner)).await
    }

    fn npm_place(&self, node: &Node, asked: &Asked, scripts: Scripts) -> Place {
        let mut decisive = vec![self.settings.sources.npm.url().to_owned(), scripts.as_str().to_owned()];
        decisive.push(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH));
        if scripts == Scripts::Allowed {
            // What scripts compile or fetch fits one version of the interface for native modules.
            decisive.push(node.modules.clone());
        }
        self.place(asked, decisive)
    }

    fn place(&self, asked: &Asked, mut decisive: Vec<String>) -> Place {
        let requirements = requirements(asked);
        let title = asked.packages.first().map(|first| format!("{}@{}", first.name, first.version));
        decisive.extend(requirements);
        let ecosystem = asked.ecosystem.as_str();
        Place::new(&self.settings.folder, ecosystem, &title.unwrap_or_default(), &decisive)
    }

    async fn npm(&self, place: &Place, asked: &Asked, scripts: Scripts) -> Result<(Kept, Origin), Error> {
        let node = self.node().await?;
        let held = place.hold().await?;
        if let Some(kept) = ready(place, asked).await? {
            return Ok((kept, Origin::Kept));
        }
        place.clear(&held)?;
        self.settings.sources.bring_ca_bundle(&place.work())?;
        let npm = Npm { runner: &self.runner, node, sources: &self.settings.sources, place };
        let (record, known) = match Kept::find(place)? {
            Some(kept) => {
                npm.install(asked, &kept.record.resolution).await?;
                (kept.record.clone(), Some(kept))
            }
            None => (self.npm_record(&npm, asked, scripts).await?, None),
        };
        if scripts == Scripts::Allowed && !record.scripts_ran.is_empty() {
            npm.run_scripts().await?;
        }
        let kept = finish(place, &held, (record, known)).await?;
        Ok((kept, Origin::Installed))
    }

    /// Resolves and installs for the first time.
    async fn npm_record(&self, npm: &Npm<'_>, asked: &Asked, scripts: Scripts) -> Result<Record, Error> {
        let resolution = npm.resolve(asked).await?;
        npm.install(asked, &resolution.text).await?;
        let url = self.settings.sources.npm.url();
        let mut record = Record::new(asked.ecosystem.as_str(), requirements(asked), url);
        record.tools.insert("node".to_owned(), npm.node.version.clone());
        record.tools.insert("npm".to_owned(), npm.node.npm_version.clone());
        record.packages = resolution.packages;
        record.resolution = resolution.text;
        match scripts {
            Scripts::Allowed => record.scripts_ran = resolution.scripts,
            Scripts::Never => {
                start::refuse_unbuilt(&npm.place.tree(), &resolution.required_scripts)?;
                record.scripts_skipped = resolution.scripts;
            }
        }
        Ok(record)
    }

    async fn current(&self, wanted: &Wanted) -> Option<String> {
        match wanted.ecosystem {
            Ecosystem::Npm => {
                let node = self.node().await.ok()?;
                let words = ["look-up".to_owned(), wanted.name.clone()];
                let place = Place::new(&self.settings.folder, "npm", "look-up", &words);
                let held = place.hold().await.ok()?;
                place.clear(&held).ok()?;
                self.settings.sources.bring_ca_bundle(&place.work()).ok()?;
                let npm = Npm { runner: &self.runner, node, sources: &self.settings.sources, place: &place };
                let range = wanted.said.as_deref().filter(|said| is_plain_range(said));
                let mut versions = match range {
                    Some(range) => npm.versions(&wanted.name, Some(range), "version").await,
                    None => None,
                };
                if versions.as_ref().is_none_or(Vec::is_empty) {
                    versions = npm.versions(&wanted.name, None, "version").await;
                }
                let _ = shelf::remove(place.root());
                versions?.pop()
            }
            Ecosystem::PyPi => None,
        }
    }
}

/// What stands in the lock file, and decides about the place.
fn requirements(asked: &Asked) -> Vec<String> {
    asked.packages.iter().map(|package| package.requirement(asked.ecosystem)).collect()
}

/// Ranges and tags that npm cannot take for anything else.
fn is_plain_range(said: &str) -> bool {
    said.chars().all(|c| c.is_ascii_alphanumeric() || " .*<>=~^|-+".contains(c)) && !said.starts_with('-')
}

/// A place whose tree is complete, and as it was.
async fn ready(place: &Place, asked: &Asked) -> Result<Option<Kept>, Error> {
    let Some(kept) = Kept::find(place)? else { return Ok(None) };
    let (copy, sha256) = (place.clone(), kept.sha256.clone());
    match off_thread(move || seal::verify(&copy, &sha256)).await? {
        Verdict::Intact => Ok(Some(kept)),
        Verdict::Incomplete => Ok(None),
        Verdict::Changed => {
            let package = asked.packages.first().map(|package| package.name.clone()).unwrap_or_default();
            Err(Error::Changed { package, place: place.root().to_owned() })
        }
    }
}

/// Closes a tree that was installed, and writes down what it is.
async fn finish(place: &Place, _held: &Held, (record, known): (Record, Option<Kept>)) -> Result<Kept, Error> {
    let work = place.work();
    shelf::remove(&work).map_err(Error::file("remove", &work))?;
    let copy = place.clone();
    let package = record.asked.first().cloned().unwrap_or_default();
    let closed = off_thread(move || seal::close(&copy, &package, &[])).await?;
    let kept = match known {
        Some(kept) => kept,
        None => record.keep(place)?,
    };
    closed.seal(place, &kept.sha256)?;
    Ok(kept)
}

/// Runs what reads or writes many files.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let lost = |_| Error::Failed { tool: "preparing", said: "a thread was lost".to_owned() };
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

impl fmt::Debug for Packages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packages").field("folder", &self.inner.settings.folder).finish_non_exhaustive()
    }
}
