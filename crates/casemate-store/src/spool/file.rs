//! The files: how a part is sealed, written and read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::zeroize::Zeroizing;

use super::{Id, SpoolFault};
use crate::folder::{FILE_MODE, Folder, FolderFault, io_fault, nofollow, private_file};

const TAG: usize = 16;

/// The longest name of a file: the id in hexadecimal.
const NAME: usize = 32;

/// How one thing is sealed. It tells nobody its key.
#[derive(Clone)]
pub(super) struct Sealing {
    key: Zeroizing<[u8; 32]>,
    id: Id,
    count: usize,
}

/// Where a sealed part is.
pub(super) struct Span {
    pub(super) number: usize,
    pub(super) at: u64,
    pub(super) len: u64,
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Sealing {
    /// A key for this thing alone.
    pub(super) fn new(id: Id, count: usize) -> Result<Sealing, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Sealing { key, id, count })
    }

    fn seal(&self, number: usize, text: &mut Vec<u8>) -> Option<()> {
        self.key()?.seal_in_place_append_tag(nonce(number), self.bound(number), text).ok()
    }

    fn open(&self, number: usize, sealed: &mut Vec<u8>) -> Option<()> {
        let length = self.key()?.open_in_place(nonce(number), self.bound(number), sealed).ok()?.len();
        sealed.truncate(length);
        Some(())
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.key.as_slice()).ok().map(LessSafeKey::new)
    }

    /// A part is the one of that number of that thing, and a file that lacks its end is none.
    fn bound(&self, number: usize) -> Aad<Vec<u8>> {
        let number = (number as u64).to_be_bytes();
        Aad::from([self.id.as_slice(), &number, &(self.count as u64).to_be_bytes()].concat())
    }
}

/// A number seals once under its key.
fn nonce(number: usize) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes.iter_mut().rev().zip((number as u64).to_le_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}

/// How long a part is once it is sealed, in bytes.
pub(super) fn sealed_len(text: usize) -> u64 {
    (text as u64).saturating_add(TAG as u64)
}

/// Writes all parts to a new file. Whether they reach the disk does not matter: nothing can read them after a power cut.
pub(super) fn write(
    folder: &Folder,
    (id, sealing): (&Id, &Sealing),
    parts: Vec<Vec<u8>>,
) -> Result<(), SpoolFault> {
    let path = path(folder, id);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|source| io_fault("create", &path, source))?;
    for (number, mut part) in parts.into_iter().enumerate() {
        // No part of a message is as long as what the cipher cannot take.
        sealing.seal(number, &mut part).ok_or(SpoolFault::NoRoom)?;
        file.write_all(&part).map_err(|source| io_fault("write", &path, source))?;
    }
    Ok(())
}

/// Reads one part.
pub(super) fn read(
    folder: &Folder,
    (id, sealing): (&Id, &Sealing),
    span: &Span,
) -> Result<Vec<u8>, SpoolFault> {
    let sealed = sealed(folder, (id, span)).map_err(|fault| {
        tracing::warn!(%fault, "a kept result cannot be read");
        SpoolFault::Damaged
    });
    let mut text = sealed?;
    sealing.open(span.number, &mut text).ok_or(SpoolFault::Damaged)?;
    Ok(text)
}

fn sealed(folder: &Folder, (id, span): (&Id, &Span)) -> Result<Vec<u8>, FolderFault> {
    let path = path(folder, id);
    let file = open(&path).map_err(|source| io_fault("open", &path, source))?;
    let found = file.metadata().map_err(|source| io_fault("look at", &path, source))?;
    private_file(&path, &found)?;
    // Not before it is known that there is so much: memory is given out by what is said here.
    let short = || io_fault("read", &path, io::ErrorKind::UnexpectedEof.into());
    let end = span.at.checked_add(span.len).filter(|end| *end <= found.len()).ok_or_else(short)?;
    let mut sealed = vec![0; usize::try_from(end - span.at).map_err(|_| short())?];
    file.read_exact_at(&mut sealed, span.at).map_err(|source| io_fault("read", &path, source))?;
    Ok(sealed)
}

fn open(path: &PathBuf) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(nofollow() | nonblocking).open(path)
}

/// Deletes a file, if it is there. What cannot be deleted cannot be read all the same.
pub(super) fn remove(folder: &Folder, id: &Id) {
    let path = path(folder, id);
    match fs::remove_file(&path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%fault, path = %path.display(), "a sealed file that is over cannot be deleted");
        }
        _ => {}
    }
}

/// Deletes what a former process left. Its keys are gone with it. What has another name is none of ours.
pub(super) fn remove_leftovers(folder: &Folder) {
    let Ok(files) = fs::read_dir(folder.path()) else { return };
    let is_ours = |name: &str| name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    for file in files.flatten() {
        if file.file_name().to_str().is_some_and(is_ours)
            && let Err(fault) = fs::remove_file(file.path())
        {
            tracing::warn!(%fault, path = %file.path().display(), "a sealed file of a former run cannot be deleted");
        }
    }
}

fn path(folder: &Folder, id: &Id) -> PathBuf {
    let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.path().join(name)
}
