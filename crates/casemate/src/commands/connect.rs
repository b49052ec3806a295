//! `casemate connect`: a client's stdin and stdout, joined to the running gateway.
//!
//! Both ends speak the same framing, so bytes are passed on as they are, by two threads and without a runtime.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use anyhow::Context as _;

use crate::args::gateway::Connect;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{launch, link};

/// What is passed on at a time, in bytes: what a pipe holds.
const BUFFER_BYTES: usize = 64 << 10;

/// Joins the two until the client or the gateway ends.
pub fn run(context: &Context, connect: &Connect) -> anyhow::Result<Exit> {
    let stream = launch::reach(context, &link::endpoint(&connect.endpoint))?;
    let upward = stream.try_clone().context("cannot share the connection between two threads")?;
    let (ended, client_ended) = sync_channel(1);
    thread::Builder::new()
        .name("to-gateway".to_owned())
        .spawn(move || copy_up(upward, &ended))
        .context("cannot start a thread")?;
    if copy_down(stream)? == Ended::ByClient {
        return Ok(Exit::Success);
    }
    // The gateway closes because the client did, or because it went away.
    match client_ended.try_recv() {
        Ok(copied) => copied.map(|()| Exit::Success).context("cannot pass on what the client says"),
        Err(_) => Err(Failure::new(Exit::Unreachable, "the gateway went away")
            .hint("restart the connection in the client; it starts a gateway when none runs")
            .into()),
    }
}

/// Client to gateway. The end of the client's stream is passed on, so that answers in flight still arrive.
fn copy_up(mut stream: UnixStream, ended: &SyncSender<io::Result<()>>) {
    let copied = match pass(&mut io::stdin().lock(), &mut stream) {
        // A gateway that went away is reported by the other direction.
        Err(error) if is_gone(&error) => return,
        other => other,
    };
    // Told first, so that the other thread knows why the gateway closes. When that thread has ended, nobody
    // needs to know.
    let _ = ended.send(copied);
    let _ = stream.shutdown(Shutdown::Write);
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    ByClient,
    ByGateway,
}

/// Gateway to client.
fn copy_down(mut stream: UnixStream) -> anyhow::Result<Ended> {
    let mut stdout = io::stdout().lock();
    match pass(&mut stream, &mut stdout) {
        Ok(()) => Ok(Ended::ByGateway),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ended::ByClient),
        Err(error) if is_gone(&error) => Ok(Ended::ByGateway),
        Err(error) => Err(error).context("cannot pass on what the gateway says"),
    }
}

/// Passes bytes on as soon as they come, until there are no more. Not `std::io::copy`: on Linux that splices, and
/// a splice from a socket into a pipe locks the pipe while it waits for the socket, so that the client's read of
/// what is in the pipe already waits too.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(buffer.get(..length).unwrap_or_default())?;
        to.flush()?;
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
