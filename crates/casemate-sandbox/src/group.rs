//! The control groups of cells: made before a cell's first process, removed after its last.
//!
//! In each hierarchy, a casemate has a folder of its own in the group that it was started in, and in there one group for
//! each cell. The folder is locked for as long as casemate lives; one that is not is a crashed casemate's, and whoever
//! starts next removes it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::child::Gate;
use crate::room::{Cgroups, Controller, Hierarchy, Need, Version};

/// What the folders of casemates begin with.
const PREFIX: &str = "casemate-";

/// The group that casemate itself moves to in version 2, where a group that passes controllers on holds no processes.
const SELF: &str = "self";

/// The period in which processor time is shared out, in microseconds. The kernel's own default.
const CPU_PERIOD: u64 = 100_000;

/// How long removing a group that is still in use is put off: at first, and at most. A process that the kernel cannot
/// kill for now, as one that waits for a network file system, keeps its group.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(5));

/// What a cell gets of something that control groups limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// The step of the plan that this is.
    pub(crate) step: usize,
    pub(crate) need: Need,
    pub(crate) controller: Controller,
    pub(crate) most: u64,
}

/// What could not be limited, and the kernel's answer.
pub(crate) type Skipped = (Share, i32);

/// What happened in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events {
    /// Processes that the kernel has killed for want of memory.
    pub(crate) killed: u64,
    /// Processes and threads that were refused.
    pub(crate) refused: u64,
}

/// All groups of this casemate.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    places: Vec<Place>,
    /// Groups that were in use when they should have been removed.
    graves: Vec<Grave>,
    patience: Duration,
    /// What the next cell will have, made while nobody waits for it. Nothing before the first.
    spare: Option<Vec<Made>>,
    next: u64,
}

/// A group for a cell in one hierarchy, or why there is none.
type Made = Result<PathBuf, i32>;

/// A hierarchy, and our folder in it once it was needed, or why there is none.
#[derive(Debug)]
struct Place {
    hierarchy: Hierarchy,
    folder: Option<Result<Folder, i32>>,
}

/// The folder of this casemate in one hierarchy.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Held, not used.
    _lock: OwnedFd,
}

/// A group that nobody needs any more.
#[derive(Debug)]
struct Grave {
    path: PathBuf,
    /// The lock of the folder that it is or lies in, unless that is our own. For as long as it is held, nobody else removes
    /// what has this name, and nobody lives there.
    _lock: Option<Arc<OwnedFd>>,
}

/// The groups of one cell, one for each hierarchy.
#[derive(Debug)]
pub(crate) struct Group {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    version: Version,
    shares: Vec<Share>,
}

impl Groups {
    /// Removes what crashed casemates have left, and is ready to make groups. Makes none yet.
    pub(crate) fn new(cgroups: Cgroups) -> Groups {
        let mut groups = Groups::default();
        (groups.patience, groups.next) = (PATIENCE.0, 1);
        for hierarchy in cgroups.hierarchies {
            groups.sweep(&hierarchy.own);
            groups.places.push(Place { hierarchy, folder: None });
        }
        groups
    }

    /// Makes the groups of one cell, as far as that goes.
    pub(crate) fn make(&mut self, shares: &[Share]) -> (Group, Vec<Skipped>) {
        let mut group = Group { parts: Vec::new() };
        let mut skipped = Vec::new();
        // Somebody who respects no locks may have removed what was ready.
        let whole = |made: &Vec<Made>| made.iter().flatten().all(|path| path.exists());
        let made = self.spare.take().filter(whole).unwrap_or_else(|| self.found());
        for (place, made) in self.places.iter().zip(made) {
            let taken = |share: &&Share| place.hierarchy.controllers.contains(&share.controller);
            let shares: Vec<Share> = shares.iter().filter(taken).copied().collect();
            match made {
                Ok(path) => group.parts.push(Part::of(path, place.hierarchy.version, (shares, &mut skipped))),
                Err(errno) => skipped.extend(shares.iter().map(|share| (*share, errno))),
            }
        }
        (group, skipped)
    }

    /// Makes ready what the next cell will need, if there ever was one. To be called when nobody waits: the kernel takes its
    /// time for a group.
    pub(crate) fn prepare(&mut self) {
        if self.next > 1 && self.spare.is_none() {
            self.spare = Some(self.found());
        }
    }

    /// New groups of one name, in all hierarchies.
    fn found(&mut self) -> Vec<Made> {
        let name = self.next.to_string();
        self.next += 1;
        self.places.iter_mut().map(|place| place.found(&name)).collect()
    }

    /// Removes the groups of a cell that is gone.
    pub(crate) fn remove(&mut self, group: Option<Group>) {
        for part in group.into_iter().flat_map(|group| group.parts) {
            self.bury(Grave { path: part.path, _lock: None });
        }
    }

    /// Removes what was put off, and says when to call again, if anything is left.
    pub(crate) fn tidy(&mut self) -> Option<Duration> {
        if self.graves.is_empty() {
            return None;
        }
        self.patience = (self.patience * 2).min(PATIENCE.1);
        for grave in std::mem::take(&mut self.graves) {
            self.bury(grave);
        }
        (!self.graves.is_empty()).then_some(self.patience)
    }

    fn bury(&mut self, grave: Grave) {
        match std::fs::remove_dir(&grave.path) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                if self.graves.is_empty() {
                    self.patience = PATIENCE.0;
                }
                self.graves.push(grave);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(group = %grave.path.display(), %error, "a control group cannot be removed");
            }
            _ => {}
        }
    }

    /// Kills and removes what lies in folders that nobody has locked. Others may be doing the same.
    fn sweep(&mut self, own: &Path) {
        for folder in folders(own) {
            let named =
                folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
            if !named {
                continue;
            }
            // Held until all of it is gone. Whoever has made it a moment ago and not locked it yet will notice, and
            // make another one.
            let Ok(lock) = lock(&folder) else { continue };
            let lock = Some(Arc::new(lock));
            tracing::debug!(folder = %folder.display(), "removing the control groups of a casemate that is gone");
            // A casemate that has moved itself may have started one that outlives it.
            let own = folder.join(SELF);
            for group in folders(&folder).into_iter().filter(|group| *group != own) {
                kill_all(&group);
                self.bury(Grave { path: group, _lock: lock.clone() });
            }
            let _ = std::fs::remove_dir(&own);
            if !own.exists() {
                self.bury(Grave { path: folder, _lock: lock });
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for spare in self.spare.take().into_iter().flatten().flatten() {
            self.bury(Grave { path: spare, _lock: None });
        }
        self.tidy();
        for folder in self.places.drain(..).filter_map(|place| place.folder?.ok()) {
            // In version 2 we are in it ourselves; then the next one removes it.
            let _ = std::fs::remove_dir(folder.path);
        }
    }
}

impl Folder {
    /// Makes our folder in a hierarchy. Its name is ours alone, although process ids are not.
    fn make(hierarchy: &Hierarchy) -> io::Result<Folder> {
        for number in 0..u32::MAX {
            let path = hierarchy.own.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            // Somebody who removes leftovers may have been faster.
            let Ok(lock) = lock(&path) else { continue };
            let folder = Folder { path, _lock: lock };
            if hierarchy.version == Version::Two && !hierarchy.controllers.is_empty() {
                folder.pass_on(hierarchy).inspect_err(|_| drop(std::fs::remove_dir(&folder.path)))?;
            }
            return Ok(folder);
        }
        Err(Errno::EXIST.into())
    }

    /// Makes the controllers available to cells. For that, everybody has to leave the group above, us included.
    fn pass_on(&self, hierarchy: &Hierarchy) -> io::Result<()> {
        let names = hierarchy.controllers.iter().map(|controller| format!("+{} ", controller.as_str()));
        let names: String = names.collect();
        let at_once = write(&hierarchy.own.join("cgroup.subtree_control"), &names);
        if at_once.is_err() {
            let leaf = self.path.join(SELF);
            std::fs::create_dir(&leaf)?;
            for process in std::fs::read_to_string(hierarchy.own.join("cgroup.procs"))?.lines() {
                // One that has ended meanwhile needs no moving.
                let _ = write(&leaf.join("cgroup.procs"), process);
            }
            write(&hierarchy.own.join("cgroup.subtree_control"), &names)?;
        }
        write(&self.path.join("cgroup.subtree_control"), &names)
    }
}

impl Place {
    fn found(&mut self, name: &str) -> Made {
        match self.group(name) {
            // The same for our folder, so there is none of ours to be confused with.
            Err(libc::ENOENT) => {
                self.folder = None;
                self.group(name)
            }
            made => made,
        }
    }

    /// Makes a group, and before the first one our folder.
    fn group(&mut self, name: &str) -> Made {
        let make = || Folder::make(&self.hierarchy).map_err(|error| number(&error));
        let folder = self.folder.get_or_insert_with(make).as_ref().map_err(|errno| *errno)?;
        let path = folder.path.join(name);
        std::fs::create_dir(&path).map_err(|error| number(&error))?;
        Ok(path)
    }
}

impl Part {
    /// A new group, with those limits that the kernel takes.
    fn of(path: PathBuf, version: Version, (mut shares, skipped): (Vec<Share>, &mut Vec<Skipped>)) -> Part {
        shares.retain(|share| match share.impose(version, &path) {
            Ok(()) => true,
            Err(error) => {
                skipped.push((*share, number(&error)));
                false
            }
        });
        Part { path, version, shares }
    }

    fn gate(&self) -> Result<Gate, Errno> {
        let open = |path: &Path, flags| rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty());
        match self.version {
            Version::One => open(&self.path.join("tasks"), OFlags::WRONLY).map(Gate::Tasks),
            Version::Two => open(&self.path, OFlags::PATH | OFlags::DIRECTORY).map(Gate::Folder),
        }
    }

    fn skipped(&self, errno: Errno) -> impl Iterator<Item = Skipped> {
        self.shares.iter().map(move |share| (*share, errno.raw_os_error()))
    }
}

impl Share {
    /// Writes the limit down in a new group.
    fn impose(&self, version: Version, group: &Path) -> io::Result<()> {
        let put = |file: &str, value: &str| write(&group.join(file), value);
        let most = self.most.to_string();
        match (self.controller, version) {
            (Controller::Memory, Version::One) => {
                put("memory.limit_in_bytes", &most)?;
                // Where swap is counted, it counts as memory.
                unless_missing(put("memory.memsw.limit_in_bytes", &most))
            }
            (Controller::Memory, Version::Two) => {
                put("memory.max", &most)?;
                unless_missing(put("memory.swap.max", "0"))
            }
            (Controller::Processes, _) => put("pids.max", &most),
            (Controller::Cpu, Version::One) => {
                put("cpu.cfs_period_us", &CPU_PERIOD.to_string())?;
                put("cpu.cfs_quota_us", &self.quota())
            }
            (Controller::Cpu, Version::Two) => put("cpu.max", &format!("{} {CPU_PERIOD}", self.quota())),
        }
    }

    /// The microseconds of a period that thousandths of a processor are. The kernel takes no less than 1000.
    fn quota(&self) -> String {
        (self.most * CPU_PERIOD / 1000).max(1000).to_string()
    }
}

impl Group {
    /// The ways in, to be passed by a cell's first process. A group without one is out of reach.
    pub(crate) fn gates(&mut self) -> (Vec<Gate>, Vec<Skipped>) {
        let (mut gates, mut skipped) = (Vec::new(), Vec::new());
        self.parts.retain(|part| match part.gate() {
            Ok(gate) => {
                gates.push(gate);
                true
            }
            Err(errno) => {
                skipped.extend(part.skipped(errno));
                let _ = std::fs::remove_dir(&part.path);
                false
            }
        });
        (gates, skipped)
    }

    /// What becomes of gates that were shut.
    pub(crate) fn shut<'g>(&'g self, shut: &'g [(usize, Errno)]) -> impl Iterator<Item = Skipped> + 'g {
        shut.iter().filter_map(|(place, errno)| Some(self.parts.get(*place)?.skipped(*errno))).flatten()
    }

    /// Ends everything in it: the second way to that end, for when the first process is in no state to see to it.
    pub(crate) fn kill(&self) {
        self.parts.iter().for_each(|part| kill_all(&part.path));
    }

    /// What has happened in it so far.
    pub(crate) fn events(&self) -> Events {
        let mut events = Events::default();
        for part in &self.parts {
            let count = |file: &str, name: &str| {
                let text = std::fs::read_to_string(part.path.join(file)).unwrap_or_default();
                let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
                lines.next().unwrap_or(0_u64)
            };
            for share in &part.shares {
                match (share.controller, part.version) {
                    (Controller::Memory, Version::One) => {
                        events.killed += count("memory.oom_control", "oom_kill ")
                    }
                    (Controller::Memory, Version::Two) => {
                        events.killed += count("memory.events", "oom_kill ")
                    }
                    (Controller::Processes, _) => events.refused += count("pids.events", "max "),
                    (Controller::Cpu, _) => {}
                }
            }
        }
        events
    }
}

/// The group that a casemate was started in, when a path is the group that it has moved itself to.
pub(crate) fn above_our_own(path: PathBuf) -> PathBuf {
    let folder = path.parent().filter(|_| path.ends_with(SELF));
    let ours = |folder: &&Path| {
        folder.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
    };
    match folder.filter(ours).and_then(Path::parent) {
        Some(above) => above.to_owned(),
        None => path,
    }
}

/// Locks a folder, unless somebody has or it is gone.
fn lock(folder: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    flock(&opened, FlockOperation::NonBlockingLockExclusive)?;
    let held = rustix::fs::fstat(&opened)?.st_ino;
    match std::fs::metadata(folder) {
        Ok(there) if there.ino() == held => Ok(opened),
        _ => Err(Errno::NOENT),
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Kills every process in a group: at once where the kernel can, else one by one, but for those that have no number
/// here.
fn kill_all(group: &Path) {
    if write(&group.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = rustix::process::kill_process(process, Signal::KILL);
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut File::options().write(true).open(file)?, text.as_bytes())
}

fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

#[cfg(test)]
mod tests;
