//! The gateway's ports, joined to what is behind them.

pub mod desk;
pub mod identities;
pub mod judges;
pub mod ledger;
pub mod lists;
pub mod locked;
pub mod logins;
pub mod nowhere;
pub mod pins;
pub mod recorder;
pub mod results;
pub mod wards;
