//! Servers behind pipes, which stand for processes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use casemate_testkit::fixture::Guard;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf,
};
use tokio_util::sync::CancellationToken;

use super::background;
use crate::snapshot::Program;
use crate::tests::bridge::script;
use crate::upstream::report::CellReport;
use crate::upstream::{Exit, Input, Launch, Launcher, Overrun, Process, ProcessHandle, Soon};

/// Starts fixtures behind pipes instead of processes; the program's name is the era.
#[derive(Default)]
pub(in crate::tests) struct Links {
    pub(in crate::tests) guards: Mutex<Vec<Arc<Guard>>>,
    /// What was written to all of them.
    pub(super) sent: Arc<Mutex<Vec<u8>>>,
    /// What the program `plays` does.
    play: Arc<Mutex<Option<Arc<Play>>>>,
}

/// What a server writes for a message that it gets.
pub(in crate::tests) type Play = dyn Fn(&Value) -> Vec<Value> + Send + Sync;

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Links")
    }
}

impl Links {
    /// Says what the program `plays` does from now on.
    pub(in crate::tests) fn play(&self, play: impl Fn(&Value) -> Vec<Value> + Send + Sync + 'static) {
        *self.play.lock().unwrap() = Some(Arc::new(play));
    }
}

/// Serves one client until its input ends.
async fn played<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    play: Arc<Mutex<Option<Arc<Play>>>>,
    reader: R,
    mut writer: W,
) {
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let play = play.lock().unwrap().clone().unwrap();
        for message in play(&serde_json::from_str(&line).unwrap()) {
            // Whoever it is for may be gone; the input ends next.
            _ = writer.write_all(format!("{message}\n").as_bytes()).await;
        }
    }
}

struct Link(Arc<Guard>);

/// A hostile server behind a pipe; it ends with its input.
struct Villain(CancellationToken);

/// What the program `says-token` says; nobody's token.
pub(in crate::tests) const TOKEN: &str = "tok-7f3a9c5e1b2d";

/// The programs that are hostile servers, by name.
pub(in crate::tests) const HOSTILE: [(&str, Kind); 18] = [
    ("garbage", Kind::Garbage),
    ("exits", Kind::Exits),
    ("hangs-on-call", Kind::HangsOnCall),
    ("floods", Kind::Floods),
    ("wrong-id", Kind::WrongId),
    ("answers-twice", Kind::AnswersTwice),
    ("duplicate-members", Kind::DuplicateMembers),
    ("lone-surrogate", Kind::LoneSurrogate),
    ("deep", Kind::Deep),
    ("huge", Kind::Huge),
    ("bad-utf8", Kind::BadUtf8),
    ("slow", Kind::Slow),
    ("claims-uri", Kind::ClaimsUri),
    ("duplicate-tools", Kind::DuplicateTools),
    ("bad-schema", Kind::BadSchema),
    ("endless-pages", Kind::EndlessPages),
    ("server-asks", Kind::ServerAsks),
    ("hangs", Kind::Hangs),
];

fn hostile_process(hostile: Hostile) -> Process {
    beside(move |reader, writer| hostile.serve_stdio(reader, writer))
}

/// A server behind a pipe that ends when it returns.
fn beside<F, S>(serve: S) -> Process
where
    S: FnOnce(ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) -> F,
    F: Future<Output: Send> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (reader, writer) = tokio::io::split(theirs);
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let served = serve(reader, writer);
    background(async move {
        let _guard = guard;
        served.await
    });
    let (stdout, stdin) = tokio::io::split(ours);
    Process {
        stdin: Box::new(Pipe(stdin, Arc::default())),
        stdout: Box::new(stdout),
        stderr: Box::new(tokio::io::empty()),
        remarks: None,
        handle: Box::new(Villain(ended)),
    }
}

impl ProcessHandle for Villain {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn report(&self) -> CellReport {
        CellReport::default()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async {
            self.0.cancelled().await;
            Exit { how: "ended".to_owned(), overrun: None }
        })
    }

    fn blame(&self, _overrun: &Overrun) {}

    fn terminate(&self, _: Duration) -> Soon<'_, ()> {
        Box::pin(async {})
    }
}

impl Launcher for Links {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move {
            let Program::Command(command) = &launch.program else { return Err("no command".to_owned()) };
            let program = command.program.as_str();
            if program == "script" {
                return Ok(beside(script::serve));
            }
            if program == "plays" {
                let play = Arc::clone(&self.play);
                return Ok(beside(move |reader, writer| played(play, reader, writer)));
            }
            if program == "says-token" {
                return Ok(hostile_process(Hostile::new(Kind::Says, Era::Dual).say(TOKEN)));
            }
            if let Some((_, kind)) = HOSTILE.iter().find(|(name, _)| *name == program) {
                return Ok(hostile_process(Hostile::new(*kind, Era::Dual)));
            }
            let era = match Some(program) {
                Some("modern") => Era::Modern,
                Some("dual") => Era::Dual,
                Some("legacy") => Era::Legacy,
                _ => return Err("no such program".to_owned()),
            };
            let (link, guard) = Fixture::new(era).spawn_link().map_err(|fault| fault.to_string())?;
            let (stdout, stdin) = tokio::io::split(link);
            let guard = Arc::new(guard);
            self.guards.lock().unwrap().push(Arc::clone(&guard));
            Ok(Process {
                stdin: Box::new(Pipe(stdin, Arc::clone(&self.sent))),
                stdout: Box::new(stdout),
                stderr: Box::new(tokio::io::empty()),
                remarks: None,
                handle: Box::new(Link(guard)),
            })
        })
    }
}

impl ProcessHandle for Link {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn report(&self) -> CellReport {
        CellReport::default()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async {
            self.0.stopped().await;
            Exit { how: "ended".to_owned(), overrun: None }
        })
    }

    fn blame(&self, _overrun: &Overrun) {}

    fn terminate(&self, _: Duration) -> Soon<'_, ()> {
        Box::pin(async { self.0.token().cancel() })
    }
}

/// A pipe of which nobody knows how much was read.
struct Pipe(WriteHalf<DuplexStream>, Arc<Mutex<Vec<u8>>>);

impl Input for Pipe {
    fn unread(&self) -> Option<u64> {
        None
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.1.lock().unwrap().extend_from_slice(&bytes[..length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
