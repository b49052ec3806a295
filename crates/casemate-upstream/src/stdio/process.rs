//! The process behind a conversation: started, listened to, and ended for certain.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use casemate_transport::lines::{self, Line, LineReader};
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::input::Counted;
use super::reader::{Noise, Output, Reader, Silence};
use super::wire::{Outbound, Wire};
use crate::desk::Desk;
use crate::entry::Program;
use crate::instance::Seed;
use crate::life::{End, Life};
use crate::outlet::Outlet;
use crate::{Fault, Launch, ProcessHandle};

/// Frames that may wait for a server that does not read.
pub(super) const QUEUE_FRAMES: usize = 64;
/// Longest line of stderr that is kept whole, in bytes.
const COMPLAINT_BYTES_MAX: usize = 8 * 1024;
/// How long a process that closed its output may take to end, so that its exit code can be told.
const EXIT_TIME: Duration = Duration::from_millis(500);
/// How long a process may take to end after its input was closed, and again after SIGTERM.
pub(super) const POLITE_TIME: Duration = Duration::from_secs(2);

/// Starts the process and the tasks that listen to it.
pub(super) async fn start(seed: &Seed, program: &Program) -> Result<(Arc<Wire>, Life), Fault> {
    let host = &seed.host;
    let launch = Launch { server: seed.entry.name.clone(), program: program.clone() };
    let process = host.launcher.launch(launch).await.map_err(|why| Fault::Start { why })?;
    seed.launched.store(true, Ordering::Relaxed);
    let life = Life::below(&seed.stop);
    let (input, read_bytes) = Counted::new(process.stdin);
    let wire = Arc::new(Wire {
        desk: Desk::new(seed.subject.clone(), seed.offered.clone(), Arc::clone(&seed.outlet)),
        outbound: Mutex::new(Some(Outbound::new(lines::writer(input, QUEUE_FRAMES, &host.tracker)))),
        read_bytes: OnceLock::new(),
        revision: OnceLock::new(),
        pid: process.handle.pid(),
        report: Some(Arc::new(process.handle.report())),
    });
    host.tracker.spawn(complaints(process.stderr, Arc::clone(&seed.outlet)));
    if let Some(remarks) = process.remarks {
        host.tracker.spawn(listen(remarks, Arc::clone(&seed.outlet)));
    }
    let output = Output::lines(process.stdout, seed);
    let reader = Reader::new(output, Noise::Borne, Arc::clone(&wire), seed);
    let watch = Watch { handle: process.handle, wire: Arc::clone(&wire), life: life.clone(), read_bytes };
    host.tracker.spawn(watch.run(reader));
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

/// Keeps what the process's keeper says about it.
async fn listen(mut remarks: mpsc::Receiver<String>, outlet: Arc<Outlet>) {
    while let Some(remark) = remarks.recv().await {
        outlet.log("cell", remark.as_bytes());
    }
}

/// What is needed to see a process through to its end.
struct Watch {
    handle: Box<dyn ProcessHandle>,
    wire: Arc<Wire>,
    life: Life,
    read_bytes: oneshot::Receiver<u64>,
}

impl Watch {
    /// Listens to the process until one side has had enough, and leaves nothing of it behind.
    async fn run(mut self, mut reader: Reader) {
        let silence = tokio::select! {
            silence = reader.run() => Some(silence),
            () = self.life.stopping() => None,
        };
        // From here on it gets no new calls.
        self.life.stop();
        let end = match silence {
            Some(Silence::Closed) => self.exit().await,
            Some(Silence::Broken(why)) => End::Lost(why),
            Some(Silence::OverLimit(overrun)) => {
                self.handle.blame(&overrun);
                End::OverLimit(overrun)
            }
            None => {
                self.wire.hang_up();
                // What it still has to say is heard while it ends.
                _ = timeout(POLITE_TIME, reader.run()).await;
                End::Asked
            }
        };
        self.wire.hang_up();
        close(&self.wire, &self.life, end);
        self.handle.terminate(POLITE_TIME).await;
    }

    /// Learns how a process ended that closed its output, and how much of what we sent it had read by then. That is
    /// asked after its end: one that lives may still read.
    async fn exit(&mut self) -> End {
        let Ok(exit) = timeout(EXIT_TIME, self.handle.wait()).await else {
            return End::Lost("its process closed its output".to_owned());
        };
        self.wire.hang_up();
        if let Ok(Ok(bytes)) = timeout(EXIT_TIME, &mut self.read_bytes).await {
            _ = self.wire.read_bytes.set(bytes);
        }
        match exit.overrun {
            Some(overrun) => End::OverLimit(overrun),
            None => End::Lost(format!("its process ended with {}", exit.how)),
        }
    }
}

/// Ends the life of an instance, and the calls that it had.
pub(super) fn close(wire: &Wire, life: &Life, end: End) {
    let gone = |why: &str| Fault::Gone { sent: true, why: why.to_owned() };
    let fault = match &end {
        End::Lost(why) => gone(why),
        End::OverLimit(overrun) => Fault::OverLimit { overrun: overrun.clone() },
        End::Asked | End::Expired => gone("it was stopped"),
    };
    life.end(end);
    wire.desk.close(&fault);
}
