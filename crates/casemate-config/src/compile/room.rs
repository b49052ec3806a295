//! `[servers.NAME]`: what stands between a server and the host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use casemate_gateway::snapshot::{Enclosure, Room};
use casemate_mcp::names::ServerName;
use casemate_net::Policy;
use casemate_sandbox::{Kind, Limits};
use sha2::{Digest, Sha256};

use super::Compiler;
use crate::problem::Fault;
use crate::reader::Scope;

/// What says something about a cell, and so contradicts that there is none.
const CELL_KEYS: [&str; 13] = [
    "cell",
    "read",
    "write",
    "runtime",
    "network",
    "host_stats",
    "install_scripts",
    "limits.memory",
    "limits.cpu",
    "limits.processes",
    "limits.open_files",
    "limits.file_size",
    "limits.tmp_size",
];

/// The first of the user ids that servers have when root starts them: in a range that neither distributions nor systemd's
/// services and containers use (<https://systemd.io/UIDS-GIDS/>).
const ACCOUNT_FIRST: u32 = 0x7000_0000;
/// How many there are.
const ACCOUNTS: u32 = 1 << 24;

/// An account for each server. It follows from the name, so that files which a server wrote stay its own; two names that
/// meet in one number are told apart in their order.
pub(super) fn accounts<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, u32> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let mut taken = BTreeSet::new();
    let account = |name: &'a str| {
        let hash = Sha256::digest(name.as_bytes());
        let mut number = hash.iter().take(3).fold(0, |number, byte| number << 8 | u32::from(*byte));
        while !taken.insert(number) {
            number = (number + 1) % ACCOUNTS;
        }
        (name, ACCOUNT_FIRST + number)
    };
    names.into_iter().map(account).collect()
}

impl<'a> Compiler<'a> {
    /// What stands between a program and the host; `host_stats` is whether it sees figures of the host unless the entry
    /// says otherwise.
    pub(super) fn enclosure(
        &mut self,
        name: &ServerName,
        at: &Scope<'a>,
        host_stats: HostStats,
    ) -> Enclosure {
        if at.switch("allow_unsandboxed") != Some(true) {
            return Enclosure::Cell(self.room(name, at, host_stats));
        }
        for key in CELL_KEYS {
            if at.entry(key).is_some() {
                let what = format!(
                    "`{key}` in [{}] says how a cell is, and allow_unsandboxed = true that there is none",
                    at.key
                );
                self.refuse(at.origin_of(key), Fault::new(what).hint("keep one of them"));
            }
        }
        Enclosure::Unsandboxed
    }

    /// What a server gets to see and may use.
    pub(super) fn room(&mut self, name: &ServerName, at: &Scope<'a>, host_stats: HostStats) -> Room {
        let kind = match at.text("cell") {
            Some("light") => Kind::Light,
            _ => Kind::Full,
        };
        if kind == Kind::Light && at.entry("limits.tmp_size").is_some() {
            let what = format!("`limits.tmp_size` in [{}] limits the /tmp of a full cell", at.key);
            let hint = "remove it, or cell = \"light\"";
            self.refuse(at.origin_of("limits.tmp_size"), Fault::new(what).hint(hint));
        }
        self.refuse_twice(at);
        let network = self.network(at, kind);
        let default = Limits::default();
        let small = |key: &str| at.count(key).and_then(|count| u32::try_from(count).ok());
        Room {
            kind,
            read: paths(at, "read"),
            write: paths(at, "write"),
            runtime: paths(at, "runtime"),
            network,
            limits: Limits {
                memory_bytes: at.count("limits.memory").unwrap_or(default.memory_bytes),
                cpu_millis: small("limits.cpu").unwrap_or(default.cpu_millis),
                processes: small("limits.processes").unwrap_or(default.processes),
                open_files: small("limits.open_files").unwrap_or(default.open_files),
                file_bytes: at.count("limits.file_size").unwrap_or(default.file_bytes),
                tmp_bytes: at.count("limits.tmp_size").unwrap_or(default.tmp_bytes),
                ..default
            },
            host_stats: at.switch("host_stats").unwrap_or(host_stats == HostStats::Shown),
            account: self.accounts.get(name.as_str()).copied().unwrap_or(ACCOUNT_FIRST),
        }
    }

    /// What it may reach.
    fn network(&mut self, at: &Scope<'a>, kind: Kind) -> Policy {
        // What could not be read was reported where it stands.
        let texts = at.texts("network").unwrap_or_default();
        let policy = Policy::new(texts.iter().filter_map(|text| text.parse().ok()));
        if kind == Kind::Light && !policy.is_empty() {
            let what = format!("[{}] grants a network, and a light cell has none", at.key);
            let hint = "remove `network`, or cell = \"light\" on a host that can make full cells";
            self.refuse(at.origin_of("network"), Fault::new(what).hint(hint));
        }
        policy
    }

    /// A path that is both for reading and for writing is a slip of which nobody can tell what was meant.
    fn refuse_twice(&mut self, at: &Scope<'a>) {
        let written = at.texts("write").unwrap_or_default();
        for read in at.words("read").unwrap_or_default() {
            if written.contains(&read.text) {
                let what = format!("{} is granted in [{}] for reading and for writing", read.text, at.key);
                let hint = "what may be written may be read as well: keep it in `write` alone, or in `read`";
                self.refuse(read.origin.clone(), Fault::new(what).hint(hint));
            }
        }
    }

    /// The folder that a program starts in. No link is followed when it is shown, so `..` may be taken literally.
    pub(super) fn cwd(&self, at: &Scope<'a>) -> Option<PathBuf> {
        let mut plain = PathBuf::new();
        for part in self.folder.join(at.text("cwd")?).components() {
            match part {
                Component::ParentDir => drop(plain.pop()),
                Component::CurDir => {}
                part => plain.push(part),
            }
        }
        Some(plain)
    }
}

/// Whether a server sees figures of the host unless its entry says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostStats {
    Shown,
    Hidden,
}

fn paths(at: &Scope<'_>, key: &str) -> Vec<PathBuf> {
    at.texts(key).unwrap_or_default().iter().map(|text| Path::new(text).to_owned()).collect()
}

#[cfg(test)]
mod tests;
