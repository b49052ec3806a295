//! Whether a tree is still the one that was prepared.
//!
//! A tree is sealed once: everything in it is looked at, made read-only and hashed. On each use its files are compared by
//! size, mode, inode and times of change, which costs two microseconds for each; the kernel sets the last of these times
//! itself whenever contents, mode or owner change, and nobody but root with a wrong clock can set it to another value. When
//! they differ (a restored backup, a copied folder) the contents are hashed again, and only these decide.
//!
//! This protects from accidents, from servers and other programs that can write to the tree, and from half-written disks. It
//! does not protect from somebody who can write to the seal and the lock file too: the lock's digest, which is part of what
//! is recorded outside of this folder at each start, tells of that one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::shelf::{self, Place};

/// The largest trees that were seen (browsers, machine learning) have some 100,000 files.
const FILES_MAX: usize = 1_000_000;

/// Longer chains of folders are made to break programs that walk them.
const DEPTH_MAX: usize = 64;

/// How a tree looked when it was complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    /// The lock file that belongs to it.
    lock_sha256: String,
    /// What each start compares.
    looks: String,
    /// What decides.
    contents: String,
}

/// Everything in a tree, in order.
#[derive(Debug)]
struct Survey {
    tree: PathBuf,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    path: PathBuf,
    kind: Kind,
    found: fs::Metadata,
}

#[derive(Debug)]
enum Kind {
    Folder,
    File,
    Link(PathBuf),
}

/// A tree that nobody can write to any more.
#[derive(Debug)]
pub(crate) struct Closed {
    looks: String,
    contents: String,
}

/// Inspects what was installed and makes it read-only. `outside` are the only places to which a link may lead out of the
/// tree. Blocks for as long as it takes to read everything.
pub(crate) fn close(place: &Place, package: &str, outside: &[PathBuf]) -> Result<Closed, Error> {
    let tree = place.tree();
    let file = |doing| Error::file(doing, &tree);
    let survey = Survey::take(&tree).map_err(file("look through"))?;
    survey.judge(outside).map_err(|what| Error::unfit(package, what))?;
    survey.close().map_err(file("write-protect"))?;
    let survey = Survey::take(&tree).map_err(file("look through"))?;
    let contents = survey.contents().map_err(file("read"))?;
    // The files first: a seal that outlives a power failure must not vouch for files that did not.
    File::open(&tree).and_then(|tree| Ok(rustix::fs::syncfs(tree)?)).map_err(file("write"))?;
    Ok(Closed { looks: survey.looks(), contents })
}

impl Closed {
    /// Seals it.
    pub(crate) fn seal(self, place: &Place, lock_sha256: &str) -> Result<(), Error> {
        let Closed { looks, contents } = self;
        Seal { lock_sha256: lock_sha256.to_owned(), looks, contents }.keep(place)
    }
}

/// Whether a place holds a complete tree, and whether it is the one that was sealed. Blocks.
pub(crate) fn verify(place: &Place, lock_sha256: &str) -> Result<Verdict, Error> {
    let Some(text) = shelf::read(&place.seal())? else { return Ok(Verdict::Incomplete) };
    let Ok(seal) = serde_json::from_slice::<Seal>(&text) else { return Ok(Verdict::Changed) };
    if seal.lock_sha256 != lock_sha256 {
        return Ok(Verdict::Changed);
    }
    let tree = place.tree();
    let Ok(survey) = Survey::take(&tree) else { return Ok(Verdict::Changed) };
    let looks = survey.looks();
    if looks == seal.looks {
        return Ok(Verdict::Intact);
    }
    match survey.contents() {
        Ok(contents) if contents == seal.contents => {
            // It may be ours or somebody else's to write; the next start then hashes again.
            let _ = Seal { looks, ..seal }.keep(place);
            Ok(Verdict::Intact)
        }
        _ => Ok(Verdict::Changed),
    }
}

/// What became of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody has sealed it.
    Incomplete,
    Intact,
    Changed,
}

impl Seal {
    fn keep(&self, place: &Place) -> Result<(), Error> {
        let text =
            serde_json::to_vec(self).map_err(|fault| Error::file("write", &place.seal())(fault.into()))?;
        shelf::write(&place.seal(), &text)
    }
}

impl Survey {
    fn take(tree: &Path) -> io::Result<Survey> {
        let found = fs::symlink_metadata(tree)?;
        if !found.is_dir() {
            return Err(io::Error::other("it is no folder"));
        }
        let mut items = vec![Item { path: tree.to_owned(), kind: Kind::Folder, found }];
        let mut next = 0;
        while let Some(item) = items.get(next) {
            next += 1;
            if !matches!(item.kind, Kind::Folder) {
                continue;
            }
            if item.path.components().count() > tree.components().count() + DEPTH_MAX {
                return Err(io::Error::other("its folders lie too deep"));
            }
            for entry in fs::read_dir(item.path.clone())? {
                items.push(Item::look(entry?.path())?);
            }
            if items.len() > FILES_MAX {
                return Err(io::Error::other("it has too many files"));
            }
        }
        items.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(Survey { tree: tree.to_owned(), items })
    }

    /// Refuses links that lead out of the tree, and files that can also be written to under another name.
    fn judge(&self, outside: &[PathBuf]) -> Result<(), String> {
        for item in &self.items {
            let name = item.path.strip_prefix(&self.tree).unwrap_or(&item.path).display();
            match &item.kind {
                Kind::Link(to) if !outside.contains(to) && !self.holds(&item.path, to) => {
                    return Err(format!("the link {name} leads to {}, out of its tree", to.display()));
                }
                Kind::File if item.found.nlink() > 1 => {
                    return Err(format!("the file {name} has a second name"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a link leads to a place in the tree. Steps upwards count before anything else only: behind another link they
    /// would start at a place that the words do not show.
    fn holds(&self, link: &Path, to: &Path) -> bool {
        let folder = link.parent().and_then(|folder| folder.strip_prefix(&self.tree).ok());
        let Some(folder) = folder else { return false };
        let up = to.components().take_while(|part| *part == Component::ParentDir).count();
        up <= folder.components().count()
            && to.components().skip(up).all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    }

    /// Makes all of it read-only, and ours: as root, a package client runs as another user.
    fn close(&self) -> io::Result<()> {
        let root = rustix::process::geteuid().is_root();
        for item in &self.items {
            if root {
                std::os::unix::fs::lchown(&item.path, Some(0), Some(0))?;
            }
            match item.kind {
                Kind::Link(_) => {}
                Kind::Folder => shelf::set_mode(&item.path, 0o555)?,
                Kind::File => shelf::set_mode(&item.path, 0o444 | item.executable())?,
            }
        }
        Ok(())
    }

    fn looks(&self) -> String {
        let mut digest = Sha256::new();
        for item in &self.items {
            item.name_into(&self.tree, &mut digest);
            let found = &item.found;
            for number in [found.mode().into(), found.size(), found.ino(), found.nlink(), found.uid().into()]
            {
                digest.update(number.to_be_bytes());
            }
            for time in [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()] {
                digest.update(time.to_be_bytes());
            }
        }
        shelf::hex(&digest.finalize())
    }

    fn contents(&self) -> io::Result<String> {
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        for item in &self.items {
            item.name_into(&self.tree, &mut digest);
            if let Kind::File = item.kind {
                let mut own = Sha256::new();
                let mut file = File::open(&item.path)?;
                loop {
                    let count = file.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    own.update(buffer.get(..count).unwrap_or_default());
                }
                digest.update(own.finalize());
            }
        }
        Ok(shelf::hex(&digest.finalize()))
    }
}

impl Item {
    fn look(path: PathBuf) -> io::Result<Item> {
        let found = fs::symlink_metadata(&path)?;
        let kind = match found.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File,
            kind if kind.is_symlink() => Kind::Link(fs::read_link(&path)?),
            _ => return Err(io::Error::other("it has something that is neither file, folder nor link")),
        };
        Ok(Item { path, kind, found })
    }

    fn executable(&self) -> u32 {
        match self.found.mode() & 0o111 {
            0 => 0,
            _ => 0o111,
        }
    }

    /// Path, kind and what a link says: the same for every copy of the tree.
    fn name_into(&self, tree: &Path, digest: &mut Sha256) {
        let mut word = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        word(self.path.strip_prefix(tree).unwrap_or(&self.path).as_os_str().as_bytes());
        match &self.kind {
            Kind::Folder => word(b"folder"),
            Kind::File if self.executable() == 0 => word(b"file"),
            Kind::File => word(b"program"),
            Kind::Link(to) => {
                word(b"link");
                word(to.as_os_str().as_bytes());
            }
        }
    }
}
