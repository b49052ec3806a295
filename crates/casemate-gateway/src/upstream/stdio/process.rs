//! The process behind a conversation: started, listened to, and ended for certain.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use casemate_transport::lines::{self, Line, LineReader};
use tokio::io::AsyncRead;
use tokio::time::timeout;

use super::reader::{Reader, Silence};
use super::wire::Wire;
use crate::snapshot::CommandSource;
use crate::upstream::desk::Desk;
use crate::upstream::instance::Seed;
use crate::upstream::life::{End, Life};
use crate::upstream::outlet::Outlet;
use crate::upstream::{Fault, ProcessHandle};

/// Frames that may wait for a process that does not read.
const QUEUE_FRAMES: usize = 64;
/// Longest line of stderr that is kept whole, in bytes.
const COMPLAINT_BYTES_MAX: usize = 8 * 1024;
/// How long a process that closed its output may take to end, so that its exit code can be told.
const EXIT_TIME: Duration = Duration::from_millis(500);
/// How long a process may take to end after its input was closed, and again after SIGTERM.
const POLITE_TIME: Duration = Duration::from_secs(2);

/// Starts the process and the tasks that listen to it.
pub(super) async fn start(seed: &Seed, source: &CommandSource) -> Result<(Arc<Wire>, Life), Fault> {
    let host = &seed.host;
    let spec = host.environment.spec(seed.entry.name.as_str(), source);
    let process = host.spawner.launch(spec).await.map_err(|why| Fault::Start { why })?;
    let life = Life::below(&seed.stop);
    let wire = Arc::new(Wire {
        desk: Desk::new(seed.subject.clone(), seed.offered.clone(), Arc::clone(&seed.outlet)),
        sender: Mutex::new(Some(lines::writer(process.stdin, QUEUE_FRAMES, &host.tracker))),
        revision: OnceLock::new(),
        pid: process.handle.pid(),
        report: process.handle.report(),
    });
    host.tracker.spawn(complaints(process.stderr, Arc::clone(&seed.outlet)));
    let reader = Reader::new(process.stdout, Arc::clone(&wire), seed);
    host.tracker.spawn(live(reader, process.handle, Arc::clone(&wire), life.clone()));
    Ok((wire, life))
}

/// Keeps what the process writes to stderr, and keeps it from ever blocking on that.
async fn complaints(stderr: Box<dyn AsyncRead + Send + Unpin>, outlet: Arc<Outlet>) {
    let mut lines = LineReader::new(stderr, COMPLAINT_BYTES_MAX);
    while let Ok(Some(line)) = lines.next().await {
        match line {
            Line::Frame(text) => outlet.log("stderr", &text),
            Line::TooLong { bytes } => outlet.log("stderr", format!("(a line of {bytes} bytes)").as_bytes()),
        }
    }
}

/// Listens to the process until one side has had enough, and leaves nothing of it behind.
async fn live(mut reader: Reader, handle: Box<dyn ProcessHandle>, wire: Arc<Wire>, life: Life) {
    let silence = tokio::select! {
        silence = reader.run() => Some(silence),
        () = life.stopping() => None,
    };
    // From here on nothing new is taken: who comes now was never heard, and can safely go elsewhere.
    life.stop();
    wire.hang_up();
    let end = match silence {
        Some(Silence::Closed) => match timeout(EXIT_TIME, handle.wait()).await {
            Ok(exit) => End::Lost(format!("its process ended with {exit}")),
            Err(_) => End::Lost("its process closed its output".to_owned()),
        },
        Some(Silence::Broken(why)) => End::Lost(why),
        None => {
            // What it still has to say is heard while it ends.
            _ = timeout(POLITE_TIME, reader.run()).await;
            End::Asked
        }
    };
    let why = match &end {
        End::Lost(why) => why.clone(),
        End::Asked | End::Expired => "it was stopped".to_owned(),
    };
    life.end(end);
    wire.desk.close(&why);
    handle.terminate(POLITE_TIME).await;
}
