//! `control.sock`: how this command line speaks to the running gateway of its installation.
//!
//! A small HTTP/1.1 JSON interface over a Unix socket in a folder that only its owner may enter. Whoever connects
//! is asked for no credential but must be the same user, as the kernel reports it. A browser cannot reach it.

pub mod client;
pub mod server;
pub mod wire;

#[cfg(test)]
mod tests;
