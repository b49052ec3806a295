//! The good server: every fixture of the official conformance suite, and some tools that our own tests need.
//!
//! One set of tools is served in both eras. A tool that asks the client is written once, as a straight line of
//! questions: in the legacy era a question is a request on the call's stream, in the modern era it ends the
//! round with `input_required`, and the next round replays the answers (see [`question`]).

mod call;
mod catalog;
mod clock;
mod content;
mod events;
mod interview;
mod legacy;
mod modern;
mod question;
mod schema;
mod seal;
mod server;
mod socket;
mod stdio;
mod tasks;
mod tool;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, ToSocketAddrs, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use server::Server;

/// Which clients a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: `initialize` and sessions.
    Legacy,
    /// 2026-07-28: stateless.
    Modern,
    /// Both, told apart by how the client opens.
    Dual,
}

/// What the tool `crash` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Process,
    Server,
}

/// A good server that is yet to be started.
#[derive(Debug, Clone)]
pub struct Fixture {
    era: Era,
    page_size: usize,
    forget_after: Option<u64>,
    crash: Crash,
}

impl Fixture {
    /// A server of the given era: whole lists on one page, sessions that last, `crash` ends the server and
    /// leaves the process alone.
    pub fn new(era: Era) -> Fixture {
        Fixture { era, page_size: usize::MAX, forget_after: None, crash: Crash::Server }
    }

    /// Cuts every list into pages of this many entries (at least 1).
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Fixture {
        self.page_size = entries.max(1);
        self
    }

    /// A legacy HTTP server forgets all its sessions (404) each time it has served this many `tools/call`.
    #[must_use]
    pub fn forget_sessions_after(mut self, calls: u64) -> Fixture {
        self.forget_after = Some(calls);
        self
    }

    /// The tool `crash` ends the whole process, with exit code 70.
    #[must_use]
    pub fn crash_process(mut self) -> Fixture {
        self.crash = Crash::Process;
        self
    }

    /// Serves `http://ADDR/mcp` on a free loopback port, in this process, until the guard is dropped.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn spawn_http(era: Era) -> io::Result<(SocketAddr, Guard)> {
        Fixture::new(era).listen("127.0.0.1:0").await
    }

    /// Serves `http://ADDR/mcp` at the given address, in this process, until the guard is dropped.
    ///
    /// # Errors
    /// The address could not be bound.
    pub async fn listen(self, address: impl ToSocketAddrs) -> io::Result<(SocketAddr, Guard)> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let server = Arc::new(Server::new(self)?);
        let guard = Guard { server: Arc::clone(&server) };
        server.tasks.spawn(Arc::clone(&server).serve_http(socket));
        Ok((address, guard))
    }

    /// Serves WebSockets at a free loopback port until the guard is dropped, only to those who show the bearer credential
    /// where one is given.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn listen_sockets(self, credential: Option<&str>) -> io::Result<(SocketAddr, Guard)> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let server = Arc::new(Server::new(self)?);
        let guard = Guard { server: Arc::clone(&server) };
        let credential = credential.map(str::to_lowercase);
        server.tasks.spawn(Arc::clone(&server).serve_sockets(socket, credential));
        Ok((address, guard))
    }

    /// Serves HTTP with SSE, the transport of 2024-11-05, at `/sse` of a free loopback port until the guard is dropped.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn listen_events(self) -> io::Result<(SocketAddr, Guard)> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let server = Arc::new(Server::new(self)?);
        let guard = Guard { server: Arc::clone(&server) };
        server.tasks.spawn(Arc::clone(&server).serve_events(socket));
        Ok((address, guard))
    }

    /// Serves stdio framing over TCP at a free loopback port until the guard is dropped.
    ///
    /// # Errors
    /// No port could be bound.
    pub async fn listen_tcp(self) -> io::Result<(SocketAddr, Guard)> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let server = Arc::new(Server::new(self)?);
        let guard = Guard { server: Arc::clone(&server) };
        server.tasks.spawn(Arc::clone(&server).serve_tcp(socket));
        Ok((address, guard))
    }

    /// Serves stdio framing over a Unix socket until the guard is dropped.
    ///
    /// # Errors
    /// The path could not be bound.
    pub async fn listen_unix(self, path: &Path) -> io::Result<Guard> {
        let socket = UnixListener::bind(path)?;
        let server = Arc::new(Server::new(self)?);
        let guard = Guard { server: Arc::clone(&server) };
        server.tasks.spawn(Arc::clone(&server).serve_unix(socket));
        Ok(guard)
    }

    /// Serves one in-memory link with stdio framing (one JSON text per line), until the guard is dropped.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn spawn_link(self) -> io::Result<(DuplexStream, Guard)> {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let server = Arc::new(Server::new(self)?);
        let guard = Guard { server: Arc::clone(&server) };
        let (reader, writer) = tokio::io::split(ours);
        let stop = server.stop.clone();
        server.tasks.clone().spawn(async move {
            // The other end may vanish at any time; that is what tests do.
            let _ = stop.run_until_cancelled(server.serve_stdio(reader, writer)).await;
        });
        Ok((theirs, guard))
    }

    /// Serves one link with stdio framing until its input ends.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub async fn serve_stdio<R, W>(self, reader: R, writer: W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let server = Arc::new(Server::new(self)?);
        let served = Arc::clone(&server).serve_stdio(reader, writer).await;
        server.stop.cancel();
        served
    }
}

/// Keeps a server running; dropping it breaks every connection and stops every call.
#[derive(Debug)]
pub struct Guard {
    server: Arc<Server>,
}

impl Guard {
    /// How many `tools/call` were started. Wait on it instead of sleeping.
    pub fn calls(&self) -> watch::Receiver<u64> {
        self.server.calls.subscribe()
    }

    /// How many `tools/call` were cancelled. Wait on it instead of sleeping.
    pub fn cancelled(&self) -> watch::Receiver<u64> {
        self.server.cancelled.subscribe()
    }

    /// Forgets every legacy HTTP session now, as a server does that was restarted.
    pub fn forget_sessions(&self) {
        self.server.sessions.forget();
    }

    /// Announces a changed tool list to everybody who listens, and changes it: `test_dynamic_tool` comes or goes.
    pub fn change_tools(&self) {
        self.server.change_tools();
    }

    /// Completes when the server has stopped (the tool `crash`, or [`Guard::stop`]).
    pub async fn stopped(&self) {
        self.server.stop.cancelled().await;
    }

    /// Stops the server and waits until nothing of it runs.
    pub async fn stop(self) {
        self.server.stop.cancel();
        self.server.tasks.close();
        self.server.tasks.wait().await;
    }

    /// What ends the server when it is cancelled, for a caller that has its own way to stop.
    pub fn token(&self) -> CancellationToken {
        self.server.stop.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.server.stop.cancel();
    }
}
