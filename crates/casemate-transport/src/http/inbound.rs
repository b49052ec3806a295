//! The body of a request, not read yet.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::Instant;

/// A sender may take this long before its rate counts: a first pause is the network's, not an attack.
const GRACE: Duration = Duration::from_secs(5);
/// After the grace, a body must have come at this many bytes per second on average: slower ones hold a place
/// without using it. 1 KiB/s is far below any working link.
const RATE_MIN: f64 = 1024.0;
/// Memory that is set aside at once for a body of announced length; the announcement alone costs nothing, since
/// untouched memory is not mapped.
const AHEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The body of a request, which nobody has read yet. Dropping it unread makes the server answer at once and
/// close the connection if more is still to come.
#[derive(Debug)]
pub struct Inbound {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Wire(Incoming),
    Memory(Bytes),
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyFault {
    /// It is longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It did not arrive within its time, or too slowly.
    #[error("the body arrives too slowly")]
    TooSlow,
    /// The connection broke, or the chunks are malformed.
    #[error("the body broke off")]
    Broken,
}

impl From<Incoming> for Inbound {
    fn from(incoming: Incoming) -> Self {
        Self { source: Source::Wire(incoming) }
    }
}

impl From<Bytes> for Inbound {
    /// A body that is already there: for tests and for calls that come from inside.
    fn from(bytes: Bytes) -> Self {
        Self { source: Source::Memory(bytes) }
    }
}

impl Inbound {
    /// Reads the whole body: at most `limit` bytes, within `deadline` and not slower than 1 KiB/s after five
    /// seconds. A body that came in one piece is not copied; one that is announced as too long is not read.
    ///
    /// # Errors
    /// [`BodyFault`].
    pub async fn read(self, limit: usize, deadline: Duration) -> Result<Bytes, BodyFault> {
        match self.source {
            Source::Memory(bytes) if bytes.len() > limit => Err(BodyFault::TooLarge { limit }),
            Source::Memory(bytes) => Ok(bytes),
            Source::Wire(incoming) => read(incoming, limit, Pace::Steady(deadline)).await,
        }
    }
}

/// How fast a body has to come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Within the time, and at the least rate: for strangers.
    Steady(Duration),
    /// Within the time: for servers, which may send headers first and think afterwards.
    Any(Duration),
}

impl Pace {
    /// How long after its start a body may have to wait for the next piece.
    fn allows(self, received: usize) -> Duration {
        match self {
            Self::Steady(whole) => {
                whole.min(GRACE.saturating_add(Duration::from_secs_f64(received as f64 / RATE_MIN)))
            }
            Self::Any(whole) => whole,
        }
    }
}

/// Gathers a whole body; one that came in one piece is not copied.
pub(super) async fn read<B>(mut body: B, limit: usize, pace: Pace) -> Result<Bytes, BodyFault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(BodyFault::TooLarge { limit });
    }
    let start = Instant::now();
    let Some(first) = next(&mut body, start + pace.allows(0)).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(BodyFault::TooLarge { limit });
    }
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(&mut body, start + pace.allows(first.len())).await? else { return Ok(first) };
    let ahead = usize::try_from(announced).unwrap_or(limit).min(AHEAD_BYTES_MAX);
    let mut whole = BytesMut::with_capacity(ahead.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    drop(first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if whole.len() + bytes.len() > limit {
            return Err(BodyFault::TooLarge { limit });
        }
        whole.extend_from_slice(&bytes);
        piece = next(&mut body, start + pace.allows(whole.len())).await?;
    }
    Ok(whole.freeze())
}

/// The next piece of data before `until`; trailers are passed over.
async fn next<B>(body: &mut B, until: Instant) -> Result<Option<Bytes>, BodyFault>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match tokio::time::timeout_at(until, body.frame()).await {
            Err(_) => return Err(BodyFault::TooSlow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(BodyFault::Broken),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tokio::sync::mpsc;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Pieces(mpsc::Receiver<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    fn pieces() -> (mpsc::Sender<Bytes>, Pieces) {
        let (sender, receiver) = mpsc::channel(64);
        (sender, Pieces(receiver))
    }

    #[tokio::test]
    async fn one_piece_is_not_copied_and_many_are_joined() {
        let (sender, body) = pieces();
        let piece = Bytes::from(vec![b'x'; 100]);
        sender.send(piece.clone()).await.unwrap();
        drop(sender);
        let whole = read(body, 100, Pace::Steady(MINUTE)).await.unwrap();
        assert_eq!(whole.as_ptr(), piece.as_ptr());

        let (sender, body) = pieces();
        for text in ["a", "bc", "", "d"] {
            sender.send(Bytes::from(text)).await.unwrap();
        }
        drop(sender);
        assert_eq!(read(body, 4, Pace::Steady(MINUTE)).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn more_than_the_limit_is_refused() {
        for sizes in [&[101][..], &[100, 1], &[50, 50, 1]] {
            let (sender, body) = pieces();
            for size in sizes {
                sender.send(Bytes::from(vec![0; *size])).await.unwrap();
            }
            assert_eq!(read(body, 100, Pace::Steady(MINUTE)).await, Err(BodyFault::TooLarge { limit: 100 }));
        }
        let inside = Inbound::from(Bytes::from_static(b"12345"));
        assert_eq!(inside.read(4, MINUTE).await, Err(BodyFault::TooLarge { limit: 4 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_a_slow_and_a_late_sender_are_cut() {
        let start = Instant::now();
        let (_sender, body) = pieces();
        assert_eq!(read(body, 100, Pace::Steady(MINUTE)).await, Err(BodyFault::TooSlow));
        assert_eq!(start.elapsed().as_secs(), GRACE.as_secs(), "silence");

        let (sender, body) = pieces();
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(async move {
            while sender.send(Bytes::from_static(&[0; 512])).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        assert_eq!(read(body, usize::MAX, Pace::Steady(MINUTE)).await, Err(BodyFault::TooSlow));
        assert!((10..12).contains(&start.elapsed().as_secs()), "half the rate: {:?}", start.elapsed());

        let (sender, body) = pieces();
        tasks.spawn(async move {
            while sender.send(Bytes::from_static(&[0; 4096])).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        assert_eq!(read(body, usize::MAX, Pace::Steady(MINUTE)).await, Err(BodyFault::TooSlow));
        assert_eq!(start.elapsed().as_secs(), 60, "fast enough, but endless");
    }
}
