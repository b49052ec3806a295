//! The smallest entry with which a server would have seen what it used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::Entry;
use super::contact::Contact;
use super::observed::{Observed, Place, Sort, Trace, Use};
use crate::room::{Access, CellSpec, Grant};
use folders::{Wish, add_wholes, gather};

mod folders;
mod text;

/// What is proposed for a server's entry. Display gives the lines of `[servers.NAME]` in TOML, and behind them as comments
/// what was left out; nothing in them can be taken for more than text, whatever the server called its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    /// The lines.
    pub entry: Entry,
    /// What a person should know before using them.
    pub remarks: Vec<Remark>,
}

/// Something that was left out, or that asks for a second look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// What to know, for a person: `left out, since it belongs to the kernel; a cell has its own`.
    pub reason: String,
    /// What it is about.
    pub subject: String,
}

impl Remark {
    fn new(reason: impl Into<String>, subject: impl fmt::Display) -> Remark {
        Remark { reason: reason.into(), subject: subject.to_string() }
    }
}

/// Settings of this machine that programs look for, and do without where they are not: the beginnings of their paths.
const DISPENSABLE: [&str; 8] = [
    "/etc/locale.alias",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/inputrc",
    "/etc/bash.bashrc",
    "/etc/profile",
    "/etc/python3",
    "/etc/debian_version",
];

/// Files and folders that shells, editors, desktops and version control obey.
const OBEYED: [&str; 16] = [
    ".git",
    ".hg",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".envrc",
    ".vscode",
    ".idea",
    ".mcp.json",
    "autostart",
    "systemd",
    "fish",
    "bin",
];

/// Names of files that are secrets wherever they lie.
const SECRET_NAMES: [&str; 9] = [
    ".env",
    "credentials.json",
    "secrets.json",
    "secrets.toml",
    "secrets.yaml",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
];

/// The same by their endings.
const SECRET_ENDINGS: [&str; 5] = ["key", "p12", "pfx", "kdbx", "keystore"];

impl Observed {
    /// Works out what the server's entry should say. Looks at nothing but what was observed.
    pub fn propose(&self) -> Proposal {
        let (left_out, remarks) = Default::default();
        Draft { observed: self, entry: Entry::default(), left_out, remarks }.finish()
    }
}

struct Draft<'a> {
    observed: &'a Observed,
    entry: Entry,
    /// What is not proposed by itself, for what it was wanted, and what is to be said of it.
    left_out: BTreeMap<PathBuf, (Access, String)>,
    remarks: BTreeSet<Remark>,
}

impl Draft<'_> {
    fn finish(mut self) -> Proposal {
        self.keep_what_was_used();
        self.writes();
        self.runtime();
        self.reads();
        self.links();
        self.glimpses();
        self.network();
        self.say_what_was_left_out();
        if self.observed.sockets > 0 {
            let reason = "refused while it is watched, and in a cell of use only for what it started itself";
            self.remarks.insert(Remark::new(reason, "sockets with a name in the file system"));
        }
        if self.observed.overlooked > 0 {
            let what = format!("{} files", self.observed.overlooked);
            self.remarks.insert(Remark::new("could not be seen, or were too many to be kept", what));
        }
        for list in [&mut self.entry.read, &mut self.entry.write, &mut self.entry.runtime] {
            list.sort();
            list.dedup();
        }
        self.entry.network.sort();
        Proposal { entry: self.entry, remarks: self.remarks.into_iter().collect() }
    }

    /// Grants of the entry that were of use stay as they are.
    fn keep_what_was_used(&mut self) {
        let ground = &self.observed.ground;
        let lists = [(&ground.entry.read, Access::Read), (&ground.entry.write, Access::Write)];
        for (paths, access) in lists {
            for path in paths {
                let grant = Grant { path: path.clone(), access };
                let is_used = |used: &PathBuf| ground.grant(used).is_some_and(|found| *found == grant);
                let list = match access {
                    Access::Read => &mut self.entry.read,
                    Access::Write => &mut self.entry.write,
                };
                if self.observed.files.keys().any(is_used) {
                    list.push(path.clone());
                } else {
                    self.remarks.insert(Remark::new("granted, and not used this time", path.display()));
                }
            }
        }
        self.entry.runtime.clone_from(&ground.entry.runtime);
    }

    /// What it would have to be able to change.
    fn writes(&mut self) {
        let mut wishes = BTreeMap::new();
        for (path, trace) in &self.observed.files {
            let is_write = trace.uses.iter().any(|wanted| wanted.is_write());
            if !is_write || self.observed.ground.may_write(path) {
                continue;
            }
            if let Some(package) = folders::package(path) {
                let reason = "holds installed packages or their caches, which no server needs to change";
                self.left_out.insert(package.to_owned(), (Access::Write, reason.to_owned()));
                continue;
            }
            if trace.uses.contains(&Use::Write) && self.may_have(path, trace) {
                wishes.insert(path.clone(), Wish::of(&trace.sort));
            }
            if trace.uses.contains(&Use::Arrange) {
                let folder = match &trace.sort {
                    Sort::Absent { within } => within,
                    _ => path.parent().unwrap_or(path),
                };
                if self.observed.ground.may_write(folder) {
                    continue;
                }
                match self.refusal(folder) {
                    None => {
                        wishes.insert(folder.to_owned(), Wish::Folder);
                    }
                    Some(_) if trace.place == Place::Hidden => {
                        self.may_have(path, trace);
                    }
                    Some(reason) => {
                        let reason =
                            format!("lies in a folder that would have to be writable, and that {reason}");
                        self.left_out.insert(path.clone(), (Access::Write, reason));
                    }
                }
            }
        }
        let gathered = gather(wishes, |folder| self.refusal(folder).is_none());
        for path in gathered.keys().filter(|path| is_obeyed(path)) {
            let reason = "who may change it can have programs run outside of the cell";
            self.remarks.insert(Remark::new(reason, path.display()));
        }
        self.entry.write.extend(gathered.into_keys());
    }

    /// Installations that programs were executed from.
    fn runtime(&mut self) {
        let mut found = BTreeSet::new();
        // Environments of Python say so themselves (PEP 405).
        let files = self.observed.files.iter().filter(|(path, trace)| {
            path.ends_with("pyvenv.cfg") && trace.place != Place::Hidden && !self.has(path)
        });
        let environments = files.filter_map(|(path, _)| path.parent());
        found.extend(environments.filter(|folder| self.refusal(folder).is_none()).map(Path::to_owned));
        for path in self.observed.executed().filter(|path| !self.has(path)) {
            let Some(prefix) = path.parent().filter(|folder| folder.ends_with("bin")).and_then(Path::parent)
            else {
                continue;
            };
            let parts = ["lib", "lib64", "libexec", "share", "include"].map(|part| prefix.join(part));
            let is_part = |path: &PathBuf| parts.iter().any(|part| path.starts_with(part));
            if self.observed.files.keys().any(is_part) && self.refusal(prefix).is_none() {
                found.insert(prefix.to_owned());
            }
        }
        let all = found.clone();
        found.retain(|path| !all.iter().any(|other| other != path && path.starts_with(other)));
        self.entry.runtime.extend(found);
    }

    /// What it has to see besides.
    fn reads(&mut self) {
        let mut wishes = BTreeMap::new();
        for (path, trace) in &self.observed.files {
            let is_seen = trace.uses.iter().any(|wanted| !wanted.is_write());
            if is_seen && !is_glimpse(trace) && !self.has(path) && self.may_have(path, trace) {
                wishes.insert(path.clone(), Wish::of(&trace.sort));
            }
        }
        let allowed = |folder: &Path| self.refusal(folder).is_none();
        let gathered = gather(add_wholes(wishes, allowed), allowed);
        for path in gathered.keys() {
            let unseen = |trace: &Trace| trace.place == Place::Outside;
            if self.observed.files.get(path).is_some_and(unseen) {
                let reason = "not seen while it was watched; grant it and watch again";
                self.remarks.insert(Remark::new(reason, path.display()));
            }
        }
        self.entry.read.extend(gathered.into_keys());
    }

    /// Folders that it asked for and never listed. Above everything that a cell shows there are some anyway.
    fn glimpses(&mut self) {
        // The innermost first, since they lie on each other's way.
        for (path, trace) in self.observed.files.iter().rev().filter(|(_, trace)| is_glimpse(trace)) {
            if !self.leads_to_something(path) && !self.has(path) && self.may_have(path, trace) {
                self.remarks.insert(Remark::new("only asked for, never listed", path.display()));
                self.entry.read.push(path.clone());
            }
        }
    }

    /// Links are shown as links, by the list of what programs need.
    fn links(&mut self) {
        for link in &self.observed.links {
            let is_covered =
                self.entry.read.iter().chain(&self.entry.write).any(|path| link.starts_with(path));
            if is_covered || self.has(link) || self.observed.ground.hidden(link).is_some() {
                continue;
            }
            match CellSpec::fault(link) {
                None => self.entry.runtime.push(link.clone()),
                Some(fault) => {
                    self.left_out.insert(link.clone(), (Access::Read, format!("is a link and {fault}")));
                }
            }
        }
    }

    fn network(&mut self) {
        let contacts = &self.observed.contacts;
        let dialed = contacts.iter().filter_map(Contact::dialed).collect();
        for contact in contacts.iter().filter(|contact| !contact.is_told_by(&dialed)) {
            match contact.named(&self.observed.ground.entry.network) {
                Ok((destination, remark)) => {
                    self.remarks.extend(remark.map(|reason| Remark::new(reason, &destination)));
                    if !self.entry.network.contains(&destination) {
                        self.entry.network.push(destination);
                    }
                }
                Err(reason) => {
                    let reason = format!("left out, since {reason}");
                    self.remarks.insert(Remark::new(reason, contact.subject()));
                }
            }
        }
    }

    /// Some of it may lie in a folder that is proposed.
    fn say_what_was_left_out(&mut self) {
        for (path, (wanted, reason)) in std::mem::take(&mut self.left_out) {
            let may_write = || self.entry.write.iter().any(|folder| path.starts_with(folder));
            let is_covered = if wanted == Access::Write { may_write() } else { self.has(&path) };
            let reason = match is_covered {
                true => format!("lies in what is proposed, although it {reason}"),
                false => format!("left out, since it {reason}"),
            };
            self.remarks.insert(Remark::new(reason, path.display()));
        }
    }

    /// Whether the cell has it already, or gets it by what is proposed so far.
    fn has(&self, path: &Path) -> bool {
        let ground = &self.observed.ground;
        let proposed = self.entry.read.iter().chain(&self.entry.write).chain(&self.entry.runtime);
        ground.has(path)
            || ground.grant(path).is_some()
            || proposed.into_iter().any(|proposed| path.starts_with(proposed))
    }

    fn leads_to_something(&self, path: &Path) -> bool {
        let ground = &self.observed.ground;
        let proposed = self.entry.read.iter().chain(&self.entry.write).chain(&self.entry.runtime);
        let granted = ground.grants.iter().map(|grant| &grant.path);
        ground.provided.iter().chain(granted).chain(proposed).any(|shown| shown.starts_with(path))
    }

    /// Whether something single can be proposed; if not, the remark says why.
    fn may_have(&mut self, path: &Path, trace: &Trace) -> bool {
        let reason = match (trace.place, &trace.sort) {
            (Place::Hidden, _) => match self.observed.ground.hidden(path) {
                Some(hidden) => format!("is refused: {}", hidden.reason),
                None => "is refused".to_owned(),
            },
            (Place::Closed, _) => "may not be read by the server's user; give it to that user".to_owned(),
            (_, Sort::Other) => "is a socket, a device or a pipe, which leads to other programs".to_owned(),
            (_, Sort::Absent { .. }) => return false,
            (_, Sort::Folder) => match self.refusal(path) {
                Some(reason) => reason,
                None => return true,
            },
            (_, Sort::File) => match CellSpec::fault(path) {
                Some(fault) => fault.to_owned(),
                None if is_dispensable(path) => "is something that programs do without".to_owned(),
                None if is_secret(path) => "has the name of a secret".to_owned(),
                None => return true,
            },
        };
        self.left_out.insert(path.to_owned(), (Access::Read, reason));
        false
    }

    /// Why a whole folder is not proposed.
    fn refusal(&self, folder: &Path) -> Option<String> {
        if let Some(fault) = CellSpec::fault(folder) {
            return Some(fault.to_owned());
        }
        let ground = &self.observed.ground;
        let is_home = |home: &PathBuf| home.starts_with(folder);
        if ground.home.as_ref().is_some_and(is_home) || folder.parent() == Some(Path::new("/home")) {
            return Some("is a home; name what is needed inside of it".to_owned());
        }
        if folder.components().count() <= 2 {
            return Some("is too much; name what is needed inside of it".to_owned());
        }
        if let Some(hidden) = ground.hidden(folder) {
            return Some(format!("is refused: {}", hidden.reason));
        }
        let inside = ground.hidden.iter().find(|hidden| hidden.path.starts_with(folder))?;
        Some(format!("also holds {}", inside.reason))
    }
}

fn is_dispensable(path: &Path) -> bool {
    let text = path.to_str().unwrap_or_default();
    DISPENSABLE.iter().any(|start| text.starts_with(start))
}

/// Whether something may say what is run by whoever works with it.
fn is_obeyed(path: &Path) -> bool {
    path.iter().any(|part| part.to_str().is_some_and(|part| OBEYED.contains(&part)))
}

/// Whether a folder was asked for and no more.
fn is_glimpse(trace: &Trace) -> bool {
    trace.sort == Sort::Folder && trace.uses.iter().all(|wanted| *wanted == Use::Look)
}

/// Whether a file's name is that of a secret.
fn is_secret(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    SECRET_NAMES.contains(&name) || name.starts_with(".env.") || SECRET_ENDINGS.contains(&ending)
}

#[cfg(test)]
mod tests;
