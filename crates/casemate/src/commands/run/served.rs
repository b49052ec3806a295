//! The whole journey for one server, over our standard streams: a gateway that lives as long as its one client.

use std::sync::Arc;

use anyhow::Context as _;
use casemate_auth::seal::Seals;
use casemate_gateway::edge;
use casemate_gateway::endpoint::Endpoint;
use casemate_gateway::gate::{Gate, Parts};
use casemate_gateway::ports::{Asked, Identities, Rejection};
use casemate_gateway::snapshot::Oversized;
use casemate_gateway::upstream::{ALARMS_MAX, Launch, Launcher, NoCredentials, Process, Soon};
use casemate_policy::{Subject, SubjectId, local_subject};
use casemate_store::Store;
use casemate_transport::listener::Peer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::Place;
use super::signals::{self, Signals};
use crate::clock;
use crate::context::Context;
use crate::daemon::{self, Ground};
use crate::exit::Exit;
use crate::output::Output;
use crate::typed::Server;
use crate::wiring::nowhere::Nowhere;
use crate::wiring::pins::Book;

/// What of a server's complaints waits for the gateway to keep it, in bytes.
const COMPLAINT_BYTES: usize = 64 << 10;
/// Remarks that wait for the gateway to keep them.
const REMARKS_MAX: usize = 64;
/// What is passed on at a time, in bytes.
const BUFFER_BYTES: usize = 8 << 10;

/// Serves until the client has no more to say, or a signal ends it.
pub(super) fn run(context: &Context, place: Place, server: Server) -> anyhow::Result<Exit> {
    let store = Store::open(context.paths.data())?;
    let runtime = context.small_runtime()?;
    let ended = runtime.block_on(serve(context, place, (server, store)));
    // A thread may wait for our standard input, and nothing will make it stop.
    runtime.shutdown_background();
    ended
}

async fn serve(context: &Context, place: Place, (server, store): (Server, Store)) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen()?;
    // Now, and not in the middle of the first call.
    drop(place.design(&server.launch).await?);
    let place = Arc::new(place);
    let Server { mut snapshot, entry, grace, .. } = server;
    // Its client reads no resources of ours.
    snapshot.limits.results.oversized = Oversized::Whole;
    let pins = Arc::new(Book::open(store).await?);
    let launcher = Arc::clone(&place) as Arc<dyn Launcher>;
    let (alarms, heard) = mpsc::channel(ALARMS_MAX);
    let ground = Ground {
        alarms,
        credentials: Arc::new(NoCredentials),
        tracker: place.tracker.clone(),
        stop: place.stop.clone(),
        masks: Arc::clone(&context.masks),
    };
    let (host, notices) = daemon::host(launcher, &snapshot.limits, ground);
    let gate = Gate::start(Parts {
        snapshot,
        own_url: None,
        identities: Arc::new(Alone::new()?),
        recorder: Arc::clone(&place.log) as _,
        ledger: (Arc::new(Nowhere) as _, Vec::new()),
        desk: (Arc::new(Nowhere) as _, Vec::new()),
        seals: Arc::new(Seals::ephemeral(clock::unix_seconds())?),
        pins: Arc::clone(&pins) as _,
        judges: Arc::new(Nowhere),
        wards: (Arc::new(Nowhere) as _, Vec::new()),
        results: Arc::new(Nowhere),
        alarms: heard,
        host,
        notices,
    });
    let (kept, until) = (Arc::clone(&gate), place.stop.clone());
    place.tracker.spawn(async move { pins.follow(&kept, until).await });
    let streams = (tokio::io::stdin(), tokio::io::stdout());
    let at = (Endpoint::Server(entry.name.clone()), Alone::peer());
    let exit = tokio::select! {
        () = edge::lines::serve_endpoint(Arc::clone(&gate), streams, at) => Exit::Success,
        number = signals.next() => Exit::Command(signals::code(number)),
    };
    tokio::select! {
        () = gate.stop(grace) => {}
        _ = signals.next() => gate.host().stop.cancel(),
    }
    place.leave().await;
    Ok(exit)
}

/// Starts the server as any gateway does, and shows what whoever runs it wants to see.
impl Launcher for Place {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move {
            let mut process = self.cells.launch(launch).await?;
            self.tell(&process.handle.report());
            // Clients show what a server complains about, so they get it, and the gateway keeps it as ever.
            let (kept, keep) = tokio::io::duplex(COMPLAINT_BYTES);
            let complaints = std::mem::replace(&mut process.stderr, Box::new(kept));
            self.tracker.spawn(pass_on(complaints, keep));
            if let Some(remarks) = process.remarks.take() {
                let (keep, kept) = mpsc::channel(REMARKS_MAX);
                process.remarks = Some(kept);
                self.tracker.spawn(show(self.output, remarks, keep));
            }
            Ok(process)
        })
    }
}

/// Passes remarks on, to our own standard error and to whoever keeps them.
async fn show(output: Output, mut remarks: mpsc::Receiver<String>, keep: mpsc::Sender<String>) {
    while let Some(remark) = remarks.recv().await {
        output.note(&format!("casemate: {remark}"));
        // The records have it in any case.
        let _ = keep.try_send(remark);
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
    fn bearer(&self, _: &str, _: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        Err(Rejection::Refused("no key and no token is of use here".to_owned()))
    }

    fn current(&self, id: &SubjectId, _: u64) -> Option<Arc<Subject>> {
        (self.0.id == *id).then(|| Arc::clone(&self.0))
    }

    fn local(&self, uid: u32) -> Option<Arc<Subject>> {
        (uid == rustix::process::geteuid().as_raw()).then(|| Arc::clone(&self.0))
    }
}
