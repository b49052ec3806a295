//! What is known of a question from before, for as long as the policy lives: the decision where that needs no context, and
//! else all that does not hang on it.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use casemate_mcp::names::ServerName;
use foldhash::quality::RandomState;

use crate::decision::Decision;
use crate::judge::Cast;
use crate::request::{Action, Resource, Thing};
use crate::slice::Slice;
use crate::subject::Subject;

/// Parts that are locked apart, so that calls do not wait for each other.
const SHARDS: u64 = 16;

/// Most questions in one part. All of them are forgotten when it is full: remembering is no promise.
const KEPT_MAX: usize = 1024;

/// Most of them in one part that are prepared and not decided: these take some 4 KiB each.
const PREPARED_MAX: usize = 64;

/// Longest name that is remembered, in bytes.
const NAME_MAX: usize = 512;

/// What was decided before.
#[derive(Debug)]
pub(crate) struct Memo {
    /// Seeded by chance, and quick. Two questions that meet in one hash cost a decision that is made again, nothing else.
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, Kept, RandomState>>; SHARDS as usize],
}

#[derive(Debug)]
struct Kept {
    subject: Subject,
    action: Action,
    server: ServerName,
    /// `None` for the server itself.
    thing: Option<(Thing, Box<str>)>,
    known: Known,
}

/// What is known of a question.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// The answer, whatever the circumstances are.
    Decided(Decision),
    /// What Cedar is asked with, for each spelling of the resource.
    Prepared(Arc<[Prepared]>),
}

/// The rules that can matter to a question, and what it is about in Cedar's words.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) slice: Arc<Slice>,
    pub(crate) cast: Cast,
}

impl Default for Memo {
    fn default() -> Self {
        Memo { hasher: RandomState::default(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Memo {
    pub(crate) fn find(&self, question: (&Subject, Action, Resource<'_>)) -> Option<Known> {
        let (server, thing) = parts(question.2)?;
        let hash = self.hash(question)?;
        let shard = self.shard(hash)?.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = shard.get(&hash)?;
        let is_it = kept.action == question.1
            && kept.server == *server
            && kept.thing.as_ref().map(|(thing, name)| (*thing, &**name)) == thing
            && kept.subject == *question.0;
        is_it.then(|| kept.known.clone())
    }

    pub(crate) fn keep(&self, question: (&Subject, Action, Resource<'_>), known: Known) {
        let (Some((server, thing)), Some(hash)) = (parts(question.2), self.hash(question)) else { return };
        if thing.is_some_and(|(_, name)| name.len() > NAME_MAX) {
            return;
        }
        let kept = Kept {
            subject: question.0.clone(),
            action: question.1,
            server: server.clone(),
            thing: thing.map(|(thing, name)| (thing, name.into())),
            known,
        };
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let is_large = |kept: &Kept| matches!(kept.known, Known::Prepared(_));
        if is_large(&kept) && shard.values().filter(|kept| is_large(kept)).count() >= PREPARED_MAX {
            shard.retain(|_, kept| !is_large(kept));
        }
        if shard.len() >= KEPT_MAX {
            shard.clear();
        }
        shard.insert(hash, kept);
    }

    fn hash(&self, (subject, action, resource): (&Subject, Action, Resource<'_>)) -> Option<u64> {
        Some(self.hasher.hash_one((subject, action, parts(resource)?)))
    }

    fn shard(&self, hash: u64) -> Option<&Mutex<HashMap<u64, Kept, RandomState>>> {
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
