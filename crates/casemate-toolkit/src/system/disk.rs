//! `get_disk_stats`: how full the mounted file systems are.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Semaphore, oneshot};

use super::Fault;
use super::procfs::{Procfs, ask};
use super::provider::Question;
use super::sample::percent;
use crate::parameter::{Arguments, Kind, Parameter};
use crate::tool::{Effect, Tool};

pub(super) const NAME: &str = "get_disk_stats";

const PATH: Parameter = Parameter {
    name: "path",
    description: "An absolute path: report only on the file system that holds it. Without it, on all.",
    kind: Kind::Text { chars_max: 4096 },
};

pub(super) const TOOL: Tool = Tool {
    name: NAME,
    title: "Disks",
    description: "How full the mounted file systems are, in bytes and in files. Images that are always full and \
                  file systems without blocks are left out.",
    parameters: &[&PATH],
    output: || {
        let share = json!({ "type": "number", "minimum": 0, "maximum": 100 });
        let count = json!({ "type": "integer", "minimum": 0 });
        json!({
            "type": "object",
            "properties": {
                "file_systems": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "mount_point": { "type": "string" }, "source": { "type": "string" },
                            "type": { "type": "string" }, "read_only": { "type": "boolean" },
                            "total_bytes": count, "used_bytes": count, "available_bytes": count,
                            "used_percent": share, "files_total": count, "files_used_percent": share,
                        },
                        "required": [
                            "mount_point", "source", "type", "read_only", "total_bytes", "used_bytes",
                            "available_bytes", "used_percent", "files_total", "files_used_percent",
                        ],
                    },
                },
                "left_out": count,
            },
            "required": ["file_systems", "left_out"],
        })
    },
    effect: Effect::Reads,
};

/// File systems that are reported at most; a host of many containers has thousands.
const REPORTED_MAX: usize = 100;
/// Mounts that a cell is told of at most.
const TOLD_MAX: usize = 2000;
/// How long a file system may take to answer. Local ones take microseconds; a remote one may be gone.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);
/// One look at the file systems at a time, so that one that never answers costs one thread and not more.
static LOOK: Semaphore = Semaphore::const_new(1);

/// What the tool returns.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    pub(super) file_systems: Vec<FileSystem>,
    /// How many more there are.
    left_out: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct FileSystem {
    pub(super) mount_point: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    pub(super) space: Space,
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Space {
    pub(super) read_only: bool,
    total_bytes: u64,
    used_bytes: u64,
    /// For ordinary users: some is usually kept for root.
    available_bytes: u64,
    /// Of what ordinary users can use, as `df` counts.
    pub(super) used_percent: f64,
    files_total: u64,
    pub(super) files_used_percent: f64,
}

pub(super) async fn stats(procfs: &Procfs, arguments: &Arguments) -> Result<Stats, Fault> {
    report(procfs, |mounts| match arguments.text(&PATH) {
        None => Ok(worth_reporting(mounts)),
        Some(path) => holder(mounts, path).map(|holder| vec![holder]),
    })
    .await
}

/// All file systems that are worth a look.
pub(super) async fn all(procfs: &Procfs) -> Result<Stats, Fault> {
    report(procfs, |mounts| Ok(worth_reporting(mounts))).await
}

async fn report(
    procfs: &Procfs,
    choose: impl FnOnce(Vec<Mount>) -> Result<Vec<Mount>, Fault>,
) -> Result<Stats, Fault> {
    let mounts = match procfs {
        Procfs::Whole(_) => measure(choose(procfs.read("self/mountinfo", parse)?)?).await?,
        Procfs::Told(folder) => choose(ask(folder, Question::FileSystems, understand).await?)?,
    };
    let mut file_systems: Vec<_> = mounts.into_iter().filter_map(Mount::reported).collect();
    let left_out = file_systems.len().saturating_sub(REPORTED_MAX);
    file_systems.truncate(REPORTED_MAX);
    Ok(Stats { file_systems, left_out })
}

/// What a cell is told: every mount that can be seen, with its space.
pub(super) async fn told(procfs: &Procfs) -> Result<String, Fault> {
    let mut mounts = visible(procfs.read("self/mountinfo", parse)?);
    mounts.truncate(TOLD_MAX);
    Ok(json!(measure(mounts).await?).to_string())
}

fn understand(told: &str) -> Option<Vec<Mount>> {
    serde_json::from_str(told).ok()
}

/// Asks the file systems on a thread that may be left behind, since nothing can interrupt that system call.
async fn measure(mut mounts: Vec<Mount>) -> Result<Vec<Mount>, Fault> {
    let look = async {
        let permit = LOOK.acquire().await.ok()?;
        let (answer, answered) = oneshot::channel();
        let ask = move || {
            let _permit = permit;
            for mount in &mut mounts {
                mount.space = Space::of(&mount.point);
            }
            // Nobody may be waiting any more.
            let _ = answer.send(mounts);
        };
        std::thread::Builder::new().name("statvfs".to_owned()).spawn(ask).ok()?;
        answered.await.ok()
    };
    let found = tokio::time::timeout(ANSWER_TIME_MAX, look).await.ok().flatten();
    found.ok_or(Fault::Stalled)
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Mount {
    device: String,
    point: String,
    kind: String,
    source: String,
    /// Unknown until it was measured.
    space: Option<Space>,
}

impl Mount {
    /// Nothing for what has no space that is known.
    fn reported(self) -> Option<FileSystem> {
        let Mount { point, kind, source, space, .. } = self;
        space.map(|space| FileSystem { mount_point: point, source, kind, space })
    }
}

impl Space {
    /// Nothing for a file system that has no blocks (those that only show the kernel's state) or cannot be asked.
    fn of(point: &str) -> Option<Space> {
        let found = statvfs(point).ok().filter(|found| found.f_blocks > 0)?;
        let StatVfs { f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, .. } = found;
        let bytes = |blocks: u64| blocks.saturating_mul(f_frsize);
        let used = f_blocks.saturating_sub(f_bfree);
        Some(Space {
            read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
            total_bytes: bytes(f_blocks),
            used_bytes: bytes(used),
            available_bytes: bytes(f_bavail),
            used_percent: percent(used, used.saturating_add(f_bavail)),
            files_total: f_files,
            files_used_percent: percent(f_files.saturating_sub(f_ffree), f_files),
        })
    }
}

fn parse(text: &str) -> Option<Vec<Mount>> {
    let mounts: Vec<Mount> = text.lines().map(line).collect::<Option<_>>()?;
    (!mounts.is_empty()).then_some(mounts)
}

/// `36 35 98:0 /root /mount/point options [tags…] - type source super-options`.
fn line(text: &str) -> Option<Mount> {
    let (front, back) = text.split_once(" - ")?;
    let mut front = front.split(' ').skip(2);
    let (device, point) = (front.next()?, front.nth(1)?);
    let mut back = back.split(' ');
    let (kind, source) = (back.next()?, back.next()?);
    let [point, source] = [point, source].map(unescape);
    Some(Mount { device: device.to_owned(), point, kind: kind.to_owned(), source, space: None })
}

/// The kernel writes blanks and backslashes as octal numbers: `\040`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Each file system once (bind mounts show it again), by mount point, without those that tell nothing.
fn worth_reporting(mounts: Vec<Mount>) -> Vec<Mount> {
    let mut mounts = visible(mounts);
    mounts.retain(|mount| match mount.kind.as_str() {
        // Images are full by design.
        "squashfs" | "erofs" | "iso9660" | "cramfs" => false,
        // Those of containers lie on a file system that is listed anyway; our own root does not.
        "overlay" => mount.point == "/",
        _ => true,
    });
    mounts.sort_by_key(|mount| mount.point.len());
    let mut seen = HashSet::new();
    mounts.retain(|mount| seen.insert(mount.device.clone()));
    mounts.sort_by(|a, b| a.point.cmp(&b.point));
    mounts
}

/// Of several mounts on one point the last one is seen.
fn visible(mut mounts: Vec<Mount>) -> Vec<Mount> {
    let mut points = HashSet::new();
    mounts.reverse();
    mounts.retain(|mount| points.insert(mount.point.clone()));
    mounts.reverse();
    mounts
}

/// The file system that holds a path. Only names are compared: whether the path exists is not told.
fn holder(mounts: Vec<Mount>, path: &str) -> Result<Mount, Fault> {
    let sought = PathBuf::from(path);
    if !sought.is_absolute() || sought.components().any(|part| part == Component::ParentDir) {
        return Err(Fault::Unknown(format!("`path` has to be absolute and without `..`, not {path:?}")));
    }
    let holds = |mount: &Mount| sought.starts_with(Path::new(&mount.point));
    let found = visible(mounts).into_iter().filter(holds).max_by_key(|mount| mount.point.len());
    found.ok_or_else(|| Fault::Unknown(format!("no mounted file system holds {path:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
24 22 254:16 / /data rw - ext4 /dev/vdb rw
25 22 254:0 /srv /bind rw master:3 propagate_from:2 - ext4 /dev/vda rw
26 22 0:30 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
27 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro
28 22 0:40 / /media/with\\040blank rw - vfat /dev/sd\\134x rw
29 22 0:41 / /data rw - tmpfs tmpfs rw
";

    fn points(mounts: &[Mount]) -> Vec<&str> {
        mounts.iter().map(|mount| mount.point.as_str()).collect()
    }

    #[test]
    fn mounts_are_read() {
        let mounts = parse(MOUNTINFO).unwrap();
        assert_eq!(mounts.len(), 8);
        let expected = Mount {
            device: "0:40".to_owned(),
            point: "/media/with blank".to_owned(),
            kind: "vfat".to_owned(),
            source: "/dev/sd\\x".to_owned(),
            space: None,
        };
        assert_eq!(mounts[6], expected);
    }

    #[test]
    fn mounts_that_are_not_understood_give_nothing() {
        for text in ["", "22 1 254:0 / / rw", "22 1 254:0 - ext4", "nonsense"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn each_file_system_is_reported_once_and_images_never() {
        let mounts = worth_reporting(parse(MOUNTINFO).unwrap());
        assert_eq!(points(&mounts), ["/", "/data", "/media/with blank", "/proc"]);
        // What is mounted over something else hides it.
        assert_eq!(mounts[1].kind, "tmpfs");
    }

    #[test]
    fn a_path_is_held_by_the_nearest_mount() {
        let holder = |path| holder(parse(MOUNTINFO).unwrap(), path);
        let cases = [
            ("/", "/"),
            ("/etc/passwd", "/"),
            ("/data", "/data"),
            ("/data/a/b", "/data"),
            ("/database", "/"),
            ("/bind/x", "/bind"),
        ];
        for (path, point) in cases {
            assert_eq!(holder(path).unwrap().point, point, "{path}");
        }
        for path in ["home", "", "/data/../etc"] {
            assert!(matches!(holder(path), Err(Fault::Unknown(_))), "{path}");
        }
    }

    #[test]
    fn odd_escapes_stay_as_they_are() {
        let cases = [("a\\040b", "a b"), ("\\", "\\"), ("\\04", "\\04"), ("\\999", "\\999"), ("\\011", "\t")];
        for (text, expected) in cases {
            assert_eq!(unescape(text), expected);
        }
    }
}
