//! Packages as the programs of servers: prepared once, started from a tree that is only read.

use std::sync::Arc;

use casemate_gateway::upstream::report::Origin;
use casemate_registry::{Asked, Error, Packages, Prepared, Scripts, Settings, Unpinned};

use super::sources::sources;
use super::story::Story;
use super::{Cells, Refused};

/// The user id of package clients when we are root: the first one after those of servers.
const ACCOUNT: u32 = 0x7100_0000;

/// Who the records say tries to reach registries. No server can be called so.
const NAME: &str = "(packages)";

impl Cells {
    /// Makes a package ready to start, which takes minutes the first time.
    pub(super) async fn prepare(&self, asked: &Asked, scripts: Scripts) -> Result<Prepared, Refused> {
        let packages = self.packages()?;
        packages.prepare(asked, scripts).await.map_err(|error| refused(&error))
    }

    /// Why a command line that names no exact version is refused, with the line that would do.
    pub(super) async fn unpinned(&self, unpinned: &Unpinned) -> Refused {
        let found = match self.packages() {
            Ok(packages) => packages.current(unpinned).await,
            Err(refused) => return refused,
        };
        Refused::new(unpinned.to_string(), unpinned.hint(&found))
    }

    fn packages(&self) -> Result<&Packages, Refused> {
        if let Some(packages) = self.packages.get() {
            return Ok(packages);
        }
        let surroundings = &self.surroundings;
        let sources =
            sources(&surroundings.packages, &surroundings.available).map_err(|error| refused(&error))?;
        let (story, _) = Story::new(NAME, self.log.clone());
        let settings = Settings {
            folder: surroundings.package_folder.clone(),
            sources,
            search: surroundings.search.clone(),
            home: surroundings.user_home.clone(),
            account: ACCOUNT,
            resolver: Arc::clone(&self.resolver),
            witness: Arc::new(story),
            tracker: self.tracker.clone(),
            stop: self.stop.clone(),
        };
        Ok(self.packages.get_or_init(|| Packages::new(self.spawner.clone(), settings)))
    }
}

/// What is told of a package that a server was started from.
pub(super) fn origin(asked: &Asked, prepared: &Prepared) -> Origin {
    let ecosystem = asked.ecosystem().as_str();
    let named = asked
        .packages()
        .iter()
        .map(|package| format!("{ecosystem}:{}@{}", package.name(), package.version()));
    Origin {
        name: named.collect::<Vec<_>>().join(", "),
        sha256: prepared.lock_sha256.clone(),
        scripts: (!prepared.scripts_ran.is_empty()).then(|| prepared.scripts_ran.join(", ")),
    }
}

fn refused(error: &Error) -> Refused {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Refused::new(format!("{error}{cause}"), error.hint())
}
