//! The thread that is told of every file a server uses, and writes it down.
//!
//! It decides nothing: what a server may see is decided by what is mounted in its cell, and a name that is read here may
//! be another one by the time the kernel reads it. It only gives up a server of which it can see nothing.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::sync::watch;

use super::calls::{self, Call, Intent};
use super::notice::{Answer, Notice};
use super::observed::{Observed, Place, Sort, Use};
use super::sight::{self, Found, Last, Sight};

/// Programs whose parts are looked at, each once.
const PROGRAMS_MAX: usize = 1024;

/// What several sides write into.
#[derive(Debug, Clone)]
pub(super) struct Notebook(Arc<Mutex<Observed>>);

impl Notebook {
    pub(super) fn new(observed: Observed) -> Notebook {
        Notebook(Arc::new(Mutex::new(observed)))
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Observed> {
        // Nothing is left half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told what happens in a cell, from its first exec to its end.
#[derive(Debug)]
pub(crate) struct Observer {
    pub(super) notebook: Notebook,
    /// Whom servers run as on the host, when we are root and could look at files as they do.
    pub(super) account: Option<u32>,
    /// Dropped when there is nothing more to be told.
    pub(super) _present: watch::Sender<()>,
}

impl Observer {
    /// Begins to answer, on a thread of its own: looking at files may take as long as the disk likes.
    pub(crate) fn begin(self, listener: OwnedFd) -> Result<(), Errno> {
        let watcher = Watcher { listener, sight: None, programs: HashSet::new(), observer: self };
        let thread = std::thread::Builder::new().name("casemate-watcher".to_owned());
        thread.spawn(move || watcher.run()).map(drop).map_err(|_| Errno::AGAIN)
    }
}

struct Watcher {
    listener: OwnedFd,
    /// Known from the first call on.
    sight: Option<Sight>,
    programs: HashSet<PathBuf>,
    observer: Observer,
}

impl Watcher {
    fn run(mut self) {
        loop {
            match Notice::next(&self.listener) {
                Ok(Some(notice)) => {
                    let answer = self.hear(&notice);
                    notice.answer(&self.listener, answer);
                }
                Ok(None) => return,
                Err(errno) => {
                    // Nobody answers any more: whatever the server opens from now on does not exist (ENOSYS).
                    tracing::error!(%errno, "a server can no longer be watched");
                    return;
                }
            }
        }
    }

    fn hear(&mut self, notice: &Notice) -> Answer {
        let Some(call) = calls::find(notice.number) else { return Answer::Continue };
        if call.intent == Intent::Socket {
            self.observer.notebook.open().sockets += 1;
            return Answer::Refuse(Errno::ACCESS);
        }
        let is_first = self.sight.is_none();
        match self.look(notice, call) {
            Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOSYS)) if is_first => {
                self.sight = None;
                self.observer.notebook.open().blind = Some(errno);
                Answer::Refuse(Errno::PERM)
            }
            Err(_) => {
                self.observer.notebook.open().overlooked += 1;
                Answer::Continue
            }
            Ok(()) => Answer::Continue,
        }
    }

    /// Writes down what a call is about.
    fn look(&mut self, notice: &Notice, call: Call) -> Result<(), Errno> {
        let intent = Aim::of(notice, call.intent)?;
        let mut paths = Vec::new();
        for name in call.names {
            paths.extend(sight::named(notice, *name)?);
        }
        let program = sight::program(notice.thread).filter(|path| !self.programs.contains(path));
        let parts = program.as_ref().map(|_| sight::mapped(notice.thread)).unwrap_or_default();
        let sight = match self.sight.take() {
            Some(sight) => sight,
            None => {
                // What runs now is ours still, and about to execute the server's.
                self.programs.extend(program.clone());
                Sight::of(notice.thread, self.observer.account)?
            }
        };
        let sight = self.sight.insert(sight);
        if !notice.is_waiting(&self.listener) {
            return Ok(());
        }
        if let Some(program) = program.filter(|_| self.programs.len() < PROGRAMS_MAX)
            && self.programs.insert(program)
        {
            parts.iter().for_each(|part| note(&self.observer.notebook, sight, part, Aim::Execute));
        }
        paths.iter().for_each(|path| note(&self.observer.notebook, sight, path, intent));
        Ok(())
    }
}

/// What a call wants, with its flags taken into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Look,
    Read,
    Execute,
    /// Writes what is there.
    Write,
    /// The same, and makes it if it is not.
    Provide,
    /// Makes what is not there.
    Make,
    /// Removes what is there.
    Remove,
    Rename,
}

impl Aim {
    fn of(notice: &Notice, intent: Intent) -> Result<Aim, Errno> {
        let open = |flags: i32| match flags {
            _ if flags & libc::O_PATH != 0 => Aim::Look,
            _ if flags & libc::O_CREAT != 0 => Aim::Provide,
            _ if calls::writes(flags) => Aim::Write,
            _ => Aim::Read,
        };
        Ok(match intent {
            Intent::Open(flags) => open(notice.argument(flags) as i32),
            Intent::OpenHow(how) => open(notice.word(how)? as i32),
            Intent::Create => Aim::Provide,
            Intent::Execute => Aim::Execute,
            Intent::Look | Intent::Socket => Aim::Look,
            Intent::Alter => Aim::Write,
            Intent::Make => Aim::Make,
            Intent::Remove => Aim::Remove,
            Intent::Rename => Aim::Rename,
        })
    }

    /// What it comes to where the file exists.
    fn there(self) -> Use {
        match self {
            Aim::Look | Aim::Make => Use::Look,
            Aim::Read => Use::Read,
            Aim::Execute => Use::Execute,
            Aim::Write | Aim::Provide => Use::Write,
            Aim::Remove | Aim::Rename => Use::Arrange,
        }
    }

    /// What it comes to where there is nothing.
    fn nowhere(self) -> Option<Use> {
        matches!(self, Aim::Provide | Aim::Make | Aim::Rename).then_some(Use::Arrange)
    }
}

fn note(notebook: &Notebook, sight: &Sight, path: &Path, aim: Aim) {
    let last = match aim {
        Aim::Make | Aim::Remove | Aim::Rename => Last::Kept,
        _ => Last::Followed,
    };
    let found = sight.find(path, last);
    let links = match &found {
        Found::There { path: real, place: Place::Shown, .. } if *real != super::places::plain(path) => {
            sight.links(path)
        }
        _ => Default::default(),
    };
    let mut observed = notebook.open();
    match found {
        Found::There { path, sort, place } => {
            observed.note(path, (sort, place), aim.there());
            observed.note_links(links);
        }
        Found::Nowhere { path, within } => {
            if let Some(wanted) = aim.nowhere() {
                observed.note(path, (Sort::Absent { within }, Place::Shown), wanted);
            }
        }
    }
}
