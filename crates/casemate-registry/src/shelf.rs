//! Where prepared packages lie:
//!
//! ```text
//! <folder>/npm/@scope+name@1.2.3/<digest of what decides its contents>/
//!     busy     held by whoever prepares it
//!     work/    what a package client needs meanwhile; gone afterwards
//!     tree/    what was installed, read-only
//!     lock     what was installed: never changes again, and outlives the tree
//!     seal     how the tree looks; written last, so that a tree without one is a leftover
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::Error;

/// How often a prepare that waits for another one looks. It does not block on the lock, since nothing could then end it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The largest file of ours that is read back, in bytes: lock files of the largest packages have a few megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The place of one prepared package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    root: PathBuf,
}

/// The right to change a place. Given back on drop, also by the kernel.
#[derive(Debug)]
pub(crate) struct Held {
    _file: File,
}

impl Place {
    /// The place below `folder` for these words; `title` is for people.
    pub(crate) fn new(folder: &Path, ecosystem: &str, title: &str, decisive: &[String]) -> Place {
        let mut digest = Sha256::new();
        for word in decisive {
            digest.update((word.len() as u64).to_be_bytes());
            digest.update(word.as_bytes());
        }
        let digest = hex(&digest.finalize());
        let short = digest.get(..32).unwrap_or(&digest);
        Place { root: folder.join(ecosystem).join(title.replace('/', "+")).join(short) }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn seal(&self) -> PathBuf {
        self.root.join("seal")
    }

    /// Every place below `folder`.
    fn all(folder: &Path) -> io::Result<Vec<Place>> {
        let mut level = vec![folder.to_owned()];
        for _ in 0..3 {
            let mut next = Vec::new();
            for folder in level {
                let entries = match fs::read_dir(&folder) {
                    // Somebody else has removed it, or nothing was prepared yet.
                    Err(fault) if fault.kind() == ErrorKind::NotFound => continue,
                    entries => entries?,
                };
                for entry in entries {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        next.push(entry.path());
                    }
                }
            }
            level = next;
        }
        Ok(level.into_iter().map(|root| Place { root }).collect())
    }

    /// Waits until nobody else changes this place.
    pub(crate) async fn hold(&self) -> Result<Held, Error> {
        loop {
            private_folder(&self.root).map_err(Error::file("create", &self.root))?;
            match self.try_hold()? {
                Some(held) => return Ok(held),
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Holds the place unless somebody else does, or has just removed it.
    fn try_hold(&self) -> Result<Option<Held>, Error> {
        let path = self.root.join("busy");
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = match file {
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::file("open", &path))?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", &path)(source)),
        }
        // Who held it before may have removed it with all that was in it; then this is the lock of nothing.
        let same = |file: &File| Ok::<_, io::Error>(file.metadata()?.ino() == fs::metadata(&path)?.ino());
        Ok(same(&file).unwrap_or(false).then_some(Held { _file: file }))
    }

    /// Removes it with all that is in it.
    pub(crate) fn remove(&self, _held: &Held) -> Result<(), Error> {
        remove(&self.root).map_err(Error::file("remove", &self.root))
    }

    /// Removes what a prepare has left that did not come to its end, and makes the folders of the next one. Whoever holds
    /// the place may do so.
    pub(crate) fn clear(&self, _held: &Held) -> Result<(), Error> {
        let seal = self.seal();
        match fs::remove_file(&seal) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(Error::file("remove", &seal)(source));
            }
            _ => {}
        }
        for folder in [self.tree(), self.work()] {
            remove(&folder).map_err(Error::file("remove", &folder))?;
            // As root, a package client runs as a user of its own. The place around is closed to everybody else.
            let made = fs::create_dir(&folder).and_then(|()| set_mode(&folder, 0o777));
            made.map_err(Error::file("create", &folder))?;
        }
        Ok(())
    }
}

/// Removes what prepares have left below `folder` that did not come to their end, and where nobody is at work any more.
/// Lock files stay, because the same is installed again by them. Tells how many places that concerns. Blocks.
pub(crate) fn sweep(folder: &Path) -> Result<usize, Error> {
    let mut swept = 0;
    for place in Place::all(folder).map_err(Error::file("look through", folder))? {
        let exists = |path: PathBuf| path.symlink_metadata().is_ok();
        let has_rest = || exists(place.tree()) || exists(place.work());
        if exists(place.seal()) || (exists(place.lock()) && !has_rest()) {
            continue;
        }
        let Some(held) = place.try_hold()? else { continue };
        // It may have been completed in between.
        if exists(place.seal()) {
            continue;
        }
        if exists(place.lock()) {
            for folder in [place.tree(), place.work()] {
                remove(&folder).map_err(Error::file("remove", &folder))?;
            }
        } else {
            place.remove(&held)?;
        }
        swept += 1;
    }
    Ok(swept)
}

/// Reads a file of ours; nothing when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    read_at_most(path, FILE_BYTES_MAX).map_err(Error::file("read", path))
}

/// Reads a plain file that others may have written: no link is followed, nothing else is opened, and it has an end.
pub(crate) fn read_at_most(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other("it is too large"));
    }
    Ok(Some(bytes))
}

/// Writes a file of ours so that it is there as a whole or not at all, also after a power failure.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let next = path.with_extension("next");
    let written = || {
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()
    };
    written().map_err(Error::file("write", path))
}

/// Removes a folder with all that is in it, read-only folders included. It may not be there.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    let first = match fs::remove_dir_all(folder) {
        Err(fault) if fault.kind() == ErrorKind::PermissionDenied => fault,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(()),
        other => return other,
    };
    open_up(folder).map_err(|_| first)?;
    fs::remove_dir_all(folder)
}

/// Makes all folders writable for us.
fn open_up(folder: &Path) -> io::Result<()> {
    set_mode(folder, 0o700)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
