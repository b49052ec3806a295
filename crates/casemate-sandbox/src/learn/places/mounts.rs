//! What is mounted where: one file can be reached by several paths.

use std::path::{Path, PathBuf};

use super::unescaped;

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: Vec<u8>,
    /// What of the file system is mounted.
    root: PathBuf,
    /// Where.
    at: PathBuf,
}

/// Every mount of this process' namespace, the later ones over the earlier.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Where nothing can be read, nothing is known: then only links are followed.
    pub(super) fn read() -> Mounts {
        Mounts::parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    fn parse(table: &[u8]) -> Mounts {
        let mounts = table.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            let device = fields.next()?.to_vec();
            Some(Mount { device, root: unescaped(fields.next()?), at: unescaped(fields.next()?) })
        });
        Mounts(mounts.collect())
    }

    /// The other paths of a path without links.
    pub(super) fn aliases(&self, path: &Path) -> Vec<PathBuf> {
        let holds = |mount: &&Mount| path.starts_with(&mount.at);
        // Of two mounts at one place, the later one is seen.
        let Some(own) = self.0.iter().filter(holds).max_by_key(|mount| mount.at.components().count()) else {
            return Vec::new();
        };
        let Ok(rest) = path.strip_prefix(&own.at) else { return Vec::new() };
        let inner = join(&own.root, rest);
        let others = self.0.iter().filter(|other| other.device == own.device);
        let aliases = others.filter_map(|other| match inner.strip_prefix(&other.root) {
            Ok(rest) => Some(join(&other.at, rest)),
            // Something within it has a mount of its own.
            Err(_) => other.root.starts_with(&inner).then(|| other.at.clone()),
        });
        aliases.filter(|alias| !alias.starts_with(path)).collect()
    }
}

/// Nothing added is no slash added.
fn join(folder: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { folder.to_owned() } else { folder.join(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        30 22 8:2 /@home /home rw - btrfs /dev/sdb rw\n\
        31 22 8:2 / /mnt/whole\\040disk rw - btrfs /dev/sdb rw\n\
        32 22 8:1 /home/ada /srv/ada rw - ext4 /dev/sda1 rw\n\
        33 22 0:5 / /proc rw - proc proc rw\n";

    #[test]
    fn a_file_is_found_under_every_mount_that_has_it() {
        let mounts = Mounts::parse(TABLE);
        assert_eq!(
            mounts.aliases(Path::new("/home/ada/.ssh")),
            [Path::new("/mnt/whole disk/@home/ada/.ssh")]
        );
        assert_eq!(mounts.aliases(Path::new("/etc/shadow")), [] as [&Path; 0]);
        // The lower home lies under a mount, but the other one leads to it.
        assert_eq!(mounts.aliases(Path::new("/srv/ada/.ssh")), [Path::new("/home/ada/.ssh")]);
    }

    #[test]
    fn a_mount_of_the_place_itself_is_one_too() {
        let table = b"22 1 8:1 / / rw - ext4 d rw\n23 22 8:1 /home/ada/.ssh /srv/keys rw - ext4 d rw\n";
        let aliases = Mounts::parse(table).aliases(Path::new("/home/ada/.ssh"));
        assert_eq!(aliases, [Path::new("/srv/keys")]);
        // And one of something within it.
        let table = b"22 1 8:1 / / rw - ext4 d rw\n23 22 8:1 /home/ada/.ssh/id /srv/key rw - ext4 d rw\n";
        let aliases = Mounts::parse(table).aliases(Path::new("/home/ada/.ssh"));
        assert_eq!(aliases, [Path::new("/srv/key")]);
    }
}
