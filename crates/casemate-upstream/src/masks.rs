//! What may not be written down: the secrets that servers are given.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use casemate_inspect::{Inspection, Lent};
use secrecy::{ExposeSecret, SecretString};

/// The secrets in force. They follow the configuration while servers keep running.
#[derive(Debug, Default)]
pub struct Masks {
    inspection: RwLock<Option<Arc<Inspection>>>,
    lent: Arc<Lent>,
}

impl Masks {
    /// Follows a new configuration, and gives back its inspection: one that looks for tokens, too.
    pub fn follow(&self, inspection: &Inspection) -> Arc<Inspection> {
        let inspection = Arc::new(inspection.with_lent(&self.lent));
        *self.inspection.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&inspection));
        inspection
    }

    /// A token that was issued to us is a secret like those of the configuration.
    pub fn lend(&self, token: &SecretString) {
        self.lent.add(token.expose_secret());
    }

    /// The servers whose planted values stand in a text.
    #[must_use]
    pub fn planted(&self, text: &str) -> Vec<Arc<str>> {
        let inspection = self.inspection.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.map(|inspection| inspection.planted(text).cloned().collect()).unwrap_or_default()
    }

    /// The server whose planted value a name of DNS carries.
    #[must_use]
    pub fn planted_in_name(&self, name: &str) -> Option<Arc<str>> {
        let inspection = self.inspection.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.and_then(|inspection| inspection.planted_in_name(name).cloned())
    }

    /// A text without them.
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let inspection = self.inspection.read().unwrap_or_else(PoisonError::into_inner).clone();
        inspection.map_or(Cow::Borrowed(text), |inspection| inspection.masked(text))
    }
}
