//! Where bytes become heads, and deliveries become bytes: the ways into the gateway.

pub mod http;
pub mod lines;
mod link;
