//! The whole journey for one server, over our standard streams: a gateway that lives as long as its one client.

use std::sync::Arc;

use anyhow::Context as _;
use casemate_gateway::edge;
use casemate_gateway::endpoint::Endpoint;
use casemate_gateway::gate::{Gate, Parts};
use casemate_gateway::ports::Identities;
use casemate_gateway::upstream::{Launch, Launcher, Process, Soon};
use casemate_policy::{Subject, SubjectId, local_subject};
use casemate_store::RecordLog;
use casemate_transport::listener::Peer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::task::TaskTracker;

use super::signals::{self, Signals};
use crate::cells::Cells;
use crate::context::Context;
use crate::daemon::{self, FAREWELL};
use crate::exit::Exit;
use crate::output::Output;
use crate::typed::Server;
use crate::wiring::recorder::Log;

/// What of a server's complaints waits for the gateway to keep it, in bytes.
const COMPLAINT_BYTES: usize = 64 << 10;
/// What is passed on at a time, in bytes.
const BUFFER_BYTES: usize = 8 << 10;

/// Serves until the client has no more to say, or a signal ends it.
pub(super) fn run(
    context: &Context,
    server: Server,
    cells: Cells,
    tracker: TaskTracker,
) -> anyhow::Result<Exit> {
    context.paths.prepare_data()?;
    let log = Arc::new(Log::new(RecordLog::open(&context.paths.records())?));
    let runtime = context.small_runtime()?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        // Now, and not in the middle of the first call.
        let design = cells.design(&server.launch).await.map_err(super::not_started)?;
        super::warn_of_unseen(context, &design, &server.launch);
        drop(design);
        let launcher = Visible {
            cells,
            tracker: tracker.clone(),
            output: context.output,
            reports: context.global.verbose > 0,
        };
        let (host, notices) = daemon::host(Arc::new(launcher), &server.snapshot.limits, tracker);
        let grace = server.grace;
        let gate = Gate::start(Parts {
            snapshot: server.snapshot,
            identities: Arc::new(Alone::new()?),
            recorder: Arc::clone(&log) as _,
            host,
            notices,
        });
        let streams = (tokio::io::stdin(), tokio::io::stdout());
        let at = (Endpoint::Server(server.entry.name.clone()), Alone::peer());
        let exit = tokio::select! {
            () = edge::lines::serve_endpoint(Arc::clone(&gate), streams, at) => Exit::Success,
            number = signals.next() => Exit::Command(signals::code(number)),
        };
        tokio::select! {
            () = gate.stop(grace) => {}
            _ = signals.next() => gate.host().stop.cancel(),
        }
        gate.tracker().close();
        if tokio::time::timeout(FAREWELL, gate.tracker().wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time and are dropped");
        }
        anyhow::Ok(exit)
    });
    log.sync();
    // A thread may wait for our standard input, and nothing will make it stop.
    runtime.shutdown_background();
    ended
}

/// Starts the server as any gateway does, and shows what whoever runs it wants to see.
#[derive(Debug)]
struct Visible {
    cells: Cells,
    tracker: TaskTracker,
    output: Output,
    /// Whether the report of each start is shown.
    reports: bool,
}

impl Launcher for Visible {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move {
            let mut process = self.cells.launch(launch).await?;
            if self.reports {
                self.output.note(&super::told(&process.handle.report()));
            }
            // Clients show what a server complains about, so they get it, and the gateway keeps it as ever.
            let (kept, keep) = tokio::io::duplex(COMPLAINT_BYTES);
            let complaints = std::mem::replace(&mut process.stderr, Box::new(kept));
            self.tracker.spawn(pass_on(complaints, keep));
            Ok(process)
        })
    }
}

/// Passes complaints on, to our own standard error and to whoever keeps them.
async fn pass_on(mut from: Box<dyn AsyncRead + Send + Unpin>, mut keep: DuplexStream) {
    let mut shown = tokio::io::stderr();
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let text = buffer.get(..length).unwrap_or_default();
        // A client that does not want to see it does not keep the gateway from it.
        let _ = shown.write_all(text).await;
        let _ = shown.flush().await;
        if keep.write_all(text).await.is_err() {
            return;
        }
    }
}

/// The one user there is: whoever started us.
#[derive(Debug)]
struct Alone(Arc<Subject>);

impl Alone {
    fn new() -> anyhow::Result<Alone> {
        let uid = rustix::process::geteuid().as_raw();
        Ok(Alone(Arc::new(local_subject(uid, uid).context("we are nobody")?)))
    }

    /// The other end of our standard streams, which nobody but our own user can have given us.
    fn peer() -> Peer {
        let pid = rustix::process::getppid().map(|pid| pid.as_raw_pid());
        Peer::Unix { uid: rustix::process::geteuid().as_raw(), pid }
    }
}

impl Identities for Alone {
    fn key(&self, _: &str, _: u64) -> Result<Arc<Subject>, String> {
        Err("no key is of use here".to_owned())
    }

    fn current(&self, id: &SubjectId, _: u64) -> Option<Arc<Subject>> {
        (self.0.id == *id).then(|| Arc::clone(&self.0))
    }

    fn local(&self, uid: u32) -> Option<Arc<Subject>> {
        (uid == rustix::process::geteuid().as_raw()).then(|| Arc::clone(&self.0))
    }
}
