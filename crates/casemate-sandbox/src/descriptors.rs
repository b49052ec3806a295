//! How many descriptors this process may have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit that programs are used to. A higher one breaks those that use `select(2)`, which is why it is the
/// default everywhere, and why a server gets it whatever we have.
const USUAL: u64 = 1024;

/// Raises the soft limit on open descriptors to the hard one: every connection, cell and port of a cell's network takes
/// some, and the usual 1024 are few. Gives the new limit; nothing where there is none.
///
/// # Errors
/// What the system refuses.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum)
}

/// Gives a program that has no limit of its own the usual one.
pub(crate) fn restore_open_files() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(USUAL, |most| most.min(USUAL));
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum })
}
