//! The lock file: what a prepared package consists of, byte for byte, and how it came to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::shelf::{self, Place};

/// The version of this file's form.
const FORMAT: u32 = 1;

/// What a prepared package consists of. Written once; its SHA-256 stands for all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    pub(crate) ecosystem: String,
    /// The packages that were asked for.
    pub(crate) asked: Vec<String>,
    /// Where all of it came from, without credentials.
    pub(crate) registry: String,
    pub(crate) platform: String,
    /// The versions of node, npm, Python, pip or uv that were at work.
    pub(crate) tools: BTreeMap<String, String>,
    /// RFC 3339.
    pub(crate) prepared_at: String,
    /// Packages whose install scripts have run.
    pub(crate) scripts_ran: Vec<String>,
    /// Packages whose install scripts have not run.
    pub(crate) scripts_skipped: Vec<String>,
    /// Everything that was installed.
    pub(crate) packages: Vec<Locked>,
    /// The package client's own lock file, from which the very same is installed again.
    pub(crate) resolution: String,
}

/// One package that was installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Hashes of the archive, as the package client writes them; empty for what came inside of another package.
    pub(crate) integrity: Vec<String>,
}

/// A record with the digest of its file.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) record: Record,
    pub(crate) sha256: String,
}

impl Record {
    pub(crate) fn new(ecosystem: &str, asked: Vec<String>, registry: &str) -> Record {
        Record {
            format: FORMAT,
            ecosystem: ecosystem.to_owned(),
            asked,
            registry: registry.to_owned(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            tools: BTreeMap::new(),
            prepared_at: crate::clock::now(),
            scripts_ran: Vec::new(),
            scripts_skipped: Vec::new(),
            packages: Vec::new(),
            resolution: String::new(),
        }
    }

    /// Writes the lock file of a place.
    pub(crate) fn keep(self, place: &Place) -> Result<Kept, Error> {
        let mut text = serde_json::to_vec_pretty(&self).map_err(|fault| broken(place, fault))?;
        text.push(b'\n');
        shelf::write(&place.lock(), &text)?;
        Ok(Kept { record: self, sha256: shelf::hex(&Sha256::digest(&text)) })
    }
}

impl Kept {
    /// Reads the lock file of a place; nothing when there is none.
    pub(crate) fn find(place: &Place) -> Result<Option<Kept>, Error> {
        let Some(text) = shelf::read(&place.lock())? else { return Ok(None) };
        let record: Record = serde_json::from_slice(&text).map_err(|fault| broken(place, fault))?;
        if record.format != FORMAT {
            return Err(broken(place, "it was written by another version of casemate"));
        }
        Ok(Some(Kept { record, sha256: shelf::hex(&Sha256::digest(&text)) }))
    }
}

fn broken(place: &Place, fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::file("understand", &place.lock())(std::io::Error::new(std::io::ErrorKind::InvalidData, fault))
}
