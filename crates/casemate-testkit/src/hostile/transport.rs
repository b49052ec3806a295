//! How the hostile server's steps look on a pipe and over HTTP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::listen::{self, Response};

use super::{Step, Villain, answer};

/// The pause between two bytes of [`Step::Drip`].
const DRIP: Duration = Duration::from_millis(100);
/// Bytes of one piece of [`Step::Pieces`].
const PIECE: usize = 3;
/// How long a question waits for its reply.
const REPLY_WAIT: Duration = Duration::from_secs(5);
/// How long answers may still be written after the input has ended.
const LINGER: Duration = Duration::from_millis(200);

/// Writes bytes somewhere; fails when nobody reads any more.
trait Sink {
    /// One frame or one line of noise, with what ends it.
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Bytes of a frame that goes on.
    async fn put_part(&mut self, bytes: Bytes) -> io::Result<()>;
    /// One frame with what ends it, divided into lines where it may be.
    fn framed(&self, bytes: &[u8]) -> Bytes;
}

impl Villain {
    /// Does the steps, one after the other.
    async fn perform(&self, steps: Vec<Step>, sink: &mut impl Sink) -> io::Result<()> {
        for step in steps {
            match step {
                Step::Frame(bytes) | Step::Noise(bytes) => sink.put(&bytes).await?,
                Step::Drip(bytes) => {
                    for at in 0..bytes.len() {
                        sink.put_part(bytes.slice(at..=at)).await?;
                        sleep(DRIP).await;
                    }
                    sink.put(b"").await?;
                }
                Step::Pieces(bytes) => {
                    let framed = sink.framed(&bytes);
                    for at in (0..framed.len()).step_by(PIECE) {
                        sink.put_part(framed.slice(at..framed.len().min(at + PIECE))).await?;
                    }
                }
                Step::Flood(bytes) => loop {
                    sink.put(&bytes).await?;
                },
                Step::Reply(id) => sink.put(&answer::report(&id, &self.reply().await)).await?,
                Step::Silence => std::future::pending().await,
                Step::Exit => self.exit(),
            }
        }
        Ok(())
    }

    async fn reply(&self) -> String {
        let mut replied = self.replied.subscribe();
        match timeout(REPLY_WAIT, replied.wait_for(Option::is_some)).await {
            Ok(Ok(said)) => said.clone().unwrap_or_default(),
            _ => "nothing".to_owned(),
        }
    }

    fn exit(&self) {
        if self.options.ends_process {
            std::process::exit(71);
        }
        self.stop.cancel();
    }

    pub(super) async fn serve_stdio<R, W>(self: Arc<Self>, reader: R, writer: W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        // Messages are read on while a script runs, so that a reply to a question gets through.
        let (scripts, mut waiting) = mpsc::channel::<Vec<Step>>(64);
        let villain = Arc::clone(&self);
        let mut writing = self.tasks.spawn(async move {
            let mut sink = Pipe(writer);
            while let Some(steps) = waiting.recv().await {
                villain.perform(steps, &mut sink).await?;
            }
            Ok::<_, io::Error>(())
        });
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while let Some(count) = self.stop.run_until_cancelled(reader.read_until(b'\n', &mut line)).await {
            if count? == 0 || scripts.send(self.react(&line)).await.is_err() {
                break;
            }
            line.clear();
        }
        drop(scripts);
        // What was begun may end, unless it has no end.
        if timeout(LINGER, &mut writing).await.is_err() {
            writing.abort();
        }
        Ok(())
    }

    pub(super) async fn serve_http(self: Arc<Self>, socket: TcpListener) {
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        listen::serve(socket, stop, tasks, move |request| Arc::clone(&self).handle(request)).await;
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response {
        if request.method() != Method::POST {
            return listen::empty(405);
        }
        let Ok(body) = request.into_body().collect().await else { return listen::empty(400) };
        let mut steps = self.react(&body.to_bytes());
        match steps.first() {
            Some(Step::Silence) => std::future::pending().await,
            // Dies before a status line is out.
            Some(Step::Exit) => {
                self.exit();
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        if steps.is_empty() {
            return listen::empty(202);
        }
        if let [Step::Frame(bytes)] = steps.as_mut_slice() {
            return listen::json(200, std::mem::take(bytes));
        }
        let (sender, receiver) = mpsc::channel(16);
        let dripping = matches!(steps.as_slice(), [Step::Drip(_)]);
        let villain = Arc::clone(&self);
        self.tasks.spawn(async move {
            // The client may leave at any time.
            let _ = villain.perform(steps, &mut Chunks { sender, events: !dripping }).await;
        });
        if dripping { listen::stream("application/json", receiver) } else { listen::event_stream(receiver) }
    }
}

/// Lines on a pipe.
struct Pipe<W>(W);

impl<W: AsyncWrite + Unpin> Sink for Pipe<W> {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.write_all(b"\n").await?;
        self.0.flush().await
    }

    async fn put_part(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.write_all(&bytes).await?;
        self.0.flush().await
    }

    fn framed(&self, bytes: &[u8]) -> Bytes {
        [bytes, b"\n"].concat().into()
    }
}

/// Chunks of an HTTP body: events, or the bytes as they are.
struct Chunks {
    sender: mpsc::Sender<Bytes>,
    events: bool,
}

impl Sink for Chunks {
    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = if self.events { [b"data: ", bytes, b"\n\n"].concat() } else { bytes.to_vec() };
        self.put_part(bytes.into()).await
    }

    async fn put_part(&mut self, bytes: Bytes) -> io::Result<()> {
        self.sender.send(bytes).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn framed(&self, bytes: &[u8]) -> Bytes {
        // Behind the first comma of the frame, where JSON may have a line break.
        let comma = bytes.iter().position(|byte| *byte == b',').map_or(0, |comma| comma + 1);
        let (first, rest) = bytes.split_at(comma);
        [b"data: ", first, b"\ndata: ", rest, b"\n\n"].concat().into()
    }
}
