//! Where figures come from: the files of `/proc`, or what a cell is shown and told of its host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;

use super::Fault;
use super::provider::Question;

/// How long casemate may take to answer; it gives up on file systems that do not answer after three seconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// A source of figures.
#[derive(Debug, Clone)]
pub(super) enum Procfs {
    /// A folder that is, or looks like, `/proc`.
    Whole(PathBuf),
    /// The folder in which a cell has figures of its host: some files of its `/proc`, and sockets at which casemate tells
    /// the rest.
    Told(PathBuf),
}

impl Procfs {
    /// Reads a file and understands it. These files are made by the kernel on the spot, so reading one does not wait.
    pub(super) fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
        let (Procfs::Whole(folder) | Procfs::Told(folder)) = self;
        let path = folder.join(name);
        match std::fs::read(&path) {
            Ok(text) => parse(&String::from_utf8_lossy(&text)).ok_or(Fault::Format { path }),
            Err(source) => Err(Fault::Read { path, source }),
        }
    }
}

/// Asks casemate, and understands the answer.
pub(super) async fn ask<T>(
    folder: &Path,
    question: Question,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, Fault> {
    let path = folder.join(question.name());
    let answer = async {
        let mut text = Vec::new();
        UnixStream::connect(&path).await?.take(ANSWER_BYTES_MAX).read_to_end(&mut text).await?;
        Ok(text)
    };
    match tokio::time::timeout(ANSWER_TIME_MAX, answer).await {
        Ok(Ok(text)) if text.is_empty() => Err(Fault::Untold { path }),
        Ok(Ok(text)) => parse(&String::from_utf8_lossy(&text)).ok_or(Fault::Format { path }),
        Ok(Err(source)) => Err(Fault::Read { path, source }),
        Err(_) => Err(Fault::Untold { path }),
    }
}
