//! Which of a cell's attempts no honest server makes, or not many different ones of.

use casemate_net::{Attempt, Class, Reason, Verdict};

/// What an attempt to get out is called, the same for the same attempt; `None` for one that is nobody's concern: a name that
/// no grant names is what a program asks for that looks for updates.
pub(super) fn place(attempt: &Attempt) -> Option<String> {
    let Verdict::Refused(reason) = &attempt.verdict else { return None };
    let is_special = attempt.address.is_some_and(|address| Class::of(address) != Class::Public);
    let is_escape = match reason {
        // A name of somebody's own that stands for an address within.
        Reason::Address(_) => true,
        // Asks the one that is granted, and means another.
        Reason::ServerNameDiffers { .. } | Reason::ServerNameEncrypted => true,
        Reason::NotGranted | Reason::PortNotGranted => attempt.name.is_none() && is_special,
        _ => false,
    };
    let whom = || match (&attempt.name, attempt.address) {
        (Some(name), _) => name.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "somewhere".to_owned(),
    };
    is_escape.then(|| format!("{}:{}", whom(), attempt.port))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use casemate_net::Protocol;

    use super::*;

    fn attempt(name: Option<&str>, address: [u8; 4], reason: Reason) -> Attempt {
        Attempt {
            name: name.map(str::to_owned),
            address: Some(IpAddr::from(address)),
            port: 80,
            protocol: Protocol::Tcp,
            verdict: Verdict::Refused(reason),
            times: 1,
        }
    }

    #[test]
    fn what_lies_within_is_an_escape_and_what_lies_outside_is_not() {
        let escapes = [
            attempt(None, [169, 254, 169, 254], Reason::NotGranted),
            attempt(None, [127, 0, 0, 1], Reason::PortNotGranted),
            attempt(Some("rebound.example"), [10, 0, 0, 1], Reason::Address(Class::Private)),
            attempt(Some("a.example"), [93, 184, 216, 34], Reason::ServerNameEncrypted),
        ];
        let places: Vec<_> = escapes.iter().filter_map(place).collect();
        assert_eq!(places, ["169.254.169.254:80", "127.0.0.1:80", "rebound.example:80", "a.example:80"]);
        let honest = [
            attempt(Some("updates.example"), [10, 0, 0, 1], Reason::NotGranted),
            attempt(None, [93, 184, 216, 34], Reason::NotGranted),
            attempt(Some("a.example"), [93, 184, 216, 34], Reason::Unreachable),
        ];
        assert!(honest.iter().all(|attempt| place(attempt).is_none()));
        let allowed = Attempt { verdict: Verdict::Allowed, ..attempt(None, [10, 0, 0, 1], Reason::Datagram) };
        assert_eq!(place(&allowed), None);
    }
}
