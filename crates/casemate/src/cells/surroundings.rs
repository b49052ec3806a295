//! What all servers of an installation have in common.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
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
        })
    }

    /// Refuses what would show a server our keys, records or sockets.
    pub(super) fn check_read(&self, path: &Path) -> Result<(), Refused> {
        let meets = |private: &&PathBuf| private.starts_with(path) || path.starts_with(private);
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

    /// The same for what it may change.
    pub(super) fn check_write(&self, path: &Path) -> Result<(), Refused> {
        self.check_read(path)?;
        if self.config.starts_with(path) {
            return Err(Refused::new(
                format!("{} would let it change casemate's configuration", path.display()),
                "grant the folders beside it that the server needs, or move the configuration",
            ));
        }
        Ok(())
    }
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
    fn the_configuration_may_be_read_and_not_changed() {
        let surroundings = surroundings();
        for path in ["/home/ada/.config", "/home/ada/.config/casemate/casemate.toml"] {
            assert_eq!(surroundings.check_read(Path::new(path)), Ok(()), "{path}");
            assert!(surroundings.check_write(Path::new(path)).is_err(), "{path}");
        }
    }
}
