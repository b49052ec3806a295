//! The protocol's revisions and the two dialects they fall into.

use std::fmt;

/// A published revision of the Model Context Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// JSON-RPC over stdio and HTTP+SSE; `initialize`.
    V2024_11_05,
    /// Streamable HTTP, sessions, JSON-RPC batches.
    V2025_03_26,
    /// Batches removed; structured output, elicitation, the `MCP-Protocol-Version` header.
    V2025_06_18,
    /// Icons, URL elicitation, priming events; the last one with `initialize`.
    V2025_11_25,
    /// Stateless: `server/discover`, `_meta` in every request, multi round-trip requests.
    V2026_07_28,
}

impl Revision {
    /// All revisions, oldest first.
    pub const ALL: [Revision; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// The newest revision that opens with `initialize`.
    pub const LATEST_LEGACY: Revision = Self::V2025_11_25;
    /// The newest revision.
    pub const LATEST: Revision = Self::V2026_07_28;

    /// The date that names the revision on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision that a date names, if it is one of the five.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Stateless (2026-07-28 and later), as against sessions that open with `initialize`.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// JSON-RPC batches existed in this one revision.
    #[must_use]
    pub fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// An event stream opens with an event that carries only an id, so that a client can resume from the start.
    #[must_use]
    pub fn has_priming_events(self) -> bool {
        self == Self::V2025_11_25
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
