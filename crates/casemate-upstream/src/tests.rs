//! The room as a whole, against processes that are tasks on pipes and servers that are tasks on sockets.

mod fakes;
mod good;
mod http;
mod lifecycle;
mod misbehavior;
mod sockets;
mod stdio;
