//! The real pipeline, from a client's socket to a server and back, with every part of the gateway in between.

mod approvals;
mod attacks;
mod bad_input;
mod bridge;
mod calls;
mod dialects;
mod discovery;
mod flows;
pub(crate) mod harness;
mod hostile;
mod inspection;
mod intercept;
mod limits;
mod lists;
mod names;
mod pins;
mod posts;
mod quarantine;
mod results;
mod seen;
mod sessions;
mod sockets;
mod strangers;
mod structure;
mod tasks;
mod tokens;
mod transports;
