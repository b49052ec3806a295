//! Noticing that the configuration file changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Editors write a file in several steps; a change counts when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(50);
/// A folder in which something always happens must not keep a change waiting for longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches one file, whether it exists or not, also through symbolic links and renames.
#[derive(Debug)]
pub struct Watch {
    file: PathBuf,
    seen: Option<Vec<u8>>,
    stirred: Arc<Notify>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// Starts watching. The folders are watched and not the file, since editors replace files.
    pub fn start(file: &Path) -> notify::Result<Watch> {
        let stirred = Arc::new(Notify::new());
        let bell = Arc::clone(&stirred);
        let mut watcher = notify::recommended_watcher(move |event| {
            if stirs(&event) {
                bell.notify_one();
            }
        })?;
        for folder in folders(file) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Watch { seen: std::fs::read(file).ok(), file: file.to_owned(), stirred, _watcher: watcher })
    }

    /// Waits until the file says something else than before. Cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            self.stirred.notified().await;
            // A longer burst is cut off and looked at as it is.
            let _ = tokio::time::timeout(PATIENCE, self.calm()).await;
            let now = std::fs::read(&self.file).ok();
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    async fn calm(&self) {
        while tokio::time::timeout(QUIET, self.stirred.notified()).await.is_ok() {}
    }
}

/// Whether something may have changed. Who opens and reads a file changes nothing, and we do it ourselves whenever something
/// has stirred: that must not be news again.
fn stirs(event: &notify::Result<Event>) -> bool {
    match event {
        Ok(Event { kind: EventKind::Access(access), .. }) => *access == AccessKind::Close(AccessMode::Write),
        // What could not be told may have been a change.
        Ok(_) | Err(_) => true,
    }
}

/// The folder of the file and the folder of what it links to, as far as they exist.
fn folders(file: &Path) -> BTreeSet<PathBuf> {
    let target = file.canonicalize().ok();
    let named = [Some(file), target.as_deref()];
    named
        .into_iter()
        .flatten()
        .filter_map(Path::parent)
        .filter(|folder| folder.is_dir())
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn noticed(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn a_file_is_watched_through_creation_replacement_and_removal() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("casemate.toml");
        let mut watch = Watch::start(&file).unwrap();
        std::fs::write(&file, "a = 1").unwrap();
        assert!(noticed(&mut watch).await);

        let other = folder.path().join("new");
        std::fs::write(&other, "a = 2").unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert!(noticed(&mut watch).await);

        std::fs::remove_file(&file).unwrap();
        assert!(noticed(&mut watch).await);
    }

    #[tokio::test]
    async fn what_happens_beside_the_file_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("casemate.toml");
        std::fs::write(&file, "a = 1").unwrap();
        let mut watch = Watch::start(&file).unwrap();
        std::fs::write(folder.path().join("other"), "b").unwrap();
        std::fs::write(&file, "a = 1").unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(400), watch.changed()).await;
        assert!(quiet.is_err());
    }

    #[tokio::test]
    async fn a_look_at_the_file_did_not_ring_the_bell_for_the_next_look_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("casemate.toml");
        std::fs::write(&file, "a = 1").unwrap();
        let watch = Watch::start(&file).unwrap();
        std::fs::read(&file).unwrap();
        std::fs::read_dir(folder.path()).unwrap().for_each(drop);
        let rung = tokio::time::timeout(QUIET * 4, watch.stirred.notified()).await;
        assert!(rung.is_err());
        std::fs::File::options().append(true).open(&file).unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(10), watch.stirred.notified()).await.is_ok());
    }

    #[tokio::test]
    async fn a_change_behind_a_link_is_noticed() {
        let [here, there] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let target = there.path().join("dotfile.toml");
        std::fs::write(&target, "a = 1").unwrap();
        let file = here.path().join("casemate.toml");
        std::os::unix::fs::symlink(&target, &file).unwrap();
        let mut watch = Watch::start(&file).unwrap();
        std::fs::write(&target, "a = 2").unwrap();
        assert!(noticed(&mut watch).await);
    }
}
