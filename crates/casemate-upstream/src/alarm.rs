//! What no honest server does, for whoever decides what comes of it.

use std::sync::Arc;

use casemate_mcp::names::ServerName;

/// Alarms that wait to be heard; beyond it the later ones are lost. What raises one raises the next.
pub const ALARMS_MAX: usize = 256;

/// Something that no honest server does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// A definition is another than was approved.
    Drift {
        /// Whose.
        server: ServerName,
        /// The server's own name for it.
        item: String,
    },
    /// A cell tried to reach what no grant opens by a name, or lied about whom it asks for.
    Escape {
        /// Which server's.
        server: ServerName,
        /// What it tried: the same text for the same attempt.
        place: String,
    },
    /// A value that was planted in a cell was found outside of it.
    Honeytoken {
        /// In whose cell it was planted.
        owner: Arc<str>,
        /// Where it was found: the same text for the same place.
        seen: String,
    },
}
