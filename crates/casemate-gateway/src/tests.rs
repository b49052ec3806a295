//! The real pipeline, from a client's socket to a server and back, with every part of the gateway in between.

mod approvals;
mod attacks;
mod bad_input;
mod calls;
mod discovery;
mod harness;
mod hostile;
mod inspection;
mod limits;
mod lists;
mod pins;
mod posts;
mod sessions;
mod sockets;
mod strangers;
mod tokens;
mod transports;
