//! The judgement over one cell's attempts: what each is for, and whether that is granted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::names::Names;
use super::notes::Notes;
use super::pace::Pace;
use super::usage::Usage;
use super::{Rules, Ungranted};
use crate::attempt::{Attempt, Protocol, Reason, Verdict};
use crate::destination::is_synthetic;
use crate::dialer::{Dialer, Target};
use crate::name::Name;
use crate::policy::{Policy, is_localhost};

/// All that is known about one cell's network.
#[derive(Debug)]
pub(super) struct Gate {
    policy: Policy,
    ungranted: Ungranted,
    names: Mutex<Names>,
    pub(super) dialer: Dialer,
    pub(super) usage: Usage,
    pub(super) notes: Notes,
    pub(super) pace: Pace,
}

/// What a connection or a datagram of the cell is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The name that the address stands for.
    pub(super) name: Option<Name>,
    /// The address, where it stands for itself.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl Gate {
    pub(super) fn new(rules: Rules) -> Gate {
        Gate {
            policy: rules.policy,
            ungranted: rules.ungranted,
            names: Mutex::default(),
            dialer: Dialer::new(rules.resolver),
            usage: Usage::new(rules.quotas),
            notes: Notes::new(rules.witness),
            pace: Pace::new(),
        }
    }

    /// The address that stands for a name, if that is granted.
    pub(super) fn address(&self, name: &Name) -> Option<Ipv4Addr> {
        self.policy.names(name).then(|| self.names().address(name))
    }

    /// The address that stands for a name which is not granted, where those have any.
    pub(super) fn decoy(&self, name: &Name) -> Option<Ipv4Addr> {
        (self.ungranted == Ungranted::Named).then(|| self.names().address(name))
    }

    /// What was called with that address.
    pub(super) fn call(&self, dialed: SocketAddr) -> Call {
        let address = dialed.ip().to_canonical();
        let name = match address {
            IpAddr::V4(short) if is_synthetic(address) => self.names().name(short),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let address = name.is_none().then_some(address);
        Call { name, address, port: dialed.port() }
    }

    /// Where the call goes to, if that is granted.
    pub(super) fn target(&self, call: &Call) -> Result<Target, Reason> {
        if let Some(name) = &call.name {
            return self.named(name, call.port);
        }
        let Some(address) = call.address else { return Err(Reason::NotGranted) };
        let mut ports = self.policy.ports_of(address).peekable();
        let is_elsewhere = ports.peek().is_some();
        if ports.any(|port| port == call.port) {
            return Ok(Target::Address(address));
        }
        // Programs do not ask which address `localhost` has.
        match Name::parse("localhost") {
            Ok(localhost) if is_localhost(address) => self.named(&localhost, call.port),
            _ if is_elsewhere => Err(Reason::PortNotGranted),
            _ => Err(Reason::NotGranted),
        }
    }

    fn named(&self, name: &Name, port: u16) -> Result<Target, Reason> {
        match self.policy.reaches(name, port) {
            Some(reaches) => Ok(Target::Name(name.clone(), reaches)),
            None if self.policy.names(name) => Err(Reason::PortNotGranted),
            None => Err(Reason::NotGranted),
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// What is told about it.
    pub(super) fn attempt(&self, protocol: Protocol, verdict: Verdict) -> Attempt {
        Attempt {
            name: self.name.as_ref().map(Name::to_string),
            address: self.address,
            port: self.port,
            protocol,
            verdict,
            times: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::gate;
    use super::*;

    fn target(grants: &[&str], dialed: &str) -> Result<Target, Reason> {
        let gate = gate(grants);
        gate.address(&Name::parse("api.example.org").expect("a name"));
        let call = gate.call(dialed.parse().expect("an address and a port"));
        gate.target(&call)
    }

    #[test]
    fn what_is_not_granted_is_refused() {
        for (grants, dialed, reason) in [
            (&["api.example.org:443"][..], "127.1.0.1:80", Reason::PortNotGranted),
            (&["api.example.org:443"], "127.1.0.2:443", Reason::NotGranted),
            (&["api.example.org:443"], "93.184.216.34:443", Reason::NotGranted),
            (&["api.example.org:443"], "127.0.0.1:443", Reason::NotGranted),
            (&["10.1.2.3:5432"], "10.1.2.3:443", Reason::PortNotGranted),
            (&["10.1.2.3:5432"], "10.1.2.4:5432", Reason::NotGranted),
            (&["10.1.2.3:5432"], "169.254.169.254:5432", Reason::NotGranted),
            (&["[2001:db8::1]:443"], "[2001:db8::2]:443", Reason::NotGranted),
            (&["loopback localhost:8080"], "127.0.0.1:8081", Reason::PortNotGranted),
            (&["loopback localhost:8080"], "127.0.0.2:8080", Reason::NotGranted),
        ] {
            assert_eq!(target(grants, dialed), Err(reason), "{grants:?} {dialed}");
        }
    }

    #[test]
    fn what_is_granted_is_found() {
        let name = |grants, dialed| match target(grants, dialed) {
            Ok(Target::Name(name, _)) => name.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name(&["api.example.org:443"], "127.1.0.1:443"), "api.example.org");
        assert_eq!(name(&["*.example.org:443"], "127.1.0.1:443"), "api.example.org");
        assert_eq!(name(&["loopback localhost:8080"], "127.0.0.1:8080"), "localhost");
        assert_eq!(name(&["loopback localhost:8080"], "[::1]:8080"), "localhost");
        for literal in ["10.1.2.3:5432", "127.0.0.1:8080", "169.254.169.254:80", "[2001:db8::1]:443"] {
            let dialed = literal.parse::<SocketAddr>().expect("an address and a port");
            assert_eq!(target(&[literal], literal), Ok(Target::Address(dialed.ip())));
        }
        // A socket of IPv6 shows addresses of IPv4 as mapped ones.
        let dialed = "10.1.2.3".parse().expect("an address");
        assert_eq!(target(&["10.1.2.3:5432"], "[::ffff:10.1.2.3]:5432"), Ok(Target::Address(dialed)));
    }
}
