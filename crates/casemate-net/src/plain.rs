//! Dialing what an operator has named for a protocol that nothing protects on its way.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::address::class;
use crate::attempt::Reason;
use crate::destination::Reach;
use crate::dialer::{Dialer, Target};
use crate::name::Name;
use crate::policy::Reaches;
use crate::resolver::Resolver;

/// A host and a port, for a protocol that whoever sits on the wire can read and change. A name may stand for addresses of
/// this machine and of private networks alone; an address names itself, unless it is one that nothing opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(Name),
    Address(IpAddr),
}

/// Why a text names no such place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no host name or address with a port, like localhost:9000 or [::1]:9000")]
pub struct PlainFault;

impl Plain {
    /// Reads `HOST:PORT`; an address of IPv6 stands in brackets.
    ///
    /// # Errors
    /// [`PlainFault`].
    pub fn parse(text: &str) -> Result<Plain, PlainFault> {
        let (host, port) = text.rsplit_once(':').ok_or(PlainFault)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(PlainFault)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(address) => Host::Address(IpAddr::V6(address.parse().map_err(|_| PlainFault)?)),
            None => match host.parse() {
                Ok(IpAddr::V4(address)) => Host::Address(address.into()),
                Ok(IpAddr::V6(_)) => return Err(PlainFault),
                Err(_) => Host::Name(Name::parse(host).map_err(|_| PlainFault)?),
            },
        };
        Ok(Plain { host, port })
    }

    /// Connects. The name is resolved once, every address of the answer is judged, and the one that was judged is dialed.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub async fn dial(&self, resolver: Arc<dyn Resolver>) -> Result<TcpStream, String> {
        let target = match &self.host {
            Host::Name(name) => Target::Name(name.clone(), Reaches::of([Reach::Loopback, Reach::Private])),
            Host::Address(address) => {
                let address = address.to_canonical();
                let class = class(address);
                if !class.may_be_named() {
                    return Err(format!("{self} is {class}, which nothing opens"));
                }
                Target::Address(address)
            }
        };
        let dialed = Dialer::new(resolver).dial(&target, self.port).await;
        dialed.map(|(stream, _)| stream).map_err(|failure| match (failure.reason, failure.address) {
            (Reason::Address(class), Some(address)) => format!(
                "{self} stands for {address}, {class}; what is sent there can be read on its way, so a name may only \
                 stand for this machine or a private network"
            ),
            (Reason::Unresolved, _) => format!("nobody knows the name {self}"),
            _ => format!("{self} does not answer"),
        })
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{}:{}", name.as_str(), self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Mutex;

    use super::*;
    use crate::resolver::Resolving;

    /// Answers every question with the addresses that it was given, and counts them.
    #[derive(Debug, Default)]
    struct Always(Vec<IpAddr>, Mutex<u32>);

    impl Resolver for Always {
        fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
            *self.1.lock().unwrap() += 1;
            Box::pin(std::future::ready(Ok(self.0.clone())))
        }
    }

    #[test]
    fn a_place_is_a_host_and_a_port_and_nothing_else() {
        for text in ["localhost:9000", "10.1.2.3:5432", "[::1]:1", "wiki.corp:443"] {
            assert_eq!(Plain::parse(text).expect(text).to_string(), text);
        }
        for text in
            ["", "localhost", "localhost:", "localhost:0", "::1:80", "a b:1", "host:99999", "user@host:1"]
        {
            assert_eq!(Plain::parse(text), Err(PlainFault), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_never_leads_to_the_internet_or_to_a_clouds_metadata() {
        let name = Plain::parse("server.example:9").unwrap();
        for address in [[93, 184, 216, 34], [169, 254, 169, 254], [169, 254, 1, 1], [224, 0, 0, 1]] {
            let resolver = Arc::new(Always(vec![IpAddr::from(address)], Mutex::default()));
            let why = name.dial(resolver).await.unwrap_err();
            assert!(why.contains("stands for"), "{address:?}: {why}");
        }
        for text in ["169.254.169.254:80", "[fd00:ec2::254]:80", "0.0.0.0:80", "[::ffff:169.254.169.254]:80"]
        {
            let why = Plain::parse(text).unwrap().dial(Arc::new(Always::default())).await.unwrap_err();
            assert!(why.contains("nothing opens"), "{text}: {why}");
        }
    }

    #[tokio::test]
    async fn what_was_judged_is_what_is_dialed() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let resolver = Arc::new(Always(vec![Ipv4Addr::LOCALHOST.into()], Mutex::default()));
        let place = Plain::parse(&format!("server.example:{port}")).unwrap();
        let stream = place.dial(Arc::clone(&resolver) as Arc<dyn Resolver>).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().port(), port);
        assert_eq!(*resolver.1.lock().unwrap(), 1);
    }
}
