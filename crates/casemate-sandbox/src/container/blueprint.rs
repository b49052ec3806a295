//! What the engine is asked to make: all protections that it has, written out, so that none depends on its defaults.

use std::collections::BTreeSet;
use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::about::About;
use super::image::Image;
use super::report::Ids;
use super::spec::ImageSpec;
use crate::room::{Access, CellSpec, Limits};

/// Where a container may always write. Programs may be executed there, as in a cell: runtimes unpack their libraries
/// into it, and whoever can write a file can have it interpreted anyway.
const SCRATCH: [&str; 2] = ["/tmp", "/dev/shm"];

/// Where programs look up who answers for names.
const RESOLVER: &str = "/etc/resolv.conf";

/// What of the kernel's own files is covered by something empty: an engine's usual list, and all that a native cell does
/// not have either, short of what runtimes learn their limits from (`/sys/fs/cgroup`, `/proc/meminfo`, `/proc/cpuinfo`).
const MASKED: [&str; 30] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/driver",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/irq",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/block",
    "/sys/bus",
    "/sys/class",
    "/sys/dev",
    "/sys/firmware",
    "/sys/hypervisor",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
];

/// What is left of it and could be written to by root, of whom there is none.
const READ_ONLY: [&str; 1] = ["/proc/pressure"];

/// A request for a container (`POST /containers/create`).
#[derive(Debug)]
pub(super) struct Blueprint {
    /// What is asked for. It contains the values of the environment.
    pub(super) body: Secretive,
    pub(super) ids: Ids,
}

/// What is the same for all containers of an engine, but for the labels.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) about: &'a About,
    /// The filter of system calls.
    pub(super) filter: &'a str,
    pub(super) labels: Value,
    /// The file that says where names are answered, for a server with a network.
    pub(super) names: Option<PathBuf>,
}

/// A body that Debug does not show.
pub(super) struct Secretive(pub(super) Value);

impl std::fmt::Debug for Secretive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secretive(…)")
    }
}

/// Works out the request. Touches nothing.
pub(super) fn draft(spec: &ImageSpec, image: &Image, surroundings: &Surroundings<'_>) -> Blueprint {
    let ids = ids(spec, image);
    let mut body = json!({
        // By its id: what was looked at is what is started.
        "Image": image.id,
        "User": format!("{}:{}", ids.user, ids.group),
        "Env": environment(spec),
        "Labels": surroundings.labels,
        "Hostname": "cell",
        "Tty": false,
        "OpenStdin": true,
        // Our end of its standard input is the only one, also when we die.
        "StdinOnce": true,
        "AttachStdin": true,
        "AttachStdout": true,
        "AttachStderr": true,
        // An image's own check would run beside the server, unasked.
        "Healthcheck": { "Test": ["NONE"] },
        "HostConfig": host_config(spec, image, surroundings),
    });
    let optional = [
        ("Entrypoint", spec.command.as_ref().map(|command| json!(command))),
        ("Cmd", (spec.command.is_some() || !spec.args.is_empty()).then(|| json!(spec.args))),
        ("WorkingDir", spec.cwd.as_ref().map(|cwd| json!(cwd))),
    ];
    for (key, value) in optional {
        if let (Some(body), Some(value)) = (body.as_object_mut(), value) {
            body.insert(key.to_owned(), value);
        }
    }
    Blueprint { body: Secretive(body), ids }
}

fn host_config(spec: &ImageSpec, image: &Image, surroundings: &Surroundings<'_>) -> Value {
    let Limits { memory_bytes, cpu_millis, processes, .. } = spec.limits;
    let about = surroundings.about;
    json!({
        "Privileged": false,
        "ReadonlyRootfs": true,
        "CapAdd": [],
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", surroundings.filter],
        "NetworkMode": "none",
        "PublishAllPorts": false,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "MaskedPaths": MASKED,
        "ReadonlyPaths": READ_ONLY,
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        // The first process is the engine's own: it collects orphans, and makes signals work that a server does not
        // handle.
        "Init": true,
        "Memory": memory_bytes,
        // Together with swap, of which there is none then.
        "MemorySwap": if about.counts_swap { json!(memory_bytes) } else { Value::Null },
        // In billionths of a processor. An engine that cannot limit it refuses to be asked.
        "NanoCpus": if about.limits_cpu { json!(u64::from(cpu_millis) * 1_000_000) } else { Value::Null },
        "PidsLimit": processes,
        "Ulimits": ulimits(&spec.limits),
        "Tmpfs": scratch(&spec.limits, about),
        "Mounts": mounts(spec, image, surroundings),
        // What it says goes to us alone; the engine would otherwise write all of it to its disk.
        "LogConfig": { "Type": "none" },
        "RestartPolicy": { "Name": "no" },
        // Removed by us, after the question why it ended.
        "AutoRemove": false,
    })
}

/// Numbers that are not root's. The group is always named: an engine adds the groups that the image's own files list
/// for a user otherwise, and the group 0 for a user that they do not know.
fn ids(spec: &ImageSpec, image: &Image) -> Ids {
    let (user, group) = image.config.user.split_once(':').unwrap_or((&image.config.user, ""));
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != 0);
    match (spec.user, number(user)) {
        (Some(user), _) => Ids { user, group: user },
        (None, Some(user)) => Ids { user, group: number(group).unwrap_or(user) },
        // A name tells nothing: the image says which number it stands for.
        (None, None) => Ids { user: CellSpec::NOBODY, group: CellSpec::NOBODY },
    }
}

/// What was named. What is not said of the home folder is that it is the one place to write to, as in a cell.
fn environment(spec: &ImageSpec) -> Vec<String> {
    let named = |wanted: &str| spec.env.iter().any(|(name, _)| name == wanted);
    let home = ["HOME", "TMPDIR"].into_iter().filter(|name| !named(name)).map(|name| format!("{name}=/tmp"));
    let env = spec.env.iter().map(|(name, value)| format!("{name}={}", value.expose_secret()));
    home.chain(env).collect()
}

fn ulimits(limits: &Limits) -> Value {
    let of = |name: &str, value: u64| json!({ "Name": name, "Soft": value, "Hard": value });
    json!([of("nofile", limits.open_files.into()), of("fsize", limits.file_bytes), of("core", 0)])
}

fn scratch(limits: &Limits, about: &About) -> Map<String, Value> {
    let mut options = format!("rw,nosuid,nodev,exec,size={},mode=1777", limits.tmp_bytes);
    if about.limits_files() {
        options.push_str(&format!(",nr_inodes={}", limits.tmp_files));
    }
    SCRATCH.into_iter().map(|path| (path.to_owned(), json!(options))).collect()
}

/// What is granted, and something that goes away for each folder that the image would have the engine keep on its disk,
/// without a limit.
fn mounts(spec: &ImageSpec, image: &Image, surroundings: &Surroundings<'_>) -> Vec<Value> {
    let mut mounts: Vec<Value> = Vec::new();
    let mut taken: BTreeSet<&str> = SCRATCH.into();
    for grant in &spec.grants {
        // Grants that are no UTF-8 have been refused.
        let path = grant.path.to_str().unwrap_or_default();
        taken.insert(path);
        let read_only = grant.access == Access::Read;
        mounts.push(json!({
            "Type": "bind",
            "Source": path,
            "Target": path,
            "ReadOnly": read_only,
            // What is mounted inside stays out: engines before Docker 25 leave it writable.
            "BindOptions": { "Propagation": "rprivate", "NonRecursive": read_only },
        }));
    }
    if let Some(names) = &surroundings.names {
        mounts.push(json!({ "Type": "bind", "Source": names, "Target": RESOLVER, "ReadOnly": true }));
    }
    let volumes = image.config.volumes.iter().flatten().map(|(path, _)| path.trim_end_matches('/'));
    for path in volumes.filter(|path| !taken.contains(path)) {
        let options = json!({ "SizeBytes": spec.limits.tmp_bytes, "Mode": 0o1777 });
        mounts.push(json!({ "Type": "tmpfs", "Target": path, "TmpfsOptions": options }));
    }
    mounts
}
