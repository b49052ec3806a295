//! One small private file that is replaced whole: the file of a key, for example.
//!
//! What is written reaches the disk under another name first and then takes the file's place, so that a crash at
//! any moment leaves the old content or the new. Writers exclude each other by a lock beside the file; readers
//! need none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::folder::{FILE_MODE, Folder, FolderFault, io_fault, nofollow, private_file};

/// The largest content that is read, in bytes. Keys are short.
const BYTES_MAX: u64 = 64 << 10;

/// A private file in a private folder. It need not exist.
#[derive(Debug, Clone)]
pub struct PrivateFile {
    folder: Folder,
    name: &'static str,
}

/// The right to change a [`PrivateFile`]. It ends when this is dropped, or the process ends.
#[derive(Debug)]
pub struct Writing<'a> {
    file: &'a PrivateFile,
    _lock: File,
}

impl PrivateFile {
    /// A file of that name in the folder, which is created where it is missing.
    ///
    /// # Errors
    /// The folder is open to others, or the system refuses.
    pub fn new(folder: &Path, name: &'static str) -> Result<PrivateFile, FolderFault> {
        Ok(PrivateFile { folder: Folder::open(folder)?, name })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// What it says; `None` when there is none.
    ///
    /// # Errors
    /// It is a link, belongs to somebody else, or is open to others; or the system refuses.
    pub fn read(&self) -> Result<Option<Vec<u8>>, FolderFault> {
        let path = self.path();
        let mut options = OpenOptions::new();
        // Opening a FIFO that somebody put there must not wait for a writer.
        options.read(true).custom_flags(nofollow() | nonblocking());
        let file = match options.open(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) => {
                tracing::debug!(%fault, "a link was not followed");
                return Err(FolderFault::Kind { path, wanted: "plain file" });
            }
            opened => opened.map_err(|source| io_fault("open", &path, source))?,
        };
        let found = file.metadata().map_err(|source| io_fault("look at", &path, source))?;
        private_file(&path, &found)?;
        let mut content = Vec::new();
        let read = file.take(BYTES_MAX).read_to_end(&mut content);
        read.map_err(|source| io_fault("read", &path, source))?;
        Ok(Some(content))
    }

    /// Waits until nobody else changes the file, and keeps everybody from it. Blocks.
    ///
    /// # Errors
    /// The lock's file is no plain file of ours, or the system refuses.
    pub fn lock(&self) -> Result<Writing<'_>, FolderFault> {
        let name = format!("{}.lock", self.name);
        let lock = self.folder.append(&name)?;
        let path = self.folder.path().join(&name);
        flock(&lock, FlockOperation::LockExclusive).map_err(|fault| io_fault("lock", &path, fault.into()))?;
        Ok(Writing { file: self, _lock: lock })
    }
}

impl Writing<'_> {
    /// Replaces the content. It is on disk when this returns.
    ///
    /// # Errors
    /// The system refuses; the old content is then still there.
    pub fn replace(&self, content: &[u8]) -> Result<(), FolderFault> {
        let path = self.file.path();
        let fresh = self.file.folder.path().join(format!("{}.new", self.file.name));
        let write = || -> io::Result<()> {
            // What a writer that crashed left behind. We hold the lock, so nobody is still at it.
            match fs::remove_file(&fresh) {
                Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(self.file.folder.path())?.sync_all()
        };
        write().map_err(|source| io_fault("write", &path, source))
    }
}

fn nonblocking() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file() -> (tempfile::TempDir, PrivateFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = PrivateFile::new(&folder.path().join("data"), "some.key").unwrap();
        (folder, file)
    }

    #[test]
    fn what_was_written_is_read_and_only_we_can_read_it() {
        let (_folder, file) = file();
        assert_eq!(file.read().unwrap(), None);
        for content in [b"one".as_slice(), b"two"] {
            file.lock().unwrap().replace(content).unwrap();
            assert_eq!(file.read().unwrap().as_deref(), Some(content));
        }
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_crash_between_write_and_rename_leaves_the_old_content_and_the_next_writer_a_clear_way() {
        let (_folder, file) = file();
        file.lock().unwrap().replace(b"old").unwrap();
        let half = file.path().with_extension("key.new");
        fs::write(&half, "half of the n").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(b"old".as_slice()));
        file.lock().unwrap().replace(b"new").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(b"new".as_slice()));
        assert!(!half.exists());
    }

    #[test]
    fn a_link_that_waits_under_the_new_name_is_not_written_through() {
        let (folder, file) = file();
        let target = folder.path().join("target");
        fs::write(&target, "precious").unwrap();
        symlink(&target, file.path().with_extension("key.new")).unwrap();
        file.lock().unwrap().replace(b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert!(fs::symlink_metadata(file.path()).unwrap().is_file());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let (_folder, file) = file();
        file.lock().unwrap().replace(b"known to all").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o602] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let fault = file.read().unwrap_err().to_string();
            assert!(fault.contains("hint: chmod 0600"), "{fault}");
        }
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o400)).unwrap();
        assert!(file.read().unwrap().is_some());
    }

    #[test]
    fn links_pipes_and_folders_are_no_files() {
        let (folder, file) = file();
        let target = folder.path().join("target");
        fs::write(&target, "bait").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&target, file.path()).unwrap();
        assert!(matches!(file.read(), Err(FolderFault::Kind { .. })));
        fs::remove_file(file.path()).unwrap();

        fs::create_dir(file.path()).unwrap();
        assert!(matches!(file.read(), Err(FolderFault::Kind { .. })));
        fs::remove_dir(file.path()).unwrap();

        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, file.path(), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(file.read(), Err(FolderFault::Kind { .. })), "and nobody waits for a writer");
    }

    #[test]
    fn of_two_writers_one_waits() {
        let (_folder, file) = file();
        let first = file.lock().unwrap();
        let other = file.clone();
        let (done, finished) = std::sync::mpsc::sync_channel(1);
        let second = std::thread::spawn(move || {
            other.lock().unwrap().replace(b"second").unwrap();
            done.send(()).unwrap();
        });
        first.replace(b"first").unwrap();
        assert!(finished.try_recv().is_err());
        assert_eq!(file.read().unwrap().as_deref(), Some(b"first".as_slice()));
        drop(first);
        second.join().unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(b"second".as_slice()));
    }
}
