//! Watching a server at work, to find out what it needs.
//!
//! ```text
//! Spawner::learn(Spec, LearnSpec) → (Cell, Lessons) → Observed → Proposal
//! ```
//!
//! A watched cell is a full cell that shows the host read-only, but for a list of places that no server gets to see
//! ([`LearnSpec::hidden`]) and for what every cell has of its own: `/tmp`, `/dev`, `/proc`, no `/run`. Mounts enforce
//! that. What the server does there casemate is told by the kernel, call by call (seccomp_unotify(2)), and writes down;
//! that part enforces nothing, so it does not matter that a server could show one name and use another. Sockets that can
//! have a name in the file system do not exist in a watched cell, since no mount keeps anybody from speaking to one.
//!
//! The network is what [`crate::CellSpec::network`] says, by name, and nothing where it says nothing: in either case the
//! cell has a doorway, and [`Lessons`] is a witness for whoever serves it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use casemate_net::{Attempt, Witness};
use tokio::sync::watch;

use crate::cell::Cell;
use crate::error::Error;
use crate::room::{self, CellSpec, Layer, Network, Profile, Refusal};
use crate::spawner::Spawner;
use crate::spec::Spec;
pub use contact::Contact;
use ground::Ground;
pub use observed::{Observed, Place, Sort, Trace, Use};
pub use places::Hidden;
pub use proposal::{Proposal, Remark};
use watcher::Notebook;
pub(crate) use watcher::Observer;

pub(crate) mod calls;
mod contact;
mod ground;
mod notice;
mod observed;
mod places;
mod proposal;
mod sight;
mod watcher;

/// What is to be kept from a watched server, and what its entry says already.
#[derive(Debug, Clone, Default)]
pub struct LearnSpec {
    /// What it does not get to see, besides `/run`, `/sys` and the host's `/tmp`, `/dev` and `/proc`. A place that is
    /// reached through links or by another mount of the same files is hidden there too.
    pub hidden: Vec<Hidden>,
    /// The home of whoever runs casemate, which is never proposed as a whole.
    pub home: Option<PathBuf>,
    /// What the server's entry grants. What of it was used comes back in the proposal; everything else that
    /// [`CellSpec`] grants is taken as given.
    pub entry: Entry,
}

impl LearnSpec {
    /// Hides what is known to be nobody's business: keys, credentials, keyrings, browsers, mail, assistants, histories,
    /// the homes of others, and the secrets of this machine. Casemate's own data has to be added. Looks at the disk.
    pub fn new(home: Option<&Path>) -> LearnSpec {
        LearnSpec { hidden: places::standard(home), home: home.map(Path::to_owned), entry: Entry::default() }
    }

    /// The same without one more place.
    #[must_use]
    pub fn hide(mut self, path: impl Into<PathBuf>, reason: &'static str) -> LearnSpec {
        self.hidden.push(Hidden { path: path.into(), reason: reason.into() });
        self
    }
}

/// The lines of a server's entry that say what it gets to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Files and folders to read.
    pub read: Vec<PathBuf>,
    /// Files and folders to change.
    pub write: Vec<PathBuf>,
    /// Where programs lie.
    pub runtime: Vec<PathBuf>,
    /// Whom to speak to: `api.github.com:443`.
    pub network: Vec<String>,
}

/// What is learned of one cell.
#[derive(Debug, Clone)]
pub struct Lessons {
    notebook: Notebook,
    present: watch::Receiver<()>,
}

impl Lessons {
    /// What was seen so far.
    pub fn so_far(&self) -> Observed {
        self.notebook.open().clone()
    }

    /// What was seen to the end, which this waits for. It comes with the end of the cell.
    pub async fn to_the_end(&self) -> Observed {
        let mut present = self.present.clone();
        while present.changed().await.is_ok() {}
        self.so_far()
    }
}

/// For whoever serves the cell's doorway: whom the server wanted to speak to.
impl Witness for Lessons {
    fn attempt(&self, attempt: &Attempt) {
        self.notebook.open().note_attempt(attempt);
    }
}

impl Spawner {
    /// Starts a program in a watched cell. Its specification must ask for a full one; a network that it does not ask for
    /// is one in which everything is refused and told. Errors and cancellation are those of [`Spawner::spawn`]; where
    /// the kernel does not let casemate look at the server, it is not started.
    pub async fn learn(&self, mut spec: Spec, learn: LearnSpec) -> Result<(Cell, Lessons), Error> {
        let program = spec.program.clone();
        let Some(cell) = &mut spec.cell else {
            let what = "only what has a cell can be watched";
            return Err(Error::Spec { program, what });
        };
        let hidden = places::everywhere(&learn.hidden);
        let ground = Ground::of(cell, &hidden, learn);
        cell.watched = Some(hidden.into_iter().map(|hidden| hidden.path).collect());
        if cell.network == Network::None && cell.profile == Profile::Standard {
            cell.network = Network::Ports([].into());
        }
        let account = (self.host().user == 0).then_some(cell.account);
        let notebook = Notebook::new(Observed::new(Arc::new(ground)));
        let (sender, present) = watch::channel(());
        let observer = Observer { notebook: notebook.clone(), account, _present: sender };
        let started = self.spawn_before(Some(observer), spec).await;
        let blind = notebook.open().blind;
        match (started, blind) {
            (_, Some(errno)) => Err(Error::NoCell { program, refusal: blindness(errno) }),
            (started, None) => Ok((started?, Lessons { notebook, present })),
        }
    }
}

/// Why nothing is learned where the kernel does not let us look.
fn blindness(errno: rustix::io::Errno) -> Refusal {
    Refusal {
        layer: Layer::Seccomp,
        reason: format!(
            "the memory of a server, where the names of files are, cannot be read: {}",
            std::io::Error::from(errno)
        ),
        remedy: "set kernel.yama.ptrace_scope to 2 or less and use a kernel with CONFIG_CROSS_MEMORY_ATTACH; in a \
                 container, allow process_vm_readv; or write the server's grants by hand",
    }
}

impl Ground {
    fn of(cell: &CellSpec, hidden: &[Hidden], learn: LearnSpec) -> Ground {
        Ground {
            provided: room::provided(cell),
            grants: cell.grants.clone(),
            hidden: hidden.to_vec(),
            home: learn.home,
            entry: learn.entry,
        }
    }
}
