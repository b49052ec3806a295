//! From many files to the folder that they lie in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::learn::observed::Sort;

/// So many files of one folder stand for the folder.
const FILES_MANY: usize = 4;

/// So many files and folders of one folder do.
const ENTRIES_MANY: usize = 8;

/// Folders of installed packages and what is made of them.
const PACKAGES: [&str; 4] = ["node_modules", "site-packages", "dist-packages", "__pycache__"];

/// Folders of which every file belongs to one and the same thing, besides those of packages.
const WHOLES: [&str; 1] = [".git"];

/// What somebody wants to see, or to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    File,
    /// With all that it holds.
    Folder,
}

impl Wish {
    pub(super) fn of(sort: &Sort) -> Wish {
        if *sort == Sort::Folder { Wish::Folder } else { Wish::File }
    }
}

/// Puts folders in the place of many entries, from the bottom up, where a folder may be had as a whole.
pub(super) fn gather(
    mut wishes: BTreeMap<PathBuf, Wish>,
    allowed: impl Fn(&Path) -> bool,
) -> BTreeMap<PathBuf, Wish> {
    loop {
        drop_covered(&mut wishes);
        let mut counts: BTreeMap<PathBuf, (usize, usize)> = BTreeMap::new();
        for (path, wish) in &wishes {
            let Some(folder) = path.parent() else { continue };
            let (files, entries) = counts.entry(folder.to_owned()).or_default();
            *files += usize::from(*wish == Wish::File);
            *entries += 1;
        }
        let full = counts.into_iter().filter(|(folder, (files, entries))| {
            (*files >= FILES_MANY || *entries >= ENTRIES_MANY) && allowed(folder)
        });
        // The deepest first, since the others may then be less full.
        let Some((folder, _)) = full.max_by_key(|(folder, _)| folder.components().count()) else {
            return wishes;
        };
        wishes.insert(folder, Wish::Folder);
    }
}

/// The outermost folder of installed packages that something lies in, or that it is.
pub(super) fn package(path: &Path) -> Option<&Path> {
    path.ancestors().filter(|folder| PACKAGES.iter().any(|name| folder.ends_with(name))).last()
}

/// The outermost folder that something lies in and that is of one piece.
fn whole(path: &Path) -> Option<&Path> {
    let is_whole = |folder: &&Path| PACKAGES.iter().chain(&WHOLES).any(|name| folder.ends_with(name));
    path.ancestors().skip(1).filter(is_whole).last()
}

/// Adds the folders of one piece that something lies in, where they may be had.
pub(super) fn add_wholes(
    mut wishes: BTreeMap<PathBuf, Wish>,
    allowed: impl Fn(&Path) -> bool,
) -> BTreeMap<PathBuf, Wish> {
    let wholes: BTreeSet<PathBuf> =
        wishes.keys().filter_map(|path| whole(path)).map(Path::to_owned).collect();
    let wholes = wholes.into_iter().filter(|folder| allowed(folder));
    wishes.extend(wholes.map(|folder| (folder, Wish::Folder)));
    wishes
}

/// Drops what lies in a folder that is wished for as well.
fn drop_covered(wishes: &mut BTreeMap<PathBuf, Wish>) {
    let whole = wishes.iter().filter(|(_, wish)| **wish == Wish::Folder);
    let whole: BTreeSet<PathBuf> = whole.map(|(path, _)| path.clone()).collect();
    wishes.retain(|path, _| !path.ancestors().skip(1).any(|above| whole.contains(above)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(files: &[&str]) -> BTreeMap<PathBuf, Wish> {
        let wish = |path: &&str| match path.strip_suffix('/') {
            Some(folder) => (PathBuf::from(folder), Wish::Folder),
            None => (PathBuf::from(path), Wish::File),
        };
        files.iter().map(wish).collect()
    }

    #[test]
    fn a_few_files_stay_files() {
        let few = wishes(&["/srv/a/1", "/srv/a/2", "/srv/a/3", "/srv/b"]);
        assert_eq!(gather(few.clone(), |_| true), few);
    }

    #[test]
    fn many_files_are_their_folder_and_many_folders_too() {
        let files: Vec<String> =
            (0..8).flat_map(|outer| (0..4).map(move |inner| format!("/srv/m/{outer}/{inner}"))).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        assert_eq!(gather(wishes(&files), |_| true), wishes(&["/srv/m/"]));
        let folders: Vec<String> = (0..8).map(|outer| format!("/srv/m/{outer}/")).collect();
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        assert_eq!(gather(wishes(&files), |path| path != Path::new("/srv/m")), wishes(&folders));
    }

    #[test]
    fn installed_packages_are_one_thing() {
        let files = wishes(&["/srv/app/node_modules/a/node_modules/b/c.js", "/srv/app/main.js"]);
        let wholes = gather(add_wholes(files.clone(), |_| true), |_| true);
        assert_eq!(wholes, wishes(&["/srv/app/main.js", "/srv/app/node_modules/"]));
        assert_eq!(add_wholes(files.clone(), |_| false), files);
    }

    #[test]
    fn what_is_in_a_folder_needs_no_wish_of_its_own() {
        let both = wishes(&["/srv/a/", "/srv/a/b/c", "/srv/ab"]);
        assert_eq!(gather(both, |_| true), wishes(&["/srv/a/", "/srv/ab"]));
    }

    #[test]
    fn where_a_folder_may_not_be_had_its_files_stay() {
        let files = wishes(&["/home/ada/1", "/home/ada/2", "/home/ada/3", "/home/ada/4"]);
        assert_eq!(gather(files.clone(), |path| path != Path::new("/home/ada")), files);
    }
}
