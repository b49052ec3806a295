//! Preparing packages, each of them once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use casemate_net::{Resolver, Witness};
use casemate_sandbox::Spawner;
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::asked::Asked;
use crate::errand::Runner;
use crate::error::Error;
use crate::package::Ecosystem;
use crate::prepared::{Origin, Prepared, Scripts};
use crate::record::{Kept, Record};
use crate::runtime::{Node, Python, Surroundings};
use crate::seal::{self, Verdict};
use crate::shelf::{self, Held, Place};
use crate::sources::Sources;
use crate::unpinned::{Unpinned, Wanted};

mod npm;
mod pypi;
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
    /// By the version that was asked for.
    pythons: Mutex<BTreeMap<Option<String>, Python>>,
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
        let (node, pythons) = (OnceCell::new(), Mutex::default());
        Packages { inner: Arc::new(Inner { settings, surroundings, runner, node, pythons }) }
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
            Ecosystem::PyPi => {
                let python = self.inner.python(asked.python()).await?;
                let place = self.inner.pypi_place(&python, asked);
                if let Some(kept) = ready(&place, asked).await? {
                    return start::pypi(&python, &place, asked, (kept, Origin::Kept));
                }
                let inner = Arc::clone(&self.inner);
                let copies = (place.clone(), asked.clone(), python.clone());
                let work = async move { inner.pypi(&copies.0, &copies.1, &copies.2).await };
                let (kept, origin) = self.detached(work).await?;
                start::pypi(&python, &place, asked, (kept, origin))
            }
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

    /// Removes what prepares have left that were killed, by whichever process; what another one is at work on stays. Tells
    /// how many packages that were. Worth doing once, when the program starts.
    ///
    /// # Errors
    /// [`Error::File`], with which it stops.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let folder = self.inner.settings.folder.clone();
        off_thread(move || shelf::sweep(&folder)).await
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
    fn place(&self, asked: &Asked, mut decisive: Vec<String>) -> Place {
        let requirements = requirements(asked);
        let title = asked.packages.first().map(|first| format!("{}@{}", first.name, first.version));
        decisive.extend(requirements);
        let ecosystem = asked.ecosystem.as_str();
        Place::new(&self.settings.folder, ecosystem, &title.unwrap_or_default(), &decisive)
    }

    async fn current(&self, wanted: &Wanted) -> Option<String> {
        match wanted.ecosystem {
            Ecosystem::Npm => self.npm_current(wanted).await,
            Ecosystem::PyPi => self.pypi_current(wanted).await,
        }
    }
}

/// What stands in the lock file, and decides about the place.
fn requirements(asked: &Asked) -> Vec<String> {
    asked.packages.iter().map(|package| package.requirement(asked.ecosystem)).collect()
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

/// Closes a tree that was installed, and writes down what it is. Its links may lead to what is `outside`.
async fn finish(
    place: &Place,
    _held: &Held,
    (record, known): (Record, Option<Kept>),
    outside: Vec<PathBuf>,
) -> Result<Kept, Error> {
    let work = place.work();
    shelf::remove(&work).map_err(Error::file("remove", &work))?;
    let copy = place.clone();
    let package = record.asked.first().cloned().unwrap_or_default();
    let closed = off_thread(move || seal::close(&copy, &package, &outside)).await?;
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
