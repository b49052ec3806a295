//! Whether files are whole. Whoever writes a file in place empties it first, and whoever reads it in that moment reads a
//! configuration without servers, or no policy at all.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use casemate_config::POLICIES;

use super::policies;

/// For how long a file that was emptied is expected to be filled again. One that stays empty is meant to be.
const FILLING: Duration = Duration::from_secs(1);

/// Sizes and times of the configuration file and the policy files, by which one knows whether they changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    changed: SystemTime,
}

impl Stamps {
    /// Looks at the configuration file and the policies beside it. What is not there, or cannot be looked at, is noted as
    /// such.
    pub fn of(file: &Path) -> Stamps {
        let folder = file.with_file_name(POLICIES);
        let policies = policies::list(&folder).unwrap_or_default().into_iter().map(|(_, path)| path);
        let files = std::iter::once(file.to_owned()).chain(policies);
        Stamps(files.map(|path| (path.clone(), Stamp::of(&path))).collect())
    }

    /// Whether what was read between this look and a later one is whole: nothing changed in between, and no file was
    /// emptied just now.
    pub fn held_until(&self, later: &Stamps, now: SystemTime) -> bool {
        self == later && !self.0.iter().any(|(_, stamp)| stamp.is_some_and(|stamp| stamp.is_filling(now)))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let found = std::fs::metadata(path).ok()?;
        Some(Stamp { bytes: found.len(), changed: found.modified().ok()? })
    }

    fn is_filling(self, now: SystemTime) -> bool {
        // One that was changed in the future was so by another clock, about which nothing is known.
        self.bytes == 0 && now.duration_since(self.changed).is_ok_and(|age| age < FILLING)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_was_emptied_just_now_or_changes_while_it_is_read_is_not_whole() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let one = |bytes, changed| {
            Stamps(vec![
                ("casemate.toml".into(), Some(Stamp { bytes, changed: at(changed) })),
                ("policy/a.cedar".into(), Some(Stamp { bytes: 7, changed: at(1) })),
            ])
        };
        assert!(one(5, 10).held_until(&one(5, 10), at(10)));
        assert!(!one(5, 10).held_until(&one(5, 11), at(11)), "written anew");
        assert!(!one(5, 10).held_until(&one(6, 10), at(11)), "it grew");
        assert!(!one(0, 10).held_until(&one(0, 10), at(10)), "emptied just now");
        assert!(one(0, 10).held_until(&one(0, 10), at(11)), "meant to be empty");
        assert!(one(0, 99).held_until(&one(0, 99), at(11)), "by another clock");
        let mut fewer = one(5, 10);
        fewer.0.pop();
        assert!(!one(5, 10).held_until(&fewer, at(11)), "a policy is gone");
    }

    #[test]
    fn an_empty_policy_counts_as_much_as_an_empty_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("casemate.toml");
        assert!(Stamps::of(&file).held_until(&Stamps::of(&file), SystemTime::UNIX_EPOCH), "nothing there");
        std::fs::write(&file, "a = 1").unwrap();
        std::fs::create_dir(folder.path().join(POLICIES)).unwrap();
        let policy = std::fs::File::create(folder.path().join(POLICIES).join("a.cedar")).unwrap();
        let emptied = policy.metadata().unwrap().modified().unwrap();
        let seen = Stamps::of(&file);
        assert!(!seen.held_until(&Stamps::of(&file), emptied));
        assert!(seen.held_until(&Stamps::of(&file), emptied + FILLING));
    }
}
