//! The policy files beside the configuration.

use std::io;
use std::path::{Path, PathBuf};

/// Most files that are read.
const FILES_MAX: usize = 256;

/// Largest file that is read, in bytes; a larger one is refused when it is judged.
const BYTES_MAX: u64 = 2 << 20;

/// The policy files of a folder, by name. A folder that does not exist has none.
pub fn read(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for (name, path) in list(folder)? {
        let about = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        if std::fs::metadata(&path).map_err(about)?.len() > BYTES_MAX {
            return Err(io::Error::other(format!("{name} has more than {BYTES_MAX} bytes")));
        }
        let text = std::fs::read_to_string(&path).map_err(about)?;
        files.push((name, text));
    }
    Ok(files)
}

/// The names and paths of the policy files of a folder. What editors leave beside them begins with a dot or ends in
/// something else.
pub fn list(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_policy = path.extension().is_some_and(|extension| extension == "cedar");
        let Some(name) = path.file_name().filter(|_| is_policy) else { continue };
        let name =
            name.to_str().ok_or_else(|| io::Error::other("a policy file has a name that is not UTF-8"))?;
        if !name.starts_with('.') {
            files.push((name.to_owned(), path.clone()));
        }
    }
    if files.len() > FILES_MAX {
        return Err(io::Error::other(format!("there are more than {FILES_MAX} policy files")));
    }
    files.sort();
    Ok(files)
}
