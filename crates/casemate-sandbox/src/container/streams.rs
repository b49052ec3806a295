//! The streams of a container: one connection carries both outputs in frames, which become two pipes.
//!
//! The frames are those of `POST /containers/{id}/attach`: the number of the stream, three zeros, the length as four
//! bytes, the most significant first, and as many bytes.

use std::io::{self, Cursor};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, pipe};

/// How much is read from the engine at once, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// Both ends of the pipes of one container.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
    pub(super) sinks: Sinks,
}

/// Where the outputs of a container go. Nothing for one that nobody reads any more.
#[derive(Debug)]
pub(super) struct Sinks {
    stdout: Option<pipe::Sender>,
    stderr: Option<pipe::Sender>,
}

/// Makes the pipes.
pub(super) fn pipes() -> io::Result<Pipes> {
    let (to_stdout, stdout) = pipe::pipe()?;
    let (to_stderr, stderr) = pipe::pipe()?;
    Ok(Pipes { stdout, stderr, sinks: Sinks { stdout: Some(to_stdout), stderr: Some(to_stderr) } })
}

/// Sorts what a container says until it says no more.
pub(super) async fn sort(output: OwnedReadHalf, early: Bytes, sinks: Sinks) {
    if let Err(error) = frames(Cursor::new(early).chain(output), sinks).await {
        tracing::debug!(%error, "the streams of a container broke off");
    }
}

async fn frames(source: impl AsyncRead + Unpin, mut sinks: Sinks) -> io::Result<()> {
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    while !source.fill_buf().await?.is_empty() {
        let mut head = [0; 8];
        source.read_exact(&mut head).await?;
        let [stream, _, _, _, length @ ..] = head;
        let sink = if stream == 2 { &mut sinks.stderr } else { &mut sinks.stdout };
        let mut left = u64::from(u32::from_be_bytes(length));
        while left > 0 {
            let bytes = source.fill_buf().await?;
            let part =
                bytes.get(..usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())).unwrap_or_default();
            if part.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(pipe) = sink
                && pipe.write_all(part).await.is_err()
            {
                // Its reader is gone. The server cannot be told, but it shall not stall.
                *sink = None;
            }
            let length = part.len();
            source.consume(length);
            left -= length as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], length.as_slice(), text].concat()
    }

    /// What arrives at both pipes, and whether the streams ended as they should, when they come in parts of `size` bytes.
    async fn sorted(bytes: &[u8], size: usize) -> (String, String, bool) {
        let Pipes { mut stdout, mut stderr, sinks } = pipes().unwrap();
        let source = tokio_parts(bytes, size);
        let fine = frames(source, sinks).await.is_ok();
        let (mut out, mut err) = (String::new(), String::new());
        stdout.read_to_string(&mut out).await.unwrap();
        stderr.read_to_string(&mut err).await.unwrap();
        (out, err, fine)
    }

    fn tokio_parts(bytes: &[u8], size: usize) -> impl AsyncRead + Unpin {
        let empty: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
        bytes.rchunks(size).fold(empty, |rest, part| Box::new(Cursor::new(part.to_vec()).chain(rest)))
    }

    #[tokio::test]
    async fn frames_are_sorted_however_they_are_cut() {
        let bytes = [frame(1, b"one "), frame(2, b"error"), frame(1, b""), frame(1, b"two")].concat();
        for size in 1..=bytes.len() {
            assert_eq!(
                sorted(&bytes, size).await,
                ("one two".to_owned(), "error".to_owned(), true),
                "{size}"
            );
        }
        for cut in 1..4 {
            let (out, _, fine) = sorted(&bytes[..8 + cut], 3).await;
            assert_eq!((out.as_str(), fine), (&"one "[..cut], cut == 4), "{cut}");
        }
        assert_eq!(sorted(&[], 1).await, (String::new(), String::new(), true));
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_holds_up_nobody() {
        let Pipes { stdout, mut stderr, sinks } = pipes().unwrap();
        drop(stdout);
        let long = vec![b'x'; 1 << 20];
        let bytes = [frame(1, &long), frame(2, b"still here")].concat();
        frames(tokio_parts(&bytes, 4096), sinks).await.unwrap();
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "still here");
    }
}
