//! Taking over what a cell sends.
//!
//! A name that is looked up gets an address that stands for it (`names`), a connection to that address is judged (`gate`),
//! and so is what is said first over it (`screen`); then the name is resolved outside and dialed, and the bytes are carried
//! (`relay`). Everything is told to the witness (`notes`).

mod connection;
mod gate;
mod lookups;
mod names;
mod notes;
mod pace;
mod relay;
mod screen;
mod strays;
mod usage;

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::gate::Gate;
use crate::attempt::Witness;
use crate::policy::Policy;
use crate::quotas::Quotas;
use crate::resolver::Resolver;

/// The sockets that were made inside of a cell's network namespace and handed out of it. They are the cell's only
/// network, and none of them blocks: every address there is local (its route says so), and nothing of ours runs inside.
#[derive(Debug)]
pub struct Doorway {
    /// Listens on every address of the namespace, one for each port that some destination names. The local address of an
    /// accepted connection is what the server has dialed.
    pub tcp: Vec<TcpListener>,
    /// Receives the datagrams that are sent to the name server of the cell, 127.0.0.1:53.
    pub dns: UdpSocket,
    /// Accepts the same questions over TCP (RFC 7766).
    pub dns_tcp: TcpListener,
    /// A raw socket that sees the kernel's refusal of each TCP connection to a port that nobody listens on, so that it can
    /// be recorded: IPv4 packets with RST and ACK set and the sequence number 0. Their *source* is what the server has
    /// dialed. What it dials and accepts itself is not among them.
    pub stray_tcp: OwnedFd,
    /// A raw socket that sees datagrams to other addresses than 127.0.0.1, as IPv4 packets. Their destination is what the
    /// server has sent them to. Nobody answers them.
    pub stray_udp: OwnedFd,
}

/// What holds for one cell.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What may be reached.
    pub policy: Policy,
    /// How much of it.
    pub quotas: Quotas,
    /// Who knows the addresses of names. One [`crate::SystemResolver`] serves all cells.
    pub resolver: Arc<dyn Resolver>,
    /// Who is told of every attempt.
    pub witness: Arc<dyn Witness>,
    /// What becomes of questions for names that are not granted.
    pub ungranted: Ungranted,
}

/// What a cell is answered that asks for a name which is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ungranted {
    /// That there is none.
    #[default]
    Unknown,
    /// An address that stands for it, at which nobody is reached either: what it dials there tells which port it wanted.
    Named,
}

/// Carries the connections of one cell for as long as it lives, and ends with all of them on `stop`.
pub async fn serve(doorway: Doorway, rules: Rules, stop: CancellationToken) {
    let tasks = Tasks { tracker: TaskTracker::new(), stop: stop.child_token() };
    // What was begun ends also when nobody waits for us any more.
    let _guard = tasks.stop.clone().drop_guard();
    let gate = Arc::new(Gate::new(rules));
    match begin(doorway, &gate, &tasks) {
        Ok(()) => reckon(&gate, &tasks.stop).await,
        // Its sockets are closed now, so that nothing is reached.
        Err(error) => tracing::warn!(%error, "a cell has no network, since its sockets cannot be watched"),
    }
    tasks.stop.cancel();
    tasks.tracker.close();
    tasks.tracker.wait().await;
    gate.notes.settle();
}

/// How often the refusals that were only counted are told.
const SETTLE_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How often the bytes begin to count anew.
const RENEW_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The tasks of one cell.
#[derive(Debug, Clone)]
struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Begins a task that ends with the cell, wherever it stands.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }
}

fn begin(doorway: Doorway, gate: &Arc<Gate>, tasks: &Tasks) -> io::Result<()> {
    for listener in doorway.tcp {
        tasks.spawn(connection::accept(Arc::clone(gate), watched(listener)?, tasks.clone()));
    }
    tasks.spawn(lookups::datagrams(Arc::clone(gate), watched_packets(doorway.dns)?));
    tasks.spawn(lookups::connections(Arc::clone(gate), watched(doorway.dns_tcp)?, tasks.clone()));
    for socket in [doorway.stray_tcp, doorway.stray_udp] {
        tasks.spawn(strays::record(Arc::clone(gate), watched_packets(socket.into())?));
    }
    Ok(())
}

fn watched(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn watched_packets(socket: UdpSocket) -> io::Result<tokio::net::UdpSocket> {
    socket.set_nonblocking(true)?;
    tokio::net::UdpSocket::from_std(socket)
}

async fn reckon(gate: &Gate, stop: &CancellationToken) {
    let begun = Instant::now();
    let mut settle = interval_at(begun + SETTLE_INTERVAL, SETTLE_INTERVAL);
    let mut renew = interval_at(begun + RENEW_INTERVAL, RENEW_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = settle.tick() => gate.notes.settle(),
            _ = renew.tick() => gate.usage.renew(),
        }
    }
}

#[cfg(test)]
mod tests;
