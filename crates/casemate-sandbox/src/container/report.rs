//! What is in force around a container: what the engine says it made, held against what it was asked for.

use std::fmt;

use serde_json::Value;

use super::about::About;
use crate::room::{Absent, Layer};

/// The user and group that a server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) user: u32,
    pub(super) group: u32,
}

/// What is in force around a server in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerReport {
    /// The engine, with its version.
    pub engine: String,
    /// The id of the image.
    pub image: String,
    /// The user id in the container.
    pub user: u32,
    /// The group id in the container.
    pub group: u32,
    /// The layers that are wholly in force.
    pub layers: Vec<Layer>,
    /// The layers that are not, or not wholly.
    pub absent: Vec<Absent>,
}

/// For each layer the settings that make it, as an engine repeats them when it is asked about a container.
pub(super) const MADE_OF: [(Layer, &[&str]); 20] = [
    (Layer::Identity, &["/Config/User"]),
    (Layer::Files, &["/HostConfig/Privileged"]),
    (Layer::ReadOnly, &["/HostConfig/ReadonlyRootfs"]),
    (Layer::Processes, &["/HostConfig/PidMode", "/HostConfig/Init"]),
    (Layer::ProcView, &["/HostConfig/MaskedPaths", "/HostConfig/ReadonlyPaths"]),
    (Layer::Network, &["/HostConfig/NetworkMode", "/HostConfig/PublishAllPorts"]),
    (Layer::Ipc, &["/HostConfig/IpcMode"]),
    (Layer::Hostname, &["/HostConfig/UTSMode", "/Config/Hostname"]),
    (Layer::CgroupView, &["/HostConfig/CgroupnsMode"]),
    (Layer::Capabilities, &["/HostConfig/CapDrop", "/HostConfig/CapAdd", "/HostConfig/Privileged"]),
    (Layer::NoNewPrivileges, &["/HostConfig/SecurityOpt/0"]),
    (Layer::Seccomp, &["/HostConfig/SecurityOpt/1"]),
    (Layer::Memory, &["/HostConfig/Memory"]),
    (Layer::CellMemory, &["/HostConfig/Memory"]),
    (Layer::Tasks, &["/HostConfig/PidsLimit"]),
    (Layer::CellTasks, &["/HostConfig/PidsLimit"]),
    (Layer::Cpu, &["/HostConfig/NanoCpus"]),
    (Layer::OpenFiles, &["/HostConfig/Ulimits/0"]),
    (Layer::FileSize, &["/HostConfig/Ulimits/1"]),
    (Layer::Tmp, &["/HostConfig/Tmpfs"]),
];

/// The layers that no container has, and why.
pub const ABSENT: [(Layer, &str); 3] = [
    (Layer::Landlock, "an engine sets up none"),
    (Layer::Nesting, "only the filter forbids user namespaces"),
    (Layer::Guard, "the first process is the engine's, and nothing guards it from the server"),
];

impl ContainerReport {
    /// Compares what was asked for with what the engine has made of it (`GET /containers/{id}/json`).
    pub(super) fn of(asked: &Value, found: &Value, ids: Ids, about: &About) -> ContainerReport {
        let mut report = ContainerReport {
            engine: about.name.clone(),
            image: found.get("Image").and_then(Value::as_str).unwrap_or_default().to_owned(),
            user: ids.user,
            group: ids.group,
            layers: Vec::new(),
            absent: Vec::new(),
        };
        for (layer, settings) in MADE_OF {
            let differs = settings.iter().find(|setting| !same(asked, found, setting));
            match differs {
                Some(setting) => report.lacks(layer, format!("the engine made something else of {setting}")),
                None if layer == Layer::Files && !mounts_are_those(asked, found) => {
                    report.lacks(layer, "the engine mounted something else".to_owned());
                }
                None => report.layers.push(layer),
            }
        }
        report
    }

    /// A layer that should be in force and is not.
    pub(super) fn missing(&self) -> Option<&Absent> {
        self.absent.first()
    }

    /// The same with what no container has.
    pub(super) fn complete(mut self, about: &About) -> ContainerReport {
        ABSENT.into_iter().for_each(|(layer, reason)| self.lacks(layer, reason.to_owned()));
        if !about.counts_swap {
            self.lacks(Layer::CellMemory, "this kernel does not count swap".to_owned());
        }
        if !about.limits_cpu {
            self.lacks(Layer::Cpu, "this engine cannot limit it".to_owned());
        }
        if !about.limits_files() {
            self.lacks(Layer::Tmp, "this engine does not limit the number of files".to_owned());
        }
        self
    }

    fn lacks(&mut self, layer: Layer, reason: String) {
        self.layers.retain(|whole| *whole != layer);
        self.absent.push(Absent { layer, reason });
    }
}

impl fmt::Display for ContainerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<_> = self.layers.iter().map(|layer| layer.as_str()).collect();
        write!(f, "container of {} as user {}: {}", self.engine, self.user, layers.join(", "))?;
        self.absent.iter().try_for_each(|Absent { layer, reason }| write!(f, "; without {layer} ({reason})"))
    }
}

/// Whether the engine repeats a setting. Nothing, nothing in it, zero and no are the same to it.
fn same(asked: &Value, found: &Value, setting: &str) -> bool {
    let asked = asked.pointer(setting.strip_prefix("/Config").unwrap_or(setting));
    // A container that shares a network has the name of the one that made it.
    if setting == "/Config/Hostname" && asked.is_none() {
        return true;
    }
    match (asked, found.pointer(setting)) {
        (Some(asked), Some(found)) => asked == found || (is_nothing(asked) && is_nothing(found)),
        (Some(one), None) | (None, Some(one)) => is_nothing(one),
        (None, None) => true,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Whether everything that is mounted was asked for, and in this way.
fn mounts_are_those(asked: &Value, found: &Value) -> bool {
    let list = |value: &Value, pointer| {
        value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let asked = list(asked, "/HostConfig/Mounts");
    list(found, "/Mounts").iter().all(|mount| {
        asked.iter().any(|wanted| {
            let read_only = wanted.get("ReadOnly").and_then(Value::as_bool).unwrap_or(false);
            wanted.get("Type") == mount.get("Type")
                && wanted.get("Target") == mount.get("Destination")
                && mount.get("RW") == Some(&Value::Bool(!read_only))
                && (wanted.get("Source").is_none() || wanted.get("Source") == mount.get("Source"))
        })
    })
}
