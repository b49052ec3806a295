//! The toolkit: MCP servers of our own, spoken over stdio like anybody's.
//!
//! Knows: what the built-in servers offer, how their arguments are checked, and how one of them is served over a
//! pair of pipes to a client of either dialect.
//! Does not know: the gateway, configuration, or the environment. There is no privileged path: a built-in server
//! runs in a cell as any other, sees what the cell shows it, and is called through the whole journey.
//!
//! A further server is a type that implements [`Server`], a variant of [`Builtin`], and a row in its tables.

mod builtin;
mod parameter;
mod server;
mod session;
pub mod system;
mod tool;

pub use builtin::{BUILTINS, Builtin, serve};
pub use parameter::{Arguments, Kind, Parameter};
pub use server::{Server, ToolFault};
pub use tool::{Effect, Tool};
