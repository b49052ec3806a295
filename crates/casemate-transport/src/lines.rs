//! Stdio framing: one JSON-RPC message per line, in both directions, and a server's stderr.
//!
//! A line is cut out of the read buffer without a copy; whether it is UTF-8 and JSON is the judgement of
//! `casemate_mcp::json`, which has to look at every byte anyway.

mod reader;
mod ring;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Line, LineReader};
pub use ring::{Ring, collect};
pub use writer::writer;
