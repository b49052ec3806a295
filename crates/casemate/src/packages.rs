//! The packages of an installation: where they are kept, where they come from, and who hears of it.

use std::path::PathBuf;
use std::sync::Arc;

use casemate_config::PackageSources;
use casemate_net::SystemResolver;
use casemate_registry::{Error, Packages, Registry, Settings, Sources};
use casemate_sandbox::Spawner;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cells::{errands, real};
use crate::context::Context;
use crate::wiring::recorder::Log;

/// The user id that package clients have when we are root: the one behind those of servers (casemate-config).
const ACCOUNT: u32 = 0x7100_0000;

/// What preparing packages has a part in.
#[derive(Debug)]
pub struct Life {
    /// Preparing runs on it.
    pub tracker: TaskTracker,
    /// Ends all preparing.
    pub stop: CancellationToken,
    /// Where is recorded what package clients reach, and try to.
    pub log: Arc<Log>,
}

/// The packages of an installation. Touches nothing yet.
///
/// # Errors
/// A variable or setting that says where packages come from, and cannot be used.
pub fn of(
    context: &Context,
    written: &PackageSources,
    spawner: Spawner,
    life: Life,
) -> Result<Packages, Error> {
    let settings = Settings {
        folder: folder(context),
        sources: sources(written, context.environment.package_sources()?)?,
        search: context.environment.server_folders(),
        home: context.environment.home().unwrap_or_else(|| PathBuf::from("/")),
        account: ACCOUNT,
        resolver: Arc::new(SystemResolver::new()),
        witness: errands(life.log),
        tracker: life.tracker,
        stop: life.stop,
    };
    Ok(Packages::new(spawner, settings))
}

/// What the configuration says wins over what variables do.
fn sources(written: &PackageSources, told: Sources) -> Result<Sources, Error> {
    let registry = |written: &Option<String>, told: Registry| match written {
        Some(address) => Registry::parse(address),
        None => Ok(told),
    };
    Ok(Sources {
        npm: registry(&written.npm, told.npm)?.also_reaching(written.reach.iter().cloned()),
        pypi: registry(&written.pypi, told.pypi)?.also_reaching(written.reach.iter().cloned()),
        ..told
    })
}

/// Where prepared packages are kept. What cells are shown lies behind no link, and a home often does.
pub fn folder(context: &Context) -> PathBuf {
    real(&context.paths.data().join("packages"))
}
