//! What all servers of an installation have in common.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use casemate_sandbox::CellSpec;
use casemate_sandbox::container::Search;
use casemate_sandbox::environment::Variable;

use crate::context::Context;
use crate::environment::Environment;
use crate::paths::{Paths, private_folder};

use super::Refused;

/// What all servers of an installation have in common, and what none of them gets to see.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `HOME` of a server without a cell, and its working directory when its entry names none.
    pub(super) home: PathBuf,
    /// `TMPDIR` of a server without a cell.
    pub(super) tmp: PathBuf,
    /// Directories that are searched before the fixed `PATH`, for example the one in which `node` lies.
    pub(super) search: Vec<PathBuf>,
    /// The variables of the user, of which package runners without a cell get the registry, CA and proxy settings.
    pub(super) available: Vec<Variable>,
    /// Where a container engine is looked for.
    pub(super) engine: Search,
    /// Keys, records and sockets: who reads them, or speaks there, has all that we have.
    pub(super) private: Vec<PathBuf>,
    /// Who may change it says what a cell is.
    pub(super) config: PathBuf,
    /// Our own program: who may change it is us at the next start.
    pub(super) program: Option<PathBuf>,
    /// The symbolic links on the way to all of these: who may change one chooses what we find there next time.
    pub(super) links: Vec<PathBuf>,
}

impl Surroundings {
    /// Makes the folders that servers without a cell share.
    pub fn of(context: &Context) -> anyhow::Result<Surroundings> {
        Surroundings::at(&context.paths, &context.environment)
    }

    pub(super) fn at(paths: &Paths, environment: &Environment) -> anyhow::Result<Surroundings> {
        let folder = |path: PathBuf| private_folder(&path).map(|()| path);
        let variables = environment.texts().into_iter();
        Ok(Surroundings {
            home: folder(paths.data().join("home")).context("servers need a home")?,
            tmp: folder(paths.data().join("tmp")).context("servers need a folder for temporary files")?,
            search: environment.server_folders(),
            available: variables.map(|(name, value)| (name.into(), value.into())).collect(),
            engine: super::image::search(paths, environment),
            private: vec![real(paths.data()), real(paths.run())],
            config: real(paths.config()),
            program: std::env::current_exe().ok(),
            links: [paths.data(), paths.run(), paths.config()].into_iter().flat_map(links).collect(),
        })
    }

    /// Refuses every cell when what is ours lies among the programs that each of them sees.
    pub(super) fn check_place(&self) -> Result<(), Refused> {
        for runtime in CellSpec::RUNTIME {
            if let Some(private) = self.private.iter().find(|private| is_within(private, Path::new(runtime)))
            {
                return Err(Refused::new(
                    format!(
                        "every cell sees {runtime}, and casemate's own keys and sockets lie in {}",
                        private.display()
                    ),
                    "choose another folder for them with --home or CASEMATE_HOME",
                ));
            }
        }
        Ok(())
    }

    /// Refuses what would show a server our keys, records or sockets.
    pub(super) fn check_read(&self, path: &Path) -> Result<(), Refused> {
        let meets = |private: &&PathBuf| is_within(private, path) || is_within(path, private);
        match self.private.iter().find(meets) {
            None => Ok(()),
            Some(private) => Err(Refused::new(
                format!(
                    "{} would show it casemate's own keys and sockets in {}",
                    path.display(),
                    private.display()
                ),
                "grant the folders inside of it that the server needs",
            )),
        }
    }

    /// The same for what lies under a path that may be a link, or behind one.
    pub(super) fn check_runtime(&self, path: &Path) -> Result<(), Refused> {
        self.check_read(path)?;
        self.check_read(&real(path))
    }

    /// The same for what it may change.
    pub(super) fn check_write(&self, path: &Path) -> Result<(), Refused> {
        self.check_read(path)?;
        if is_within(&self.config, path) {
            return Err(Refused::new(
                format!("{} would let it change casemate's configuration", path.display()),
                "grant the folders beside it that the server needs, or move the configuration",
            ));
        }
        if let Some(program) = self.program.as_ref().filter(|program| is_within(program, path)) {
            return Err(Refused::new(
                format!("{} would let it replace casemate itself, {}", path.display(), program.display()),
                "grant the folders beside it that the server needs, or install casemate elsewhere",
            ));
        }
        match self.links.iter().find(|link| link.starts_with(path)) {
            None => Ok(()),
            Some(link) => Err(Refused::new(
                format!(
                    "{} would let it change the link {}, through which casemate finds its own files",
                    path.display(),
                    link.display()
                ),
                "grant the folders beside it that the server needs, or put the files where the link is",
            )),
        }
    }
}

/// Whether a path leads into a folder, by name or because both are the same to the kernel: a folder that is mounted a second
/// time, or whose file system does not tell upper from lower case, has more names than one.
fn is_within(path: &Path, folder: &Path) -> bool {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let sought = identity(folder);
    path.starts_with(folder) || sought.is_some() && path.ancestors().any(|part| identity(part) == sought)
}

/// How many links are followed, as the kernel does it (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// The links that are followed on the way to a path, each where it really lies.
fn links(path: &Path) -> Vec<PathBuf> {
    let mut links: Vec<PathBuf> = Vec::new();
    let mut ahead = vec![path.to_owned()];
    while let Some(path) = ahead.pop() {
        for part in path.ancestors() {
            let (Some(folder), Some(name)) = (part.parent(), part.file_name()) else { continue };
            let place = real(folder).join(name);
            let Ok(to) = place.read_link() else { continue };
            if links.len() < LINKS_MAX && !links.contains(&place) {
                ahead.push(real(folder).join(to));
                links.push(place);
            }
        }
    }
    links
}

/// A path without links, as far as it exists: what is granted has none either.
pub(crate) fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings() -> Surroundings {
        let private = ["/home/ada/.local/share/casemate", "/home/ada/.local/state/casemate/run"];
        Surroundings {
            home: "/h".into(),
            tmp: "/t".into(),
            search: Vec::new(),
            available: Vec::new(),
            engine: Search::default(),
            private: private.map(PathBuf::from).to_vec(),
            config: "/home/ada/.config/casemate/casemate.toml".into(),
            program: Some("/home/ada/.cargo/bin/casemate".into()),
            links: Vec::new(),
        }
    }

    #[test]
    fn nothing_of_ours_is_shown_whichever_way_it_is_asked_for() {
        let surroundings = surroundings();
        for path in [
            "/home/ada",
            "/home/ada/.local",
            "/home/ada/.local/share/casemate",
            "/home/ada/.local/share/casemate/records",
            "/home/ada/.local/state/casemate/run/control.sock",
        ] {
            assert!(surroundings.check_read(Path::new(path)).is_err(), "{path}");
            assert!(surroundings.check_write(Path::new(path)).is_err(), "{path}");
        }
        for path in ["/home/ada/notes", "/home/ada/.local/share/casemate-notes", "/srv"] {
            assert_eq!(surroundings.check_write(Path::new(path)), Ok(()), "{path}");
        }
    }

    #[test]
    fn an_installation_among_the_programs_gets_no_cells() {
        let mut surroundings = surroundings();
        assert_eq!(surroundings.check_place(), Ok(()));
        surroundings.private = vec!["/usr/local/casemate/data".into()];
        assert!(surroundings.check_place().unwrap_err().what.contains("/usr/local/casemate/data"));
    }

    #[test]
    fn a_second_name_of_a_folder_is_that_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("one/inner")).unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        // A link stands for a mount here: the kernel tells the same of both.
        std::os::unix::fs::symlink(folder.path().join("one"), folder.path().join("two")).unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(is_within(&at("two/inner"), &at("one")));
        assert!(is_within(&at("one/inner"), &at("two")));
        assert!(!is_within(&at("other"), &at("one")));
        assert!(!is_within(&at("one"), &at("one/inner")));
    }

    #[test]
    fn our_own_program_may_be_read_and_not_replaced() {
        let surroundings = surroundings();
        for path in ["/home/ada/.cargo", "/home/ada/.cargo/bin", "/home/ada/.cargo/bin/casemate"] {
            assert_eq!(surroundings.check_read(Path::new(path)), Ok(()), "{path}");
            let refused = surroundings.check_write(Path::new(path)).unwrap_err();
            assert!(refused.what.contains("/home/ada/.cargo/bin/casemate"), "{refused}");
        }
        assert_eq!(surroundings.check_write(Path::new("/home/ada/.cargo/registry")), Ok(()));
    }

    #[test]
    fn the_configuration_may_be_read_and_not_changed() {
        let surroundings = surroundings();
        for path in ["/home/ada/.config", "/home/ada/.config/casemate/casemate.toml"] {
            assert_eq!(surroundings.check_read(Path::new(path)), Ok(()), "{path}");
            assert!(surroundings.check_write(Path::new(path)).is_err(), "{path}");
        }
    }
}
