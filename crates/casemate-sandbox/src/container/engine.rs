//! The engine: found, asked what it can do, and made to start containers.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::about::About;
use super::archive;
use super::blueprint::{self, Surroundings};
use super::error::ContainerError;
use super::grants::Forbidden;
use super::handle::Container;
use super::image::{self, Image};
use super::keeper::{self, Task};
use super::owner::Owner;
use super::reference::{ImageReference, Unpinned};
use super::spec::ImageSpec;
use super::sweep::{self, Swept};
use super::wire::Wire;
use crate::room::{Network, Profile, document};

/// How long an engine may take to say who it is.
const PROBE_TIME: Duration = Duration::from_secs(5);

/// How long [`Engine::close`] waits for containers to be removed.
const CLOSE_TIME: Duration = Duration::from_secs(30);

/// The file that the filter of system calls lies in, for engines that read it.
const FILTER: &str = "container.seccomp.json";

/// The file with the address of casemate's name server.
const NAMES: &str = "container.resolv.conf";

/// The engine of root.
const SYSTEM: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];

/// Where those of users are, in their runtime folders.
const USERS: [&str; 2] = ["docker.sock", "podman/podman.sock"];

/// Where to look for an engine, and whose containers it will have.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The only place to look at: a path, or `unix://` and a path, as in `DOCKER_HOST`.
    pub host: Option<String>,
    /// The user's runtime folder (`XDG_RUNTIME_DIR`), where engines without root's rights listen.
    pub runtime: Option<PathBuf>,
    /// The user's home, which is never granted as a whole.
    pub home: Option<PathBuf>,
    /// A folder of casemate's own, which exists and which nobody else may write to. Engines find there what they take by
    /// its path.
    pub folder: PathBuf,
    /// The installation of casemate, by a name that no other on this host has. Its containers carry it as a label.
    pub installation: String,
}

/// A container engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) wire: Wire,
    pub(super) about: About,
    pub(super) tasks: TaskTracker,
    /// Where engines find what they take by its path.
    pub(super) folder: PathBuf,
    /// Our own program as an image, once it was needed.
    own_image: OnceCell<String>,
    forbidden: Forbidden,
    installation: String,
    owner: Owner,
}

impl Search {
    /// The sockets that come into question, in the order in which they are tried.
    fn sockets(&self) -> Result<Vec<PathBuf>, ContainerError> {
        let Some(host) = &self.host else {
            let runtime = self.runtime.iter().flat_map(|folder| USERS.map(|name| folder.join(name)));
            let [docker, podman] = SYSTEM.map(PathBuf::from);
            return Ok([docker].into_iter().chain(runtime).chain([podman]).collect());
        };
        let path = host.strip_prefix("unix://").unwrap_or(host);
        if !path.starts_with('/') {
            let remedy =
                "name a Unix socket, unix:///path; whoever reaches an engine over the network owns its host";
            return Err(ContainerError::Spec { what: format!("{host:?} is no Unix socket"), remedy });
        }
        Ok(vec![path.into()])
    }
}

impl Engine {
    /// Finds the engine of this host: the first of the usual sockets where one answers that can enforce what containers
    /// need. Must be called within a tokio runtime with I/O enabled, as everything else here.
    pub async fn find(search: &Search) -> Result<Engine, ContainerError> {
        let mut tried = Vec::new();
        let mut unfit = None;
        for socket in search.sockets()? {
            match Engine::at(&socket, search).await {
                Ok(engine) => return Ok(engine),
                Err(error @ ContainerError::Unfit { .. }) => unfit = unfit.or(Some(error)),
                Err(error) => tried.push((socket, reason(&error))),
            }
        }
        Err(unfit.unwrap_or(ContainerError::NoEngine { tried }))
    }

    async fn at(socket: &Path, search: &Search) -> Result<Engine, ContainerError> {
        let probe = timeout(PROBE_TIME, About::of(Wire::new(socket))).await;
        let (about, wire) = probe.map_err(ContainerError::lost("its version"))??;
        let inner = Inner {
            forbidden: Forbidden::new(&about, search.home.as_deref()),
            wire,
            about,
            tasks: TaskTracker::new(),
            folder: search.folder.clone(),
            own_image: OnceCell::new(),
            installation: search.installation.clone(),
            owner: Owner::current().map_err(ContainerError::lost("our own process (is /proc mounted?)"))?,
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// What it is.
    pub fn about(&self) -> &About {
        &self.inner.about
    }

    /// What a name stands for now, here or else in its registry: the reference to write instead.
    pub async fn pin(&self, name: &Unpinned) -> Result<ImageReference, ContainerError> {
        image::pin(&self.inner.wire, name).await
    }

    /// Starts a server in a container of its own and returns once it is executing. The image is fetched if it is not here,
    /// which may take minutes. Dropping the future undoes what was done so far.
    pub async fn start(&self, spec: &ImageSpec) -> Result<Container, ContainerError> {
        let Inner { wire, about, tasks, folder, forbidden, installation, owner, .. } = &*self.inner;
        if tasks.is_closed() {
            return Err(ContainerError::Closed);
        }
        spec.check()?;
        forbidden.check(&spec.grants)?;
        let image = Image::of(wire, &spec.image).await?;
        let labels = sweep::labels(installation, &spec.label, owner);
        let doors = match &spec.network {
            Network::None => None,
            Network::Ports(ports) => Some((ports.clone(), labels.clone())),
        };
        let names = match &doors {
            None => None,
            Some(_) => Some(names(folder).map_err(ContainerError::lost("the address of its name server"))?),
        };
        let filter = filter(about, folder).map_err(ContainerError::lost("the filter of system calls"))?;
        let surroundings = Surroundings { about, filter: &filter, labels, names };
        let blueprint = blueprint::draft(spec, &image, &surroundings);
        let overrides = spec.overrides.clone();
        let task = Task { name: sweep::name(&spec.label, number()?), blueprint, doors, overrides };
        let (reply, answer) = oneshot::channel();
        tasks.spawn(keeper::keep(Arc::clone(&self.inner), task, reply));
        answer.await.map_err(ContainerError::lost("a container"))?
    }

    /// Removes the containers that this installation left behind when it was killed. Those of processes that live are not
    /// touched.
    pub async fn sweep(&self) -> Result<Swept, ContainerError> {
        sweep::sweep(&self.inner.wire, &self.inner.installation, &self.inner.owner).await
    }

    /// Starts nothing more and waits until the containers whose handles are gone have been removed, half a minute at most.
    /// What is left then is found by [`Engine::sweep`].
    pub async fn close(&self) {
        self.inner.tasks.close();
        if timeout(CLOSE_TIME, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("containers are left; they are removed at the next start");
        }
        if let Some(image) = self.inner.own_image.get()
            && let Err(error) = sweep::remove_image(&self.inner.wire, image).await
        {
            tracing::warn!(%error, "an image of casemate itself is left; it is removed at the next start");
        }
    }
}

impl Inner {
    /// The name of an image of our own program.
    pub(super) async fn own_image(&self) -> Result<&str, ContainerError> {
        const WHAT: &str = "our own program";
        let made = self.own_image.get_or_try_init(async || {
            let archive = self.tasks.spawn_blocking(archive::of_ourselves).await;
            let archive = archive.map_err(ContainerError::lost(WHAT))?.map_err(ContainerError::lost(WHAT))?;
            let labels = sweep::labels(&self.installation, "doors", &self.owner);
            let changes = [archive::environment(), sweep::label_change(&labels)];
            let name = sweep::image_name(number()?);
            image::import(&self.wire, &name, (archive, &changes)).await?;
            Ok(name)
        });
        made.await.map(String::as_str)
    }
}

/// What a server with a network finds as its `/etc/resolv.conf`: casemate answers inside.
fn names(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(NAMES);
    if !path.exists() {
        let draft = folder.join(format!("{NAMES}.{}", std::process::id()));
        std::fs::write(&draft, "nameserver 127.0.0.1\n")?;
        // For a server that is another user.
        std::fs::set_permissions(&draft, Permissions::from_mode(0o644))?;
        std::fs::rename(&draft, &path)?;
    }
    Ok(path)
}

/// The filter of system calls as an engine takes it: Docker wants the document itself, and Podman to read it.
fn filter(about: &About, folder: &Path) -> io::Result<String> {
    let document = document(Profile::Standard).to_string();
    if !about.is_podman {
        return Ok(format!("seccomp={document}"));
    }
    // Replaced as a whole, since another casemate may be at it.
    let (path, draft) = (folder.join(FILTER), folder.join(format!("{FILTER}.{}", std::process::id())));
    std::fs::write(&draft, document)?;
    std::fs::rename(&draft, &path)?;
    Ok(format!("seccomp={}", path.display()))
}

/// A number that nobody else has.
fn number() -> Result<u64, ContainerError> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(ContainerError::lost("a random number"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Why an engine could not be spoken to, with its cause: "connection refused" is what matters.
fn reason(error: &ContainerError) -> String {
    let cause = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_looked_for_in_the_usual_places() {
        let search = Search { runtime: Some("/run/user/7".into()), ..Search::default() };
        let sockets: Vec<_> =
            search.sockets().unwrap().iter().map(|path| path.display().to_string()).collect();
        assert_eq!(
            sockets,
            [
                "/var/run/docker.sock",
                "/run/user/7/docker.sock",
                "/run/user/7/podman/podman.sock",
                "/run/podman/podman.sock"
            ]
        );
    }

    #[test]
    fn a_host_that_is_named_is_the_only_one_and_a_socket() {
        for host in ["unix:///x/y.sock", "/x/y.sock"] {
            let search = Search { host: Some(host.to_owned()), ..Search::default() };
            assert_eq!(search.sockets().unwrap(), [PathBuf::from("/x/y.sock")]);
        }
        for host in ["tcp://127.0.0.1:2375", "ssh://x", "npipe:////./pipe/x", "", "unix://x"] {
            let search = Search { host: Some(host.to_owned()), ..Search::default() };
            assert!(search.sockets().unwrap_err().hint().contains("Unix socket"), "{host}");
        }
    }

    #[tokio::test]
    async fn where_there_is_none_all_places_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let search =
            Search { host: Some(folder.path().join("none").display().to_string()), ..Search::default() };
        let error = Engine::find(&search).await.unwrap_err();
        assert!(error.to_string().contains("/none: No such file"), "{error}");
    }
}
