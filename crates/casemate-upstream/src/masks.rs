//! What may not be written down: the secrets that servers are given.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use casemate_inspect::Inspection;

/// The secrets in force. They follow the configuration while servers keep running.
#[derive(Debug, Default)]
pub struct Masks(RwLock<Option<Arc<Inspection>>>);

impl Masks {
    /// Follows a new configuration.
    pub fn swap(&self, inspection: &Arc<Inspection>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(inspection));
    }

    /// A text without them.
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let inspection = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.map_or(Cow::Borrowed(text), |inspection| inspection.masked(text))
    }
}
