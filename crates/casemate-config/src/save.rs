//! Replacing the configuration file as a whole, or not at all.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why the file was left as it was.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
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
    /// Somebody else wrote the file since it was read.
    #[error("{} was changed in the meantime; nothing was written\nhint: try again", path.display())]
    Raced {
        /// Which file.
        path: PathBuf,
    },
}

/// Replaces the file by a new text: readers see the old one or the new one, whatever happens in between.
///
/// `before` is the text that the edit started from, `None` when there was no file. A new file is readable by
/// its owner alone; an old one keeps its permissions, and a symbolic link stays one.
///
/// # Errors
/// When the file is not as it was before, or when the system refuses; the file is then left as it is.
pub fn save(path: &Path, before: Option<&str>, after: &str) -> Result<(), SaveError> {
    // A link to a missing file is rare enough to be replaced by a file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let refused = |action, path: &Path, source| SaveError::Io { action, path: path.to_owned(), source };
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| refused("create", folder, error))?;
    let mut new = tempfile::Builder::new()
        .prefix(".casemate-")
        .tempfile_in(folder)
        .map_err(|error| refused("write in", folder, error))?;
    let permissions = fs::metadata(&target).ok().map(|metadata| metadata.permissions());
    new.write_all(after.as_bytes())
        .and_then(|()| permissions.map_or(Ok(()), |permissions| new.as_file().set_permissions(permissions)))
        .and_then(|()| new.as_file().sync_all())
        .map_err(|error| refused("write", &target, error))?;
    let now = match fs::read(&target) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused("read", &target, error)),
    };
    if now.as_deref() != before.map(str::as_bytes) {
        return Err(SaveError::Raced { path: path.to_owned() });
    }
    let persisted = match before {
        // Without an old file, one that appears at this very moment is somebody's work.
        None => new.persist_noclobber(&target),
        Some(_) => new.persist(&target),
    };
    match persisted {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(SaveError::Raced { path: path.to_owned() });
        }
        Err(error) => return Err(refused("replace", &target, error.error)),
    }
    // The rename is on disk once its folder is; a system without folder handles has nothing to flush.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}
