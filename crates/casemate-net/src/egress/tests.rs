//! Everything with real sockets, but for the namespace: the doorway listens on some addresses that stand for names, and the
//! server outside listens on the same port of another address of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::*;
use crate::attempt::{Attempt, Protocol, Reason, Verdict};
use crate::destination::Destination;
use crate::resolver::Resolving;

mod flows;
mod limits;
mod tls;

/// Where the server outside is.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 9, 0, 1);

/// How long anything may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers what it was told.
#[derive(Debug, Default)]
pub(super) struct Seen {
    attempts: Mutex<Vec<Attempt>>,
    changed: Notify,
}

impl Seen {
    pub(super) fn take(&self) -> Vec<Attempt> {
        std::mem::take(&mut *self.attempts.lock().unwrap())
    }

    pub(super) fn len(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }

    /// Waits until there are so many, and takes them.
    async fn wait(&self, count: usize) -> Vec<Attempt> {
        let enough = async {
            while self.len() < count {
                self.changed.notified().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        assert!(waited.is_ok(), "only told of {:?}", self.take());
        self.take()
    }
}

impl Witness for Seen {
    fn attempt(&self, attempt: &Attempt) {
        self.attempts.lock().unwrap().push(attempt.clone());
        self.changed.notify_one();
    }
}

/// Answers with the same addresses for every name.
#[derive(Debug)]
struct Fixed(Vec<IpAddr>);

impl Resolver for Fixed {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

fn rules(grants: &[&str], seen: Arc<Seen>) -> Rules {
    let grants = grants.iter().map(|grant| grant.parse::<Destination>().expect("a destination"));
    Rules {
        policy: Policy::new(grants),
        quotas: Quotas::default(),
        resolver: Arc::new(Fixed(vec![OUTSIDE.into()])),
        witness: seen,
        ungranted: Ungranted::Unknown,
    }
}

pub(super) fn gate(grants: &[&str]) -> Gate {
    gate_with(grants, Arc::default())
}

/// That of a server that is watched.
pub(super) fn watched_gate(grants: &[&str], seen: Arc<Seen>) -> Gate {
    Gate::new(Rules { ungranted: Ungranted::Named, ..rules(grants, seen) })
}

pub(super) fn gate_with(grants: &[&str], seen: Arc<Seen>) -> Gate {
    Gate::new(rules(grants, seen))
}

/// A cell's doorway that is served, and a server outside.
struct World {
    seen: Arc<Seen>,
    outside: tokio::net::TcpListener,
    port: u16,
    names: SocketAddr,
    stray: UnixDatagram,
    stop: CancellationToken,
    /// Drops what serves it.
    abandon: CancellationToken,
    served: TaskTracker,
}

impl World {
    /// One whose grants are these names, on the port of the server outside. They are known to the cell, in this order.
    async fn of(names: &[&str]) -> World {
        World::with(names, |_| {}).await
    }

    async fn with(names: &[&str], change: impl FnOnce(&mut Rules)) -> World {
        let (outside, port, doors) = ports().await;
        let grants = names.iter().map(|name| format!("{name}:{port}")).collect::<Vec<_>>();
        let grants = grants.iter().map(String::as_str).collect::<Vec<_>>();
        let seen = Arc::<Seen>::default();
        let mut rules = rules(&grants, seen.clone());
        change(&mut rules);
        let (stray, stray_tcp) = UnixDatagram::pair().expect("a pair");
        let (_, stray_udp) = UnixDatagram::pair().expect("a pair");
        let doorway = Doorway {
            tcp: doors,
            dns: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"),
            dns_tcp: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener"),
            stray_tcp: stray_tcp.into(),
            stray_udp: stray_udp.into(),
        };
        let names = doorway.dns.local_addr().expect("its address");
        let stop = CancellationToken::new();
        let abandon = CancellationToken::new();
        let served = TaskTracker::new();
        let serving = serve(doorway, rules, stop.clone());
        served.spawn(abandon.clone().run_until_cancelled_owned(serving));
        served.close();
        World { seen, outside, port, names, stray, stop, abandon, served }
    }

    /// The address that stands for a name.
    async fn look_up(&self, name: &str) -> IpAddr {
        use domain::base::iana::Rtype;
        use domain::base::{Message, MessageBuilder, Name};
        let name = Name::<Vec<u8>>::from_chars(name.chars()).expect("a name");
        let mut question = MessageBuilder::new_vec().question();
        question.push((name, Rtype::A)).expect("room");
        let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        socket.send_to(&question.finish(), self.names).await.expect("sent");
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).await.expect("an answer");
        let message = Message::from_octets(&answer[..length]).expect("a message");
        let mut records = message.answer().expect("answers").limit_to::<domain::rdata::A>();
        records.next().expect("an address").expect("an address").data().addr().into()
    }

    async fn dial(&self, address: IpAddr) -> TcpStream {
        TcpStream::connect((address, self.port)).await.expect("the doorway is open")
    }

    /// Looks a name up and dials it, as a program does.
    async fn reach(&self, name: &str) -> TcpStream {
        self.dial(self.look_up(name).await).await
    }

    async fn accept(&self) -> TcpStream {
        let accepted = tokio::time::timeout(PATIENCE, self.outside.accept()).await;
        accepted.expect("in time").expect("a connection").0
    }

    /// Whether nobody has dialed the server outside: then we are the first.
    async fn is_untouched(&self) -> bool {
        let own = TcpStream::connect((OUTSIDE, self.port)).await.expect("it listens");
        let accepted = self.accept().await;
        accepted.peer_addr().expect("its peer") == own.local_addr().expect("its address")
    }

    /// Ends the cell, and tells what was told.
    async fn end(self) -> Vec<Attempt> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.served.wait()).await.expect("it ends");
        self.seen.take()
    }
}

/// A server outside, its port, and listeners on the same port of the first addresses that stand for names.
async fn ports() -> (tokio::net::TcpListener, u16, Vec<TcpListener>) {
    loop {
        let outside = tokio::net::TcpListener::bind((OUTSIDE, 0)).await.expect("a listener");
        let port = outside.local_addr().expect("its address").port();
        let doors = (1..=3).map(|last| TcpListener::bind((Ipv4Addr::new(127, 1, 0, last), port)));
        // Another test may just have one of them.
        if let Ok(doors) = doors.collect::<io::Result<Vec<_>>>() {
            return (outside, port, doors);
        }
    }
}

/// What is read until the end of it.
async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("in time").map(|_| bytes)
}

/// Whether the connection was reset, rather than ended.
async fn is_reset(stream: &mut TcpStream) -> bool {
    rest(stream).await.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

fn reason(attempt: &Attempt) -> &Reason {
    match &attempt.verdict {
        Verdict::Refused(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn end(attempt: &Attempt) -> &crate::End {
    match &attempt.verdict {
        Verdict::Ended(traffic) => &traffic.end,
        other => panic!("{other:?}"),
    }
}
