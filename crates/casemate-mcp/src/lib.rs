//! The words: JSON that was checked once, JSON-RPC frames, names, methods and the protocol's dialects.
//!
//! Knows: how a message of each of the five protocol revisions is written, and the one version-free form
//! (`Call`, `Answer`, `Notice`) that the gateway works with.
//! Does not know: I/O, the clock, logging, who asks, or whether they may. Everything here is a pure function
//! over bytes. Payloads are carried losslessly: what nothing had to change leaves byte for byte as it came.

pub mod call;
pub mod dialect;
pub mod frame;
pub mod header;
pub mod json;
pub mod method;
pub mod names;
pub mod question;
pub mod revision;
pub mod task;
