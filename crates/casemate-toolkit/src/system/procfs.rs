//! Reading the files of `/proc`.

use std::path::PathBuf;

use super::Fault;

/// A folder that is, or looks like, `/proc`.
#[derive(Debug, Clone)]
pub(super) struct Procfs {
    folder: PathBuf,
}

impl Procfs {
    pub(super) fn new(folder: PathBuf) -> Procfs {
        Procfs { folder }
    }

    /// Reads a file and understands it. These files are made by the kernel on the spot, so reading one does not wait.
    pub(super) fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
        let path = self.folder.join(name);
        match std::fs::read(&path) {
            Ok(text) => parse(&String::from_utf8_lossy(&text)).ok_or(Fault::Format { path }),
            Err(source) => Err(Fault::Read { path, source }),
        }
    }
}
