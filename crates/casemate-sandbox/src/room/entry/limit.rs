//! The limits that the kernel keeps for each process or user.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::room::plan::Quantity;

/// Sets both the soft and the hard limit. One that is lower already stays, since nobody may raise it.
pub(super) fn set(quantity: Quantity, most: u64) -> Result<(), Errno> {
    let resource = match quantity {
        Quantity::MemoryBytes => Resource::Data,
        Quantity::Processes => Resource::Nproc,
        Quantity::OpenFiles => Resource::Nofile,
        Quantity::FileBytes => Resource::Fsize,
        Quantity::CoreBytes => Resource::Core,
    };
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}
