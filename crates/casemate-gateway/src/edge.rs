//! Where bytes become heads, and deliveries become bytes: the two ways into the gateway.

pub mod http;
pub mod lines;
