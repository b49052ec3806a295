//! The settings themselves, a file for each part of the configuration.

mod cells;
mod confirmed;
mod discovery;
mod flows;
mod front;
mod gateway;
mod guards;
mod identity;
mod inspect;
mod interceptors;
mod limits;
mod oauth;
mod packages;
mod quarantine;
mod questions;
mod rules;
mod servers;
mod spool;

use std::time::Duration;

use super::Setting;

/// All settings, in the order in which they are shown.
pub fn settings() -> impl Iterator<Item = &'static Setting> + Clone {
    let parts = [
        gateway::SETTINGS,
        front::SETTINGS,
        discovery::SETTINGS,
        limits::SETTINGS,
        questions::SETTINGS,
        spool::SETTINGS,
        servers::SETTINGS,
        oauth::SETTINGS,
        cells::SETTINGS,
        limits::SERVERS,
        confirmed::SETTINGS,
        inspect::SERVER_SETTINGS,
        guards::SETTINGS,
        quarantine::SERVERS,
        flows::SERVERS,
        packages::SETTINGS,
        inspect::SETTINGS,
        interceptors::SETTINGS,
        limits::ROLES,
        rules::SETTINGS,
        quarantine::SETTINGS,
        flows::SETTINGS,
        identity::SETTINGS,
    ];
    parts.into_iter().flatten()
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
