//! From attempts to reach somebody to the words of an entry.

use std::net::IpAddr;

use crate::learn::Contact;

/// The port that a name is most likely wanted for, when it was refused before a port was known.
const LIKELY_PORT: u16 = 443;

const NO_NAME: &str = "no host can have that name";

/// A destination as an entry names it, and what to know about it; or why it is none.
pub(super) fn destination(
    contact: &Contact,
    granted: &[String],
) -> Result<(String, Option<&'static str>), String> {
    match contact {
        Contact::Udp { .. } => Err("datagrams cannot be granted".to_owned()),
        Contact::Lookup(name) if !is_name(name) => Err(NO_NAME.to_owned()),
        Contact::Lookup(name) => match granted.iter().find(|granted| names(granted, name, None)) {
            Some(granted) => Ok((granted.clone(), None)),
            None => {
                let destination = format!("{name}:{LIKELY_PORT}");
                Ok((destination, Some("its port is a guess: the name was refused before one was known")))
            }
        },
        Contact::Tcp { host, port } => {
            if let Some(granted) = granted.iter().find(|granted| names(granted, host, Some(*port))) {
                return Ok((granted.clone(), None));
            }
            match host.parse::<IpAddr>() {
                Ok(address) if address.is_loopback() => {
                    Err("that is its own loopback; `loopback localhost:PORT` grants the host's".to_owned())
                }
                Ok(IpAddr::V4(address)) if address.is_unspecified() => {
                    Err("nobody has that address".to_owned())
                }
                Ok(IpAddr::V6(_)) => {
                    Err("addresses of version 6 cannot be granted; name the host".to_owned())
                }
                Ok(IpAddr::V4(_)) => Ok((format!("{host}:{port}"), Some("dialed without a name"))),
                Err(_) if is_name(host) => Ok((format!("{host}:{port}"), None)),
                Err(_) => Err(NO_NAME.to_owned()),
            }
        }
    }
}

/// Whether a granted destination (`api.example.org:443`, `*.example.org:443`, with or without a word in front) is meant.
fn names(granted: &str, host: &str, port: Option<u16>) -> bool {
    let granted = granted.rsplit(' ').next().unwrap_or(granted);
    let Some((pattern, granted_port)) = granted.rsplit_once(':') else { return false };
    if port.is_some_and(|port| granted_port != port.to_string()) {
        return false;
    }
    match pattern.strip_prefix('*') {
        Some(ending) => host.len() > ending.len() && host.ends_with(ending),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    host.contains('.') && host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Contact {
        Contact::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn names_and_addresses_become_destinations() {
        let granted = ["*.example.org:443".to_owned(), "loopback localhost:8080".to_owned()];
        let ok = |contact| destination(&contact, &granted).unwrap().0;
        assert_eq!(ok(tcp("api.github.com", 8443)), "api.github.com:8443");
        assert_eq!(ok(tcp("a.example.org", 443)), "*.example.org:443");
        assert_eq!(ok(tcp("example.org", 443)), "example.org:443");
        assert_eq!(ok(tcp("a.example.org", 80)), "a.example.org:80");
        assert_eq!(ok(tcp("localhost", 8080)), "loopback localhost:8080");
        assert_eq!(ok(tcp("10.1.2.3", 5432)), "10.1.2.3:5432");
        assert_eq!(ok(Contact::Lookup("registry.npmjs.org".to_owned())), "registry.npmjs.org:443");
        assert_eq!(ok(Contact::Lookup("a.example.org".to_owned())), "*.example.org:443");
    }

    #[test]
    fn what_cannot_be_granted_is_told() {
        let refused = |contact| destination(&contact, &[]).unwrap_err();
        for contact in [
            tcp("127.0.0.1", 5432),
            tcp("::1", 5432),
            tcp("2001:db8::1", 443),
            tcp("0.0.0.0", 1),
            tcp("x\"]\nallow = 1", 1),
            Contact::Lookup("wpad".to_owned()),
            Contact::Udp { host: "pool.ntp.org".to_owned(), port: 123 },
        ] {
            assert!(!refused(contact).is_empty());
        }
    }
}
