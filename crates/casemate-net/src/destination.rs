//! What a grant names: a place that may be reached.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::address::Class;
use crate::name::{Name, NameFault};

/// A place that may be reached, as it is written in a configuration:
///
/// - `api.github.com:443`: a name, which may stand for public addresses only;
/// - `*.example.org:443`: every name below `example.org` at any depth, but not `example.org` itself;
/// - `10.1.2.3:5432`, `[2001:db8::1]:443`: an address, which names itself, of whatever class it is;
/// - `loopback localhost:8080`, `private wiki.corp:443`, `link-local printer.local:631`: a name that may stand for
///   addresses of that class, and for no others. `loopback` is this whole machine.
///
/// A granted name may also stand for an address that is granted itself with the same port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    place: Place,
    port: u16,
}

/// What stands in front of the port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// One name.
    Name(Reach, Name),
    /// Every name below one.
    Below(Reach, Name),
    /// An address, in its canonical form: never one of IPv4 that is mapped into IPv6.
    Address(IpAddr),
}

/// Which addresses a name may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reach {
    Public,
    Loopback,
    Private,
    LinkLocal,
    /// Those of other machines, except who is on the same wire and the cloud's metadata service.
    Wherever,
}

/// Why a text names no destination, with a hint on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\nhint: {hint}")]
pub struct DestinationFault {
    what: String,
    hint: String,
}

/// The addresses that stand for names within a cell, 28.127.0.0/16. Programs must hold them public: those that guard
/// against forged requests refuse every name whose address is a loopback, private or reserved one. These are in nobody's
/// use on the public internet (their owner does not announce them), and in a cell they lead to casemate like all others.
#[cfg(not(test))]
pub(crate) const SYNTHETIC: [u8; 2] = [28, 127];

/// In tests of this crate there is no cell, and what a client dials must arrive on the host's loopback interface.
#[cfg(test)]
pub(crate) const SYNTHETIC: [u8; 2] = [127, 1];

/// The port of the cell's own name server, which is no way out (RFC 1035 section 4.2).
pub(crate) const NAME_SERVER_PORT: u16 = 53;

/// The name that always means this machine (RFC 6761 section 6.3).
const LOCALHOST: &str = "localhost";

impl DestinationFault {
    /// What is wrong, for a person.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl Destination {
    /// The port, from 1 to 65535, and never 53.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same name, standing for whatever address this machine's resolver has for it, unless that is this machine, on the
    /// same wire, or a cloud's metadata service. Anything but a name for public addresses stays what it is.
    ///
    /// It is for registries that packages are fetched from, and no text says it: a configuration names the class that it
    /// means. Many networks have their own answer for a public registry's name (a mirror, a proxy with addresses of RFC 2544),
    /// which the user's own npm and pip follow without a question, so insisting on a public address would protect from
    /// nothing but work. What makes this safe where a server's grant would not be:
    ///
    /// - the name is the user's own or a built-in one, and no server and no package has a say in what it stands for;
    /// - only package clients run with such a grant, and no code of any package;
    /// - what is fetched counts by its certificate and its hash, wherever it came from;
    /// - the places worth deceiving a client into stay closed: services of this machine that trust whoever reaches them, and
    ///   the metadata service, which gives credentials to everybody.
    #[must_use]
    pub fn wherever(mut self) -> Destination {
        if let Place::Name(reach @ Reach::Public, _) | Place::Below(reach @ Reach::Public, _) =
            &mut self.place
        {
            *reach = Reach::Wherever;
        }
        self
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl Reach {
    /// Whether a name with this reach may stand for an address of that class.
    pub(crate) fn admits(self, class: Class) -> bool {
        match class {
            Class::Public => matches!(self, Reach::Public | Reach::Wherever),
            Class::Loopback => self == Reach::Loopback,
            Class::Private => matches!(self, Reach::Private | Reach::Wherever),
            Class::LinkLocal => self == Reach::LinkLocal,
            Class::Documentation | Class::Reserved => self == Reach::Wherever,
            Class::Metadata | Class::Multicast | Class::Unspecified => false,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Reach::Public => "",
            Reach::Loopback => "loopback ",
            Reach::Private => "private ",
            Reach::LinkLocal => "link-local ",
            Reach::Wherever => "wherever ",
        }
    }
}

impl Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.place {
            Place::Name(reach, name) => write!(f, "{}{name}:{port}", reach.word()),
            Place::Below(reach, name) => write!(f, "{}*.{name}:{port}", reach.word()),
            Place::Address(address) => SocketAddr::new(*address, port).fmt(f),
        }
    }
}

impl FromStr for Destination {
    type Err = DestinationFault;

    fn from_str(text: &str) -> Result<Destination, DestinationFault> {
        let text = text.trim();
        let (word, place) = match text.split_once(char::is_whitespace) {
            Some((word, place)) => (Some(word), place.trim_start()),
            None => (None, text),
        };
        let reach = word.map(|word| reach(word, place)).transpose()?;
        whole(place)?;
        let (host, port) = split(place)?;
        let port = self::port(host, port)?;
        let place = match literal(host)? {
            Some(address) => self::address(address, reach)?,
            None => named(host, port, reach.unwrap_or(Reach::Public))?,
        };
        Ok(Destination { place, port })
    }
}

fn fault(what: impl Into<String>, hint: impl Into<String>) -> DestinationFault {
    DestinationFault { what: what.into(), hint: hint.into() }
}

fn reach(word: &str, place: &str) -> Result<Reach, DestinationFault> {
    match word.to_ascii_lowercase().as_str() {
        "loopback" => Ok(Reach::Loopback),
        "private" => Ok(Reach::Private),
        "link-local" => Ok(Reach::LinkLocal),
        "wherever" => {
            let what = "only the registries that packages come from are reached wherever they are";
            Err(fault(what, format!("write {place:?}, or \"private {place}\"")))
        }
        "public" => Err(fault("names are public unless said otherwise", format!("write {place:?}"))),
        _ => Err(fault(
            format!("{word:?} is no class of addresses"),
            "one destination for each text, such as \"api.github.com:443\"; in front of it may stand loopback, private or link-local",
        )),
    }
}

/// What people write out of habit, and what a destination does not have.
fn whole(place: &str) -> Result<(), DestinationFault> {
    if place.is_empty() {
        return Err(fault(
            "there is no destination",
            "write a name and a port, such as \"api.github.com:443\"",
        ));
    }
    if let Some((scheme, rest)) = place.split_once("://") {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let port = match scheme.to_ascii_lowercase().as_str() {
            _ if host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) => "",
            "http" | "ws" => ":80",
            "https" | "wss" => ":443",
            _ => ":PORT",
        };
        return Err(fault("a destination has no scheme", format!("write \"{host}{port}\"")));
    }
    if let Some((host, _)) = place.split_once(['/', '?', '#']) {
        let what = "a destination has no path; connections are judged, and not what is said over them";
        return Err(fault(what, format!("write \"{host}\"")));
    }
    if let Some((_, host)) = place.split_once('@') {
        return Err(fault("a destination has no user", format!("write \"{host}\"")));
    }
    match place.split_once(char::is_whitespace) {
        Some(_) => Err(fault("more than one destination in one text", "write each as a text of its own")),
        None => Ok(()),
    }
}

/// The host, without the brackets of an address of IPv6 but with both kept apart from names by them, and the port.
fn split(place: &str) -> Result<(Host<'_>, &str), DestinationFault> {
    let no_port = |host: &str| fault(format!("{place:?} has no port"), format!("write \"{host}:443\""));
    if let Some(rest) = place.strip_prefix('[') {
        let Some((host, rest)) = rest.split_once(']') else {
            return Err(fault(format!("{place:?} has no closing bracket"), "write \"[2001:db8::1]:443\""));
        };
        let port = rest.strip_prefix(':').ok_or_else(|| no_port(&format!("[{host}]")))?;
        return Ok((Host::Bracketed(host), port));
    }
    if place.parse::<Ipv6Addr>().is_ok() {
        return Err(no_port(&format!("[{place}]")));
    }
    match place.rsplit_once(':') {
        None => Err(no_port(place)),
        Some((host, _)) if host.contains(':') => {
            let what = format!("{place:?} has more than one colon");
            Err(fault(what, "an address of IPv6 stands in brackets, such as \"[2001:db8::1]:443\""))
        }
        Some((host, port)) => Ok((Host::Plain(host), port)),
    }
}

#[derive(Clone, Copy)]
enum Host<'a> {
    Bracketed(&'a str),
    Plain(&'a str),
}

fn port(host: Host<'_>, port: &str) -> Result<u16, DestinationFault> {
    let host = match host {
        Host::Bracketed(host) => format!("[{host}]"),
        Host::Plain(host) => host.to_owned(),
    };
    if port == "*" {
        let what = "each port is granted by itself; a star stands in front of names only";
        return Err(fault(what, format!("write \"{host}:443\"")));
    }
    let is_plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(NAME_SERVER_PORT) => Err(fault(
            "port 53 of every address is the cell's own name server",
            "names are resolved without a grant: grant the names themselves",
        )),
        Ok(number) if number != 0 && is_plain => Ok(number),
        _ => Err(fault(
            format!("{port:?} is no port"),
            format!("a number from 1 to 65535, such as \"{host}:443\""),
        )),
    }
}

fn literal(host: Host<'_>) -> Result<Option<IpAddr>, DestinationFault> {
    match host {
        Host::Plain(host) => Ok(host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)),
        Host::Bracketed(host) => match host.split('%').next().unwrap_or_default().parse::<Ipv6Addr>() {
            Ok(address) if address.is_unicast_link_local() || host.contains('%') => Err(fault(
                format!("{host} can be dialed only over an interface that is named, which no grant does"),
                "grant another address of that machine",
            )),
            Ok(address) => Ok(Some(address.into())),
            Err(_) => Err(fault(
                format!("{host:?} is no address of IPv6"),
                "brackets are for those alone, such as \"[2001:db8::1]:443\"",
            )),
        },
    }
}

fn address(address: IpAddr, reach: Option<Reach>) -> Result<Place, DestinationFault> {
    if let Some(reach) = reach {
        let what = format!("{}stands in front of names; an address names itself", reach.word());
        return Err(fault(what, "leave the word away"));
    }
    let canonical = address.to_canonical();
    if canonical != address {
        return Err(fault(format!("{address} is {canonical} in disguise"), format!("write {canonical}")));
    }
    match Class::of(address) {
        Class::Unspecified | Class::Multicast => {
            let hint = "write the address of one machine; this machine is \"127.0.0.1\" or \"[::1]\"";
            Err(fault(format!("{address} is the address of no single machine"), hint))
        }
        _ if is_synthetic(address) => Err(fault(
            format!("{address} is among those that stand for names within a cell"),
            "grant the machine by its name; casemate uses these addresses for itself",
        )),
        _ => Ok(Place::Address(address)),
    }
}

/// Whether the address is one of those that stand for names within a cell.
pub(crate) fn is_synthetic(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets().starts_with(&SYNTHETIC))
}

fn named(host: Host<'_>, port: u16, reach: Reach) -> Result<Place, DestinationFault> {
    let (Host::Plain(host) | Host::Bracketed(host)) = host;
    let (base, is_below) = match host.strip_prefix("*.") {
        Some(base) => (base, true),
        None => (host, false),
    };
    if base.contains('*') {
        let what = format!("{host:?} has a star where it means nothing");
        return Err(fault(what, "only the first label may be one, such as \"*.example.org:443\""));
    }
    let name = Name::parse(base).map_err(|fault| spelling(host, port, fault))?;
    if is_below && reach == Reach::Public && name.depth() < 2 {
        let what = format!("{host:?} would grant everything below {name}");
        return Err(fault(what, "keep at least two labels behind the star, such as \"*.example.org:443\""));
    }
    let is_localhost = name.as_str() == LOCALHOST || name.as_str().ends_with(".localhost");
    if is_localhost && reach != Reach::Loopback {
        let what = format!("{host} is this machine itself");
        return Err(fault(what, format!("where that is meant, write \"loopback {host}:{port}\"")));
    }
    Ok(if is_below { Place::Below(reach, name) } else { Place::Name(reach, name) })
}

fn spelling(host: &str, port: u16, what: NameFault) -> DestinationFault {
    let hint = match what {
        NameFault::Foreign => {
            "write each foreign label in its form for DNS, which begins with xn--".to_owned()
        }
        NameFault::Numeric => format!("write addresses in full, such as \"127.0.0.1:{port}\""),
        NameFault::Empty | NameFault::TooLong | NameFault::Character => {
            "write a name such as \"api.github.com:443\"".to_owned()
        }
    };
    fault(format!("{host:?} is no host name: it has {what}"), hint)
}

#[cfg(test)]
mod tests;
