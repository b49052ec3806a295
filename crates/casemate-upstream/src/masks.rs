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

    /// The servers whose planted values stand in a text.
    #[must_use]
    pub fn planted(&self, text: &str) -> Vec<Arc<str>> {
        let inspection = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.map(|inspection| inspection.planted(text).cloned().collect()).unwrap_or_default()
    }

    /// The server whose planted value a name of DNS carries.
    #[must_use]
    pub fn planted_in_name(&self, name: &str) -> Option<Arc<str>> {
        let inspection = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.and_then(|inspection| inspection.planted_in_name(name).cloned())
    }

    /// A text without them.
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let inspection = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.map_or(Cow::Borrowed(text), |inspection| inspection.masked(text))
    }
}
