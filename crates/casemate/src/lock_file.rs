//! Lock files on disk, with the signatures beside them.

use std::fs::Permissions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use casemate_registry::lock::{LOCK_BYTES_MAX, Lock, sign, verify};

use crate::exit::Exit;
use crate::failure::Failure;

/// The largest key or signature that is read, in bytes.
const SMALL_MAX: usize = 64 << 10;

/// Reads a lock file; with a key, only one whose signature is good.
pub fn read(file: &Path, key: Option<&Path>) -> anyhow::Result<Lock> {
    let text = text(file, LOCK_BYTES_MAX)?;
    if let Some(key) = key {
        let beside = signature(file);
        let checked = verify(&text, &self::text(&beside, SMALL_MAX)?, &self::text(key, SMALL_MAX)?);
        checked.map_err(|why| {
            let message = format!("{} does not sign {}: {why}", beside.display(), file.display());
            Failure::new(Exit::Configuration, message).hint("ask for the file again where it was signed")
        })?;
    }
    let lock = Lock::parse(&text).map_err(|why| {
        let failure = Failure::new(
            Exit::Configuration,
            format!("{} cannot be used as a lock file: {why}", file.display()),
        );
        failure.hint("`casemate pin export --output FILE` writes one")
    })?;
    Ok(lock)
}

/// Writes a lock file, and its signature when there is a key.
pub fn write(lock: &Lock, file: &Path, key: Option<&Path>) -> anyhow::Result<()> {
    let text = lock.to_string();
    let signed = key.map(|key| signed(&text, key)).transpose()?;
    replace(file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))?;
    if let Some(signed) = signed {
        let beside = signature(file);
        replace(&beside, signed.as_bytes()).with_context(|| format!("cannot write {}", beside.display()))?;
    }
    Ok(())
}

fn signed(text: &str, key: &Path) -> anyhow::Result<String> {
    sign(text, &self::text(key, SMALL_MAX)?).map_err(|why| {
        let failure = Failure::new(Exit::Failure, format!("{} cannot sign: {why}", key.display()));
        failure.hint("`openssl genpkey -algorithm ed25519` makes a key").into()
    })
}

/// Where the signature of a file lies.
pub fn signature(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// As a whole or not at all. Others may read it: there is no secret in it.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(content)?;
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

fn text(file: &Path, max: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let read = opened.take(max as u64 + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {}", file.display()))?;
    anyhow::ensure!(text.len() <= max, "{} has more than {max} bytes", file.display());
    Ok(text)
}
