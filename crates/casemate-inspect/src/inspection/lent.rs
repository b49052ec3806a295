//! Secrets that come and go while a configuration stays: tokens that were issued to us for a server.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Use, put};
use crate::exact::{self, Secret};
use crate::needles::{Needle, Needles};

/// Secrets that are looked for at a time. The oldest is forgotten for a new one; most have ended long before.
const KEPT_MAX: usize = 512;

/// Secrets that are looked for besides those of the configuration. Shared by every [`super::Inspection`] that follows
/// another, so that what was issued under one configuration is still a secret under the next.
#[derive(Default)]
pub struct Lent(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    needles: Option<Arc<Needles<Use>>>,
}

impl Lent {
    /// Looks for this one, too, from here on. One that is known costs a look; one that is too short to be told from other
    /// text is passed over.
    pub fn add(&self, value: &str) {
        if Secret::new(value).is_none() || self.knows(value) {
            return;
        }
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let value: Arc<str> = value.into();
        if !kept.known.insert(Arc::clone(&value)) {
            return;
        }
        kept.order.push_back(value);
        if kept.order.len() > KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.known.remove(&oldest);
        }
        let secrets: Vec<Secret> = kept.order.iter().filter_map(|value| Secret::new(value)).collect();
        let mut needles = Vec::new();
        for needle in exact::needles(&secrets).0 {
            put(&mut needles, Needle::new(needle.bytes.clone(), needle.case, Use::Exact(needle.of)));
        }
        kept.needles = Some(Arc::new(Needles::new(needles)));
    }

    /// What to look for; `None` while there is nothing.
    pub(super) fn needles(&self) -> Option<Arc<Needles<Use>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).needles.clone()
    }

    fn knows(&self, value: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).known.contains(value)
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}
