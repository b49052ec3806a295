//! What is done with results that are too large to be shown at once.

use std::time::Duration;

/// What is done with a result that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Oversized {
    /// It is kept, and its beginning is shown with a link to the whole.
    #[default]
    Link,
    /// It passes whole, up to the largest answer that passes at all.
    Whole,
}

/// From which size on a result is too large, and how much is kept of such results.
#[derive(Debug, Clone, Copy)]
pub struct ResultLimits {
    /// What is done. Default: a link.
    pub oversized: Oversized,
    /// Text of one result that is shown, and of one part that is read, in bytes. Default 1 MiB.
    pub text_max: usize,
    /// An image, a sound or another binary that is shown, and a part of one that is read, in bytes of base64. Default 8 MiB.
    pub media_max: usize,
    /// How much of each text is shown of a result that is too large, in characters. Default 2000.
    pub preview_chars: usize,
    /// Kept for one subject, in bytes. Default 256 MiB.
    pub subject_bytes_max: u64,
    /// Kept for all together, in bytes. Default 1 GiB.
    pub total_bytes_max: u64,
    /// How long something is kept. Default 1 h.
    pub life: Duration,
}

impl Default for ResultLimits {
    fn default() -> Self {
        ResultLimits {
            oversized: Oversized::Link,
            text_max: 1 << 20,
            media_max: 8 << 20,
            preview_chars: 2000,
            subject_bytes_max: 256 << 20,
            total_bytes_max: 1 << 30,
            life: Duration::from_secs(3600),
        }
    }
}
