//! Our own program as an image: an archive of it and of the libraries that it runs with.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use bytes::Bytes;

use crate::syscall;

/// What our program is called in the image. The image's PATH is its root.
pub(super) const PROGRAM: &str = "casemate-cell";

/// The unit of archives, in bytes.
const BLOCK_BYTES: usize = 512;

/// Archives this process's program and its libraries: each where the loader has found it, so that it is found again.
/// Reads as many bytes as the program has.
pub(super) fn of_ourselves() -> io::Result<Bytes> {
    let mut archive = Vec::new();
    // Also when its file was replaced meanwhile.
    add(&mut archive, PROGRAM, File::open("/proc/self/exe")?)?;
    for library in syscall::libraries() {
        let name = library.strip_prefix("/").unwrap_or(&library);
        add(&mut archive, name.to_str().ok_or(ErrorKind::InvalidFilename)?, File::open(&library)?)?;
    }
    // The end is two empty blocks.
    archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
    Ok(archive.into())
}

/// What our program needs to find in its environment to start from such an archive (`ENV` of a Dockerfile).
pub(super) fn environment() -> String {
    let libraries = syscall::libraries();
    let folders: BTreeSet<_> = libraries.iter().filter_map(|library| library.parent()?.to_str()).collect();
    let folders: Vec<&str> = folders.into_iter().collect();
    format!("ENV PATH=/ LD_LIBRARY_PATH={}", folders.join(":"))
}

/// Adds a file that everybody may read and execute.
fn add(archive: &mut Vec<u8>, name: &str, file: File) -> io::Result<()> {
    let bytes = file.metadata()?.len();
    archive.extend(header(name, bytes)?);
    let copied = file.take(bytes).read_to_end(archive)?;
    if copied as u64 != bytes {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
    Ok(())
}

/// The header of a file (POSIX.1-1988, "ustar"): fields of fixed size, numbers in octal digits.
fn header(name: &str, bytes: u64) -> io::Result<Vec<u8>> {
    let (folder, file) = parted(name).ok_or(ErrorKind::InvalidFilename)?;
    let fields = |sum: &str| {
        let number = |number: u64, digits: usize| format!("{number:0digits$o}");
        let fields = [
            (100, file.to_owned()),
            (8, number(0o555, 7)),
            (8, number(0, 7)),
            (8, number(0, 7)),
            (12, number(bytes, 11)),
            (12, number(0, 11)),
            (8, sum.to_owned()),
            (1, "0".to_owned()),
            (100, String::new()),
            (6, "ustar".to_owned()),
            (2, "00".to_owned()),
            (80, String::new()),
            (155, folder.to_owned()),
            (12, String::new()),
        ];
        let pad = |(length, text): (usize, String)| {
            let mut field = text.into_bytes();
            field.resize(length, 0);
            field
        };
        fields.into_iter().flat_map(pad).collect::<Vec<u8>>()
    };
    // The sum is made with blanks in its own place.
    let sum: u32 = fields("        ").into_iter().map(u32::from).sum();
    Ok(fields(&format!("{sum:06o}\0 ")))
}

/// A name in two fields, where it is too long for one.
fn parted(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    let path = Path::new(name);
    let (folder, file) = (path.parent()?.to_str()?, path.file_name()?.to_str()?);
    (folder.len() <= 155 && file.len() <= 100).then_some((folder, file))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "another program has to understand it")]
    fn our_own_program_starts_from_what_was_archived() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive.tar");
        std::fs::write(&file, of_ourselves().unwrap()).unwrap();
        let unpacked = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(folder.path()).status();
        assert!(unpacked.unwrap().success());
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(std::fs::read(folder.path().join(PROGRAM)).unwrap() == own);
        for library in syscall::libraries() {
            let copy = folder.path().join(library.strip_prefix("/").unwrap());
            assert!(std::fs::read(copy).unwrap() == std::fs::read(library).unwrap());
        }
    }

    #[test]
    fn long_names_are_parted_and_longer_ones_refused() {
        let folder = "f".repeat(120);
        assert_eq!(parted(&format!("{folder}/x.so")), Some((folder.as_str(), "x.so")));
        assert_eq!(parted(&"f".repeat(101)), None);
        assert_eq!(parted(&format!("{}/x", "f".repeat(156))), None);
    }
}
