//! Editing a file that belongs to another program: atomically, with a backup, through symbolic links.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::jsonc;

/// Larger files are refused, in bytes. Claude Code keeps its history in the file that we edit, so this is generous.
pub const BYTES_MAX: u64 = 64 << 20;

/// What an edit did to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The file says what was wanted already; nothing was written.
    Unchanged,
    /// There was no file; now there is.
    Created,
    /// The file was replaced.
    Changed {
        /// The copy of the file as it was before.
        backup: PathBuf,
    },
}

/// Why a file was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not UTF-8.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
    /// The file exceeds [`BYTES_MAX`].
    #[error("{} is larger than {} MiB", path.display(), BYTES_MAX >> 20)]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not JSON, or not of the expected shape.
    #[error("{} was left as it is: it cannot be edited safely", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it and where.
        source: jsonc::Fault,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is no file\nhint: name the file that the client reads", path.display())]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// Another program wrote the file at the same moment.
    #[error("{} was changed by another program in the meantime; nothing was written\nhint: try again", path.display())]
    Raced {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads the file (a missing one reads as empty), lets `change` make a new text of it, and replaces it.
///
/// Before a file is replaced, a copy is kept beside it as `FILE.casemate-backup-STAMP`. The new file has the
/// old one's permissions; a file that is created is readable by its owner alone. A symbolic link stays one,
/// and the file that it leads to is replaced.
///
/// # Errors
/// See [`Error`]; in every case the file is as it was.
pub fn edit(
    path: &Path,
    stamp: &str,
    change: impl FnOnce(&str) -> Result<Option<String>, jsonc::Fault>,
) -> Result<Applied, Error> {
    let target = destination(path)?;
    // A pipe would be waited for, and a file be put in its place.
    if fs::metadata(&target).is_ok_and(|about| !about.is_file()) {
        return Err(Error::NoFile { path: path.to_owned() });
    }
    let before = read(&target)?;
    let content = |source| Error::Content { path: path.to_owned(), source };
    let Some(after) = change(before.as_deref().unwrap_or_default()).map_err(content)? else {
        return Ok(Applied::Unchanged);
    };
    let backup = match &before {
        Some(text) => Some(keep(&target, text, stamp)?),
        None => None,
    };
    replace(&target, before.as_deref(), &after)?;
    Ok(backup.map_or(Applied::Created, |backup| Applied::Changed { backup }))
}

/// Reads the whole file as text; `None` when there is none.
///
/// # Errors
/// When it cannot be read, is not UTF-8, or exceeds [`BYTES_MAX`].
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused("read", path, error)),
    };
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| refused("read", path, error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Error::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map(Some).map_err(|_| Error::NotText { path: path.to_owned() })
}

/// Where the file really is, so that a symbolic link (dotfiles are often kept that way) survives the rename.
fn destination(path: &Path) -> Result<PathBuf, Error> {
    let mut path = path.to_owned();
    // A link to a file that does not exist yet cannot be canonicalized, so links are followed one by one.
    for _ in 0..32 {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().map(|parent| parent.join(&link)).unwrap_or(link),
            Err(_) => return Ok(path),
        }
    }
    Err(refused("follow the links of", &path, io::Error::from(io::ErrorKind::InvalidInput)))
}

fn keep(target: &Path, text: &str, stamp: &str) -> Result<PathBuf, Error> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut attempt = 1;
    loop {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let backup = target.with_file_name(format!("{name}.casemate-backup-{stamp}{suffix}"));
        // Until it has the permissions of what it is a copy of, it is its owner's alone.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&backup) {
            Ok(mut file) => {
                let permissions = fs::metadata(target).map(|metadata| metadata.permissions());
                permissions
                    .and_then(|permissions| file.set_permissions(permissions))
                    .and_then(|()| file.write_all(text.as_bytes()))
                    .and_then(|()| file.sync_all())
                    .map_err(|error| refused("write", &backup, error))?;
                return Ok(backup);
            }
            // Two edits within one second have one stamp.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            Err(error) => return Err(refused("write", &backup, error)),
        }
    }
}

fn replace(target: &Path, before: Option<&str>, after: &str) -> Result<(), Error> {
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| refused("create", folder, error))?;
    // Created for its owner alone, which is what a new file keeps.
    let mut new = tempfile::Builder::new()
        .prefix(".casemate-")
        .tempfile_in(folder)
        .map_err(|error| refused("write in", folder, error))?;
    let permissions = fs::metadata(target).ok().map(|metadata| metadata.permissions());
    new.write_all(after.as_bytes())
        .and_then(|()| permissions.map_or(Ok(()), |permissions| new.as_file().set_permissions(permissions)))
        .and_then(|()| new.as_file().sync_all())
        .map_err(|error| refused("write", target, error))?;
    if read(target)?.as_deref() != before {
        return Err(Error::Raced { path: target.to_owned() });
    }
    new.persist(target).map_err(|error| refused("replace", target, error.error))?;
    // The rename is on disk once its folder is; a system without folder handles has nothing to flush.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

fn refused(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.to_owned(), source }
}
