//! What is in force around a process, as it is shown to people and written to the records.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is in force around a process. Found out at its start; nothing in it is a promise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CellReport {
    /// What encloses it.
    pub cell: CellKind,
    /// How its processes are held together, such as `pid-namespace`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub containment: String,
    /// The layers that are wholly in force, by the names of docs/sandbox.md.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// The layers that are not, or not wholly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absence>,
    /// What of the host it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Granted>,
    /// What it may reach over the network; nothing when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<String>,
    /// Its limits, by their settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// The package or image that it was started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// What encloses a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// Nothing.
    #[default]
    None,
    /// A light cell.
    Light,
    /// A full cell.
    Full,
    /// A container.
    Container,
}

impl CellKind {
    /// The word for it in lists and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CellKind::None => "none",
            CellKind::Light => "light",
            CellKind::Full => "full",
            CellKind::Container => "container",
        }
    }
}

impl fmt::Display for CellKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A layer that is not, or not wholly, in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Which.
    pub layer: String,
    /// Why.
    pub reason: String,
}

/// A file or folder of the host that is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Its path.
    pub path: String,
    /// `readable` or `writable`.
    pub access: String,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The setting, such as `limits.memory`.
    pub setting: String,
    /// Its value, as it would be written there.
    pub value: String,
}

/// What a process was started from, when that was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The package with its exact version, or the image with its digest.
    pub name: String,
    /// SHA-256 of the lock that says which files belong to it, in hexadecimal; for an image its digest.
    pub sha256: String,
    /// Whether it ran install scripts while it was prepared, and which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<String>,
}
