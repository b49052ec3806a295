//! The memory of an installation: what has to outlive the process.
//!
//! Knows: the SQLite database with keys, pins, quarantine, state and sealed values, how its schema grows, private files and who may
//! read them, the log of records with its canonical lines, and the spool of results, which does not outlive its process.
//! Does not know: what a key opens, what a definition says, what a state value means, how a secret is sealed, who is asked for
//! anything, or where the folders are: those are arguments. Any number of processes may hold a [`Store`] and a
//! [`RecordLog`] at the same time.

mod changes;
mod clock;
mod fault;
mod folder;
mod keys;
mod pins;
mod private;
mod quarantine;
pub mod records;
mod schema;
mod sealed;
pub mod spool;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use changes::Changes;
pub use fault::StoreFault;
pub use folder::FolderFault;
pub use keys::{KeyRecord, Keys};
pub use pins::{Pin, PinKind, Pins, Seen, Version};
pub use private::{PrivateFile, Writing};
pub use quarantine::{Confined, Quarantine};
pub use records::RecordLog;
pub use sealed::{Before, Reseal, Sealed, Written};
pub use spool::Spool;
pub use state::{Entry, State, VALUE_MAX};
pub use store::Store;
