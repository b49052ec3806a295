//! Servers and clients to test the gateway with; used by tests only.
//!
//! Knows: the protocol, once more. The good server ([`fixture`]), the hostile one ([`hostile`]), the clients
//! ([`client`]) and the forwarder ([`forward`]) read and write plain `serde_json` values and share no code with
//! `casemate-mcp` or `casemate-transport`, so that a mistake there is not repeated here and thereby hidden.
//!
//! Does not know: the gateway, its configuration, or any other crate of ours. The good server is right because
//! the official conformance suite says so when it is run against it directly (docs/conformance.md).

pub mod client;
pub mod engine;
pub mod fixture;
pub mod forward;
pub mod hostile;
pub mod judge;
mod listen;
pub mod person;
pub mod posts;
pub mod program;
mod rpc;
pub mod socket;
mod sse;

pub use fixture::{Era, Fixture};
pub use program::bin_path;
pub use rpc::RpcError;
