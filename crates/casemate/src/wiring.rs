//! The gateway's ports, joined to what is behind them.

pub mod identities;
pub mod pins;
pub mod recorder;
