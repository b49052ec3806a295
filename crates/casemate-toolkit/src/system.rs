//! The server `system`: how the processor, the memory, the disks and the network of this machine are doing.
//!
//! Everything comes from `/proc` and `statvfs`, so nothing is started and nothing is written. A cell has neither of the
//! host; there, [`FOLDER`] has what is needed, if casemate was allowed to put it there.

mod cpu;
mod disk;
mod health;
mod memory;
mod network;
mod procfs;
pub mod provider;
mod sample;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use casemate_mcp::json::Raw;
use thiserror::Error;

use crate::parameter::{Arguments, Kind, Parameter};
use crate::server::{Server, ToolFault};
use crate::tool::Tool;
use procfs::Procfs;

/// Where a cell has figures of its host: the files `stat`, `meminfo` and `loadavg` of its `/proc`, and the sockets
/// [`FILE_SYSTEMS`] and [`INTERFACES`], at which [`provider::serve`] tells the rest.
pub const FOLDER: &str = "/run/host-stats";

/// The socket that tells what file systems there are, and how full.
pub const FILE_SYSTEMS: &str = "file-systems";

/// The socket that tells what the network interfaces are doing.
pub const INTERFACES: &str = "interfaces";

/// How long figures that are rates are watched.
const INTERVAL: Parameter = Parameter {
    name: "interval_ms",
    description: "How long to watch before answering, in milliseconds. Longer is steadier.",
    kind: Kind::Whole { min: 50, max: 2000, default: 200 },
};

static TOOLS: [Tool; 5] = [cpu::TOOL, memory::TOOL, disk::TOOL, network::TOOL, health::TOOL];

/// The server `system`.
#[derive(Debug)]
pub struct System {
    procfs: Procfs,
}

impl System {
    /// The server for the machine that it runs on, in a cell or not.
    #[must_use]
    pub fn of_this_machine() -> System {
        let told = PathBuf::from(FOLDER);
        if told.is_dir() { System::told(told) } else { System::of(PathBuf::from("/proc")) }
    }

    /// The server for a folder that looks like `/proc`.
    #[must_use]
    pub fn of(folder: PathBuf) -> System {
        System { procfs: Procfs::Whole(folder) }
    }

    /// The server for a folder like the one of a cell.
    fn told(folder: PathBuf) -> System {
        System { procfs: Procfs::Told(folder) }
    }
}

impl Server for System {
    const NAME: &'static str = "system";
    const DESCRIPTION: &'static str = "Processor, memory, disks, network and health of this machine.";
    const INSTRUCTIONS: &'static str = "Read-only figures of the machine that this server runs on. Start with \
        health_check, which measures everything once and says which limits are exceeded; the other tools give the \
        details. Sizes are in bytes, shares in percent, rates per second.";

    fn tools(&self) -> &'static [Tool] {
        &TOOLS
    }

    async fn call(&self, tool: &'static Tool, arguments: Arguments) -> Result<Raw, ToolFault> {
        let procfs = &self.procfs;
        let outcome = match tool.name {
            cpu::NAME => cpu::stats(procfs, interval(&arguments)).await.map(|stats| Raw::of(&stats)),
            memory::NAME => memory::stats(procfs).map(|stats| Raw::of(&stats)),
            disk::NAME => disk::stats(procfs, &arguments).await.map(|stats| Raw::of(&stats)),
            network::NAME => network::stats(procfs, &arguments).await.map(|stats| Raw::of(&stats)),
            _ => health::check(procfs, &arguments).await.map(|health| Raw::of(&health)),
        };
        outcome.map_err(|fault| ToolFault(explained(&fault)))
    }
}

fn interval(arguments: &Arguments) -> Duration {
    Duration::from_millis(arguments.whole(&INTERVAL))
}

/// Why figures could not be had.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// A file of `/proc` could not be read.
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// A file of `/proc` is not written as we know it.
    #[error("{} is not written as expected", path.display())]
    Format { path: PathBuf },
    /// Casemate, outside of our cell, does not say.
    #[error("{}: casemate does not tell", path.display())]
    Untold { path: PathBuf },
    /// A file system, usually a remote one, keeps us waiting.
    #[error("a mounted file system does not answer; name another one with `path`")]
    Stalled,
    /// No file system or interface is the one that was asked for.
    #[error("{0}")]
    Unknown(String),
}

/// A fault with its causes, as one sentence for a model.
fn explained(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut cause = std::error::Error::source(fault);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
