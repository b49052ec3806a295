//! A network by name as a whole: the doors of a cell or container, and casemate-net behind them.

use std::collections::BTreeSet;
use std::io::{self, Error, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex};

use casemate_net::egress::{self, Doorway, Rules, Ungranted};
use casemate_net::{Attempt, Policy, Quotas, Resolver, Resolving, Verdict, Witness};
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// Addresses of nobody (RFC 5737).
pub(crate) const SOMEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);

const GRANTED: &str = "api.example.test";

/// What the server does; the part's name ends in the port.
pub(crate) fn pass(name: &str) -> io::Result<()> {
    let port = name.strip_prefix("reach-").and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| Error::other("no such part"))?;
    let found: Vec<SocketAddr> = (GRANTED, port).to_socket_addrs()?.collect();
    // An address that programs hold public: a guard against forged requests lets it pass.
    expect(found == [SocketAddr::from(([28, 127, 0, 1], port))])?;
    let mut text = [0; 5];
    TcpStream::connect((GRANTED, port))?.read_exact(&mut text)?;
    expect(&text == b"hello")?;

    expect(("other.example.test", port).to_socket_addrs().is_err())?;
    // A connection that is not granted begins, since its port is, and is reset.
    let mut refused = TcpStream::connect((SOMEWHERE, port))?;
    let answer = refused.read(&mut text);
    expect(answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset))?;
    // And with a port that is granted to nobody there is none.
    for (address, port) in [(SOMEWHERE, 81), (Ipv4Addr::LOCALHOST, 5432)] {
        expect(TcpStream::connect((address, port)).is_err())?;
    }
    expect(TcpStream::connect((GRANTED, 81)).is_err())?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.send_to(b"x", (ELSEWHERE, 443)).map(drop)
}

pub(crate) fn expect(holds: bool) -> io::Result<()> {
    if holds { Ok(()) } else { Err(Error::other("something else")) }
}

/// The part that the server plays.
pub(crate) fn part(world: &World) -> String {
    format!("reach-{}", world.facts.door)
}

/// Every name is this machine.
#[derive(Debug)]
struct Here;

impl Resolver for Here {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) })
    }
}

#[derive(Debug, Default)]
struct Seen(Mutex<Vec<Attempt>>);

impl Witness for Seen {
    fn attempt(&self, attempt: &Attempt) {
        self.0.lock().unwrap().push(attempt.clone());
    }
}

impl Seen {
    /// What was told, without what differs from run to run: the order, durations, how often a resolver asks.
    fn lines(&self) -> BTreeSet<String> {
        let attempts = self.0.lock().unwrap();
        let lines = attempts.iter().map(|attempt| {
            let place = match (&attempt.name, attempt.address) {
                (Some(name), _) => name.clone(),
                (None, Some(address)) => address.to_string(),
                (None, None) => String::new(),
            };
            let verdict = match &attempt.verdict {
                Verdict::Allowed => "allowed".to_owned(),
                Verdict::Ended(traffic) => format!("ended after {} bytes", traffic.bytes_in),
                Verdict::Refused(reason) => format!("refused: {reason}"),
            };
            format!("{} {place}:{} {verdict}", attempt.protocol, attempt.port)
        });
        lines.collect()
    }
}

/// Serves a server until `ends` has seen it to its end, and says whether everything was seen.
pub(crate) fn judge(world: &World, doorway: Doorway, ends: impl FnOnce()) {
    let port = world.facts.door;
    let seen = Arc::<Seen>::default();
    let rules = Rules {
        policy: Policy::new([format!("loopback {GRANTED}:{port}").parse().unwrap()]),
        quotas: Quotas::default(),
        resolver: Arc::new(Here),
        witness: seen.clone(),
        ungranted: Ungranted::Unknown,
    };
    let stop = CancellationToken::new();
    let serving = world.begin(egress::serve(doorway, rules, stop.clone()));
    ends();
    let expected = [
        "lookup other.example.test:53 refused: no grant names it".to_owned(),
        "tcp 127.0.0.1:5432 refused: no grant names it".to_owned(),
        format!("tcp {GRANTED}:81 refused: it is granted with other ports"),
        format!("tcp {GRANTED}:{port} allowed"),
        format!("tcp {GRANTED}:{port} ended after 5 bytes"),
        format!("tcp {SOMEWHERE}:{port} refused: no grant names it"),
        format!("tcp {SOMEWHERE}:81 refused: no grant names it"),
        format!("udp {ELSEWHERE}:443 refused: datagrams are not carried"),
    ];
    let expected = BTreeSet::from(expected);
    world.run(async {
        // What was sent last may be read last, after the cell has ended.
        while seen.lines().len() < expected.len() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        serving.await.unwrap();
    });
    assert_eq!(seen.lines(), expected);
}
