//! The machine that a benchmark runs on: cores, and what `/proc` says about a process.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{clock, environment, process};

/// Clock ticks per second in `/proc/PID/stat`; Linux has shown 100 to programs on every architecture for
/// decades, whatever its own tick is.
const TICKS: f64 = 100.0;

/// A core that something is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Core {
    /// The generator and the upstream server.
    Load,
    /// The gateway, and what it starts.
    Gateway,
}

impl Core {
    fn number(self) -> &'static str {
        match self {
            Core::Load => "0",
            Core::Gateway => "1",
        }
    }

    /// A command that runs a program on this core alone.
    pub(crate) fn command(self, program: &std::path::Path) -> Command {
        let mut command = process::command("taskset");
        command.args(["-c", self.number()]).arg(program);
        command
    }

    /// Binds this process; threads that it starts later are bound too.
    pub(crate) fn bind(self) -> Result<()> {
        let own = std::process::id().to_string();
        process::capture(process::command("taskset").args(["-c", "-p", self.number(), &own]))
            .map(drop)
            .context("benchmarks bind what they measure to a core with taskset, of util-linux")
    }
}

/// Seconds of processor time that a process and all its descendants have used so far.
pub(crate) fn cpu_seconds(root: u32) -> Result<f64> {
    let mut parents = BTreeMap::new();
    let mut ticks = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that ended meanwhile has nothing to tell.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some((parent, used)) = parse_stat(&stat) {
            parents.insert(pid, parent);
            ticks.insert(pid, used);
        }
    }
    let descends = |pid: u32| {
        let mut at = pid;
        while at != root {
            match parents.get(&at) {
                Some(parent) if *parent != 0 => at = *parent,
                _ => return false,
            }
        }
        true
    };
    Ok(ticks.iter().filter(|(pid, _)| descends(**pid)).map(|(_, used)| used).sum::<f64>() / TICKS)
}

/// Bytes of memory that a process occupies itself, without its descendants.
pub(crate) fn resident_bytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in its status")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib * 1024.0)
}

/// How many files, sockets and pipes a process has open.
pub(crate) fn open_descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd")).context("the process is gone")?.count())
}

/// One line that says where and when the numbers were taken.
pub(crate) fn described() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unnamed processor");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    // Not what is left to this process after it was bound.
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut git = process::command("git");
    let commit =
        process::capture(git.current_dir(environment::root()).args(["describe", "--always", "--dirty"]))?;
    let (kernel, commit, date) = (kernel.trim(), commit.trim(), clock::today());
    Ok(format!("{date}, commit {commit}, {model}, {cores} cores, Linux {kernel}"))
}

/// The parent and the ticks used (user and system) of a line of `/proc/PID/stat`.
fn parse_stat(stat: &str) -> Option<(u32, f64)> {
    // The name stands in brackets and may itself hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, number(11)? + number(12)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_name_does_not_confuse() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(parse_stat(line), Some((3, 300.0)));
    }

    #[test]
    fn this_process_has_used_time_and_memory() {
        assert!(cpu_seconds(std::process::id()).expect("readable") >= 0.0);
        assert!(resident_bytes(std::process::id()).expect("readable") > 100_000.0);
    }
}
