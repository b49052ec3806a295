//! The memory of an installation: what has to outlive the process.
//!
//! Knows: the SQLite database with keys, pins and state, how its schema grows, who may read its files, and the log of
//! records with its canonical lines.
//! Does not know: what a key opens, what a definition says, what a state value means, who is asked for anything, or where the folders
//! are: those are arguments. Several processes may hold one [`Store`]; one at a time may hold a [`RecordLog`].

mod changes;
mod clock;
mod fault;
mod folder;
mod keys;
mod pins;
pub mod records;
mod schema;
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
pub use records::RecordLog;
pub use state::{Entry, State, VALUE_MAX};
pub use store::Store;
