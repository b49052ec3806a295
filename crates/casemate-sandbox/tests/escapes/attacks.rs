//! The table of attacks.

use crate::attack::Attack;

mod doors;
mod files;
mod kernel;
mod limits;
mod network;
mod processes;

/// All rows.
pub(crate) fn all() -> impl Iterator<Item = Attack> {
    [files::ALL, processes::ALL, kernel::ALL, network::ALL, doors::ALL, limits::ALL]
        .into_iter()
        .flatten()
        .copied()
}
