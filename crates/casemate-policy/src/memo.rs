//! Decisions that need no context, remembered for as long as the policy lives.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use casemate_mcp::names::ServerName;
use foldhash::quality::RandomState;

use crate::decision::Decision;
use crate::request::{Action, Resource, Thing};
use crate::subject::Subject;

/// Parts that are locked apart, so that calls do not wait for each other.
const SHARDS: u64 = 16;

/// Most decisions in one part. All of them are forgotten when it is full: remembering is no promise.
const KEPT_MAX: usize = 1024;

/// Longest name that is remembered, in bytes.
const NAME_MAX: usize = 512;

/// What was decided before.
#[derive(Debug)]
pub(crate) struct Memo {
    /// Seeded by chance, and quick. Two questions that meet in one hash cost a decision that is made again, nothing else.
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, Kept>>; SHARDS as usize],
}

#[derive(Debug)]
struct Kept {
    subject: Subject,
    action: Action,
    server: ServerName,
    /// `None` for the server itself.
    thing: Option<(Thing, Box<str>)>,
    decision: Decision,
}

impl Default for Memo {
    fn default() -> Self {
        Memo { hasher: RandomState::default(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Memo {
    pub(crate) fn find(&self, question: (&Subject, Action, Resource<'_>)) -> Option<Decision> {
        let (server, thing) = parts(question.2)?;
        let hash = self.hash(question)?;
        let shard = self.shard(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = shard.get(&hash)?;
        let is_it = kept.action == question.1
            && kept.server == *server
            && kept.thing.as_ref().map(|(thing, name)| (*thing, &**name)) == thing
            && kept.subject == *question.0;
        is_it.then(|| kept.decision.clone())
    }

    pub(crate) fn keep(&self, question: (&Subject, Action, Resource<'_>), decision: Decision) {
        let (Some((server, thing)), Some(hash)) = (parts(question.2), self.hash(question)) else { return };
        if thing.is_some_and(|(_, name)| name.len() > NAME_MAX) {
            return;
        }
        let kept = Kept {
            subject: question.0.clone(),
            action: question.1,
            server: server.clone(),
            thing: thing.map(|(thing, name)| (thing, name.into())),
            decision,
        };
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= KEPT_MAX {
            shard.clear();
        }
        shard.insert(hash, kept);
    }

    fn hash(&self, (subject, action, resource): (&Subject, Action, Resource<'_>)) -> Option<u64> {
        Some(self.hasher.hash_one((subject, action, parts(resource)?)))
    }

    fn shard(&self, hash: u64) -> Option<&Mutex<HashMap<u64, Kept>>> {
        self.shards.get(usize::try_from(hash % SHARDS).ok()?)
    }
}

type Parts<'a> = (&'a ServerName, Option<(Thing, &'a str)>);

fn parts(resource: Resource<'_>) -> Option<Parts<'_>> {
    match (resource, resource.thing()) {
        (_, Some((server, thing, name))) => Some((server, Some((thing, name)))),
        (Resource::Server(server), None) => Some((server, None)),
        _ => None,
    }
}
