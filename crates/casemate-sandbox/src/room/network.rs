//! What a server may reach over the network.

use std::collections::BTreeSet;
use std::fmt;

use super::plan::Refusal;
use super::{CellSpec, Kind, Layer, Profile};

/// What a server may reach over the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Network {
    /// Nothing. A full cell has a loopback of its own; a light one has no sockets but pairs.
    None,
    /// Nothing either, but a full cell hands out a [`casemate_net::egress::Doorway`]: whoever holds it answers the
    /// questions for names, takes over the connections to these TCP ports of whatever address, and sees what else is
    /// tried. A set without ports still shows all that is tried. The server cannot listen on these ports itself.
    /// Neither 0 nor 53 (which is the cell's name server) can be among them, and no more than [`Network::PORTS_MAX`].
    Ports(BTreeSet<u16>),
}

impl Network {
    /// How many ports a cell can have taken over: their listeners are handed out by one message, which the kernel
    /// limits to 253 descriptors (SCM_MAX_FD).
    pub const PORTS_MAX: usize = 128;
}

/// The port of the cell's name server, which is casemate's.
const NAMES: u16 = 53;

/// Refuses what no host could enforce.
pub(super) fn check(spec: &CellSpec) -> Result<(), Refusal> {
    let Network::Ports(ports) = &spec.network else { return Ok(()) };
    let refuse = |reason: String, remedy| Err(Refusal { layer: Layer::Network, reason, remedy });
    if spec.required == Kind::Light {
        let reason = "a light cell has no network".to_owned();
        return refuse(reason, "ask for a full cell, or grant no network");
    }
    if spec.profile == Profile::Offline {
        let reason = "the profile `offline` has no sockets".to_owned();
        return refuse(reason, "use the profile `standard`, or grant no network");
    }
    match fault(ports) {
        Some((reason, remedy)) => refuse(reason, remedy),
        None => Ok(()),
    }
}

/// What is wrong with ports, and what to do about it.
pub(crate) fn fault(ports: &BTreeSet<u16>) -> Option<(String, &'static str)> {
    if let Some(port) = [0, NAMES].into_iter().find(|port| ports.contains(port)) {
        let remedy = "grant another port; names can be asked for in any case";
        return Some((format!("port {port} cannot be granted"), remedy));
    }
    let count = ports.len();
    let most = Network::PORTS_MAX;
    (count > most).then(|| (format!("{count} ports are more than {most}"), "grant fewer ports"))
}

/// Ports in a sentence.
pub(super) struct Ports<'a>(pub(super) &'a BTreeSet<u16>);

impl fmt::Display for Ports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.0.iter().map(u16::to_string).collect();
        match ports.as_slice() {
            [] => f.write_str("no port"),
            [port] => write!(f, "port {port}"),
            ports => write!(f, "ports {}", ports.join(", ")),
        }
    }
}
