//! The journey of a call, and the upstream servers that calls go to.
//!
//! Knows: who asks for what, whether that may be done, how servers are started, asked and ended, and what each
//! endpoint shows. `journey.rs` is the file to read first.
//! Does not know: where identities, configuration and records are kept. It reads one immutable snapshot and speaks to
//! the ports of `ports.rs`, which the program wires.

pub mod approvals;
pub mod authorization;
pub mod catalog;
pub mod client;
pub mod clock;
pub mod edge;
pub mod endpoint;
pub mod flows;
pub mod front;
pub mod gate;
pub mod journey;
pub mod limits;
pub mod ports;
pub mod quarantine;
pub mod refusal;
pub mod snapshot;
mod turned_away;

pub use casemate_upstream as upstream;

#[cfg(test)]
mod tests;
