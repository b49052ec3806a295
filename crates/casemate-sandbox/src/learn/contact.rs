//! Whom a watched server wanted to speak to, and how an entry would name it.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use casemate_net::{Attempt, Class, Destination, Protocol, Reason, Verdict};

/// The port that a name is most likely wanted for, when none was dialed.
const LIKELY_PORT: u16 = 443;

/// Somebody that a watched server wanted to speak to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contact {
    /// It asked for the address of a name that was not granted.
    Lookup(String),
    /// It dialed.
    Tcp {
        /// The name, or the address where there was none.
        host: String,
        /// The port.
        port: u16,
        /// What kind of address the name stands for, where it was refused for that.
        class: Option<Class>,
    },
    /// It sent datagrams.
    Udp {
        /// The name, or the address where there was none.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What an entry would say, and what to know about it.
pub(super) type Named = (String, Option<&'static str>);

impl Contact {
    /// What an attempt was about; nothing where it stands for many.
    pub(super) fn of(attempt: &Attempt) -> Option<Contact> {
        let address = attempt.address.map(|address| address.to_string());
        let host = attempt.name.clone().or(address)?;
        let port = attempt.port;
        Some(match attempt.protocol {
            Protocol::Lookup => Contact::Lookup(host),
            Protocol::Udp => Contact::Udp { host, port },
            Protocol::Tcp => {
                let class = match attempt.verdict {
                    Verdict::Refused(Reason::Address(class)) => Some(class),
                    _ => None,
                };
                Contact::Tcp { host, port, class }
            }
        })
    }

    /// As an entry that grants `granted` would name it, or why it cannot be granted.
    pub(super) fn named(&self, granted: &[String]) -> Result<Named, String> {
        let known = |host: &str, port| {
            let granted = granted.iter().find(|granted| is_meant(granted, host, port));
            granted.map(|granted| (granted.clone(), None))
        };
        match self {
            Contact::Udp { .. } => Err("datagrams cannot be granted".to_owned()),
            Contact::Lookup(name) => known(name, None).map_or_else(
                || {
                    let guess = "its port is a guess: the name was asked for and not dialed";
                    Ok((destination(name, LIKELY_PORT, None)?, Some(guess)))
                },
                Ok,
            ),
            Contact::Tcp { host, port, class } => {
                if let Some(known) = known(host, Some(*port)) {
                    return Ok(known);
                }
                let remark = match host.parse::<IpAddr>() {
                    Ok(address) if address.is_loopback() => {
                        let instead = "`loopback localhost:PORT` would grant the host's";
                        return Err(format!("that is its own loopback; {instead}"));
                    }
                    Ok(_) => Some("dialed without a name"),
                    Err(_) => None,
                };
                Ok((destination(host, *port, *class)?, remark))
            }
        }
    }

    /// Who was dialed.
    pub(super) fn dialed(&self) -> Option<&str> {
        match self {
            Contact::Lookup(_) => None,
            Contact::Tcp { host, .. } | Contact::Udp { host, .. } => Some(host),
        }
    }

    /// Whether it says less than is known: whoever dialed a name had asked for it.
    pub(super) fn is_told_by(&self, dialed: &HashSet<&str>) -> bool {
        matches!(self, Contact::Lookup(name) if dialed.contains(name.as_str()))
    }

    /// Whom it is about, for a person.
    pub(super) fn subject(&self) -> String {
        match self {
            Contact::Lookup(name) => name.clone(),
            Contact::Tcp { host, port, .. } | Contact::Udp { host, port } => format!("{host}:{port}"),
        }
    }
}

/// What an entry says; what it could not say is refused.
fn destination(host: &str, port: u16, class: Option<Class>) -> Result<String, String> {
    let word = match class {
        None => "",
        Some(Class::Loopback) => "loopback ",
        Some(Class::Private) => "private ",
        Some(Class::LinkLocal) => "link-local ",
        Some(class) => return Err(format!("the name stands for {class}")),
    };
    let place = match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    };
    match format!("{word}{place}").parse::<Destination>() {
        Ok(destination) => Ok(destination.to_string()),
        Err(fault) => Err(fault.what().to_owned()),
    }
}

/// Whether a granted destination (`api.example.org:443`, `*.example.org:443`, with or without a word in front) is meant.
fn is_meant(granted: &str, host: &str, port: Option<u16>) -> bool {
    let place = granted.rsplit(' ').next().unwrap_or(granted);
    let Some((pattern, granted_port)) = place.rsplit_once(':') else { return false };
    if port.is_some_and(|port| granted_port != port.to_string()) {
        return false;
    }
    match pattern.strip_prefix('*') {
        Some(ending) => host.len() > ending.len() && host.ends_with(ending),
        None => pattern.trim_matches(['[', ']']).eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Contact {
        Contact::Tcp { host: host.to_owned(), port, class: None }
    }

    fn lookup(name: &str) -> Contact {
        Contact::Lookup(name.to_owned())
    }

    #[test]
    fn names_and_addresses_become_destinations() {
        let granted =
            ["*.example.org:443", "loopback localhost:8080", "[2001:db8::1]:443"].map(str::to_owned);
        for (contact, expected) in [
            (tcp("api.github.com", 8443), "api.github.com:8443"),
            (tcp("a.example.org", 443), "*.example.org:443"),
            (tcp("example.org", 443), "example.org:443"),
            (tcp("a.example.org", 80), "a.example.org:80"),
            (tcp("localhost", 8080), "loopback localhost:8080"),
            (tcp("10.1.2.3", 5432), "10.1.2.3:5432"),
            (tcp("2001:db8::1", 443), "[2001:db8::1]:443"),
            (lookup("registry.npmjs.org"), "registry.npmjs.org:443"),
            (lookup("a.example.org"), "*.example.org:443"),
        ] {
            assert_eq!(contact.named(&granted).unwrap().0, expected);
        }
        let class = Some(Class::Private);
        let wiki = Contact::Tcp { host: "wiki.corp.example".to_owned(), port: 443, class };
        assert_eq!(wiki.named(&[]).unwrap().0, "private wiki.corp.example:443");
    }

    #[test]
    fn what_cannot_be_granted_is_told() {
        let class = Some(Class::Metadata);
        for contact in [
            tcp("127.0.0.1", 5432),
            tcp("x\"]\nallow = 1", 1),
            tcp("api.example.org", 53),
            tcp("api.example.org", 0),
            lookup("bad name"),
            Contact::Tcp { host: "metadata.example.org".to_owned(), port: 80, class },
            Contact::Udp { host: "pool.ntp.org".to_owned(), port: 123 },
        ] {
            assert!(!contact.named(&[]).unwrap_err().is_empty(), "{contact:?}");
        }
    }
}
