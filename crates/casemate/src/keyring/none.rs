//! In place of a keyring, in a casemate that was built without.

use secrecy::SecretString;

use super::Fault;

/// Nobody.
#[derive(Debug)]
pub(super) enum Service {}

impl Service {
    pub(super) async fn open(_: &str) -> Result<Service, Fault> {
        Err(Fault::Absent("this casemate was built without the feature `keyring`".to_owned()))
    }

    pub(super) async fn find(&self, _: &str) -> Result<SecretString, Fault> {
        match *self {}
    }

    pub(super) async fn keep(&self, _: &str, _: &SecretString) -> Result<(), Fault> {
        match *self {}
    }

    pub(super) async fn forget(&self, _: &str) -> Result<(), Fault> {
        match *self {}
    }
}
