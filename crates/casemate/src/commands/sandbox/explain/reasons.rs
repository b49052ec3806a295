//! Why a server sees what it sees.

use std::path::{Path, PathBuf};

use casemate_gateway::snapshot::Program;
use casemate_gateway::upstream::Launch;
use casemate_sandbox::{CellSpec, Grant};
use secrecy::ExposeSecret;

use super::{Access, Seen};
use crate::cells::{Design, Spelling};
use crate::context::Context;
use crate::packages;

/// Where grants can come from.
#[derive(Debug)]
pub(super) struct Reasons<'a> {
    design: &'a Design,
    spelling: Spelling,
    /// The working directory that its entry names.
    cwd: Option<&'a Path>,
    /// Where prepared packages lie.
    packages: PathBuf,
}

impl<'a> Reasons<'a> {
    pub(super) fn new(
        context: &Context,
        launch: &'a Launch,
        (design, spelling): (&'a Design, Spelling),
    ) -> Reasons<'a> {
        let cwd = match &launch.program {
            Program::Command(command) => command.cwd.as_deref(),
            Program::Image(_) => None,
        };
        Reasons { design, spelling, cwd, packages: packages::folder(context) }
    }

    /// Everything of the host that is in the cell because of this server; what is the same for all comes last.
    pub(super) fn seen(&self, cell: &CellSpec) -> Vec<Seen> {
        let grant = |Grant { path, access }: &Grant| {
            let access = Access::from(*access);
            Seen { path: path.clone(), access, why: self.why(path, access) }
        };
        let is_everywhere = |path: &&PathBuf| CellSpec::RUNTIME.iter().any(|same| path.as_os_str() == *same);
        let read = |path: &PathBuf, why| Seen { path: path.clone(), access: Access::Read, why };
        let (same, own): (Vec<_>, Vec<_>) = cell.runtime.iter().partition(is_everywhere);
        let own = own.into_iter().map(|path| read(path, self.why_runtime(path)));
        let same = same.into_iter().filter(|path| path.exists());
        let same = same.map(|path| read(path, "the host's programs and libraries, in every cell".to_owned()));
        cell.grants.iter().map(grant).chain(own).chain(same).collect()
    }

    fn why(&self, path: &Path, access: Access) -> String {
        if let Some(room) = &self.design.room {
            if access == Access::Write && is_among(path, &room.write) {
                return self.spelling.said("write");
            }
            if is_among(path, &room.read) {
                return self.spelling.said("read");
            }
        }
        if self.home().is_some_and(|home| home == path) {
            return "a folder of its own, which goes with the cell".to_owned();
        }
        if self.cwd == Some(path) {
            return "its working directory".to_owned();
        }
        self.why_program(path)
    }

    fn why_runtime(&self, path: &Path) -> String {
        match &self.design.room {
            Some(room) if is_among(path, &room.runtime) => self.spelling.said("runtime"),
            _ => self.why_program(path),
        }
    }

    fn why_program(&self, path: &Path) -> String {
        match path.starts_with(&self.packages) {
            true => "its package, as it was prepared".to_owned(),
            false => "its program, and what that is a part of".to_owned(),
        }
    }

    fn home(&self) -> Option<&Path> {
        let home = self.design.spec.env.iter().find(|(name, _)| name == "HOME");
        home.map(|(_, value)| Path::new(value.expose_secret()))
    }
}

fn is_among(path: &Path, paths: &[PathBuf]) -> bool {
    paths.iter().any(|known| known == path)
}
