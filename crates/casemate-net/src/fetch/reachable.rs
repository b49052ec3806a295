//! Which addresses a fetch may reach.

use crate::address::class;
use crate::attempt::Reason;
use crate::destination::Reach;
use crate::dialer::Target;
use crate::policy::Reaches;

use super::fault::FetchCause;
use super::url::{Host, Url};

/// Which addresses a fetch may reach: public ones, and those of the classes that its caller adds. Nothing opens the
/// cloud's metadata service, link-local, multicast and reserved addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    private: Door,
    loopback: Door,
}

/// Whether the addresses of a class may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

impl Reachable {
    /// Public addresses alone.
    #[must_use]
    pub fn public() -> Reachable {
        Reachable { private: Door::Closed, loopback: Door::Closed }
    }

    /// Addresses of a private network too: for what the operator has named, and nobody else.
    #[must_use]
    pub fn and_private(self) -> Reachable {
        Reachable { private: Door::Open, ..self }
    }

    /// This machine too, and over plain `http` as well: what is sent does not leave it. For what the operator has named.
    #[must_use]
    pub fn and_loopback(self) -> Reachable {
        Reachable { loopback: Door::Open, ..self }
    }

    /// What to dial for an address, which has been judged as far as it can be before its name is resolved.
    pub(crate) fn target(&self, url: &Url) -> Result<Target, FetchCause> {
        let mut reaches = Vec::new();
        // Plain http is for this machine alone, whatever else is open.
        if url.is_secure() {
            reaches.push(Reach::Public);
            if self.private == Door::Open {
                reaches.push(Reach::Private);
            }
        } else if self.loopback == Door::Closed {
            return Err(FetchCause::Plain);
        }
        if self.loopback == Door::Open {
            reaches.push(Reach::Loopback);
        }
        let reaches = Reaches::of(reaches);
        match url.host() {
            Host::Name(name) => Ok(Target::Name(name.clone(), reaches)),
            Host::Address(address) => {
                let address = address.to_canonical();
                let class = class(address);
                if !reaches.admit(address, class) {
                    return Err(FetchCause::Dial { reason: Reason::Address(class), address: Some(address) });
                }
                Ok(Target::Address(address))
            }
        }
    }
}
