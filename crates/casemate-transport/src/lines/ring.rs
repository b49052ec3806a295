//! Keeps the last part of a text stream: what a server wrote to stderr before it failed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What is read at once from a text stream.
const READ_BYTES: usize = 4 * 1024;

/// The last bytes of a text stream. Clones share the same text.
#[derive(Debug, Clone)]
pub struct Ring {
    text: Arc<Mutex<Text>>,
}

#[derive(Debug)]
struct Text {
    bytes: VecDeque<u8>,
    bytes_max: usize,
    total: u64,
}

impl Ring {
    /// An empty ring that keeps the last `bytes_max` bytes. It takes no memory until something is written.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { text: Arc::new(Mutex::new(Text { bytes: VecDeque::new(), bytes_max, total: 0 })) }
    }

    /// Adds bytes at the end and forgets the oldest ones beyond the limit.
    pub fn push(&self, bytes: &[u8]) {
        let mut text = self.lock();
        text.total = text.total.saturating_add(bytes.len() as u64);
        let kept = bytes.get(bytes.len().saturating_sub(text.bytes_max)..).unwrap_or_default();
        let excess = (text.bytes.len() + kept.len()).saturating_sub(text.bytes_max);
        text.bytes.drain(..excess);
        text.bytes.extend(kept);
    }

    /// The text that is kept; bytes that are not UTF-8 show as U+FFFD. When the beginning was forgotten, the
    /// text starts at the first whole line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.lock();
        let cut = text.total > text.bytes.len() as u64;
        let bytes = &*text.bytes.make_contiguous();
        let start = if cut { memchr::memchr(b'\n', bytes).map_or(0, |end| end + 1) } else { 0 };
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    /// The last `count` lines of [`Ring::text`].
    #[must_use]
    pub fn lines(&self, count: usize) -> Vec<String> {
        let text = self.text();
        let skip = text.lines().count().saturating_sub(count);
        text.lines().skip(skip).map(str::to_owned).collect()
    }

    /// How many bytes were ever written, kept or not.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lock().total
    }

    /// A panic while the lock was held cannot leave the text in a state that matters.
    fn lock(&self) -> std::sync::MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `source` into `ring` until it ends or breaks, and so keeps its writer from ever blocking on it.
pub async fn collect<R: AsyncRead + Unpin>(mut source: R, ring: Ring) {
    let mut chunk = vec![0; READ_BYTES];
    loop {
        match source.read(&mut chunk).await {
            Ok(0) => return,
            Ok(count) => ring.push(chunk.get(..count).unwrap_or_default()),
            Err(error) => {
                tracing::debug!(%error, "a text stream broke");
                return;
            }
        }
    }
}
