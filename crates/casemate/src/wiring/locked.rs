//! A gateway that is held to a lock file: what is in it may be used, and nothing else, whatever anybody approves of.

use std::sync::Arc;

use bytes::Bytes;
use casemate_gateway::ports::{Declared, Pins, Standing};
use casemate_gateway::snapshot::Approval;
use casemate_mcp::names::ServerName;
use casemate_registry::lock::Lock;
use casemate_registry::pins::fingerprint;

use super::pins::{Book, DEFINITION_BYTES_MAX, kind};
use crate::args::pins::Item;

/// Judges by a lock file. Nothing is written, and nothing is approved by being seen.
#[derive(Debug)]
struct Locked {
    lock: Lock,
    book: Arc<Book>,
}

/// The pins that a gateway goes by: those of the book, unless there is a lock.
pub fn over(lock: Option<Lock>, book: &Arc<Book>) -> Arc<dyn Pins> {
    match lock {
        Some(lock) => Arc::new(Locked { lock, book: Arc::clone(book) }),
        None => Arc::clone(book) as _,
    }
}

impl Pins for Locked {
    fn judge(&self, server: &ServerName, _: Approval, declared: &[Declared<'_>]) -> Vec<Standing> {
        let judge = |one: &Declared<'_>| {
            let item = Item { kind: kind(one.kind), name: one.name.to_owned() }.to_string();
            let text = one.definition.as_bytes();
            let is_small = text.len() <= DEFINITION_BYTES_MAX;
            let wanted = self.lock.fingerprint(server.as_str(), &item).filter(|_| is_small);
            if wanted.is_some_and(|wanted| wanted == fingerprint(text)) {
                Standing::Approved
            } else {
                tracing::debug!(%server, item, "a definition is not in the lock file");
                Standing::Unlocked
            }
        };
        declared.iter().map(judge).collect()
    }

    fn remembered(&self, server: &ServerName) -> Option<Bytes> {
        self.book.remembered(server)
    }

    fn remember(&self, server: &ServerName, listed: Bytes) {
        self.book.remember(server, listed);
    }
}
