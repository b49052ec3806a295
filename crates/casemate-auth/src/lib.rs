//! The papers: by what somebody proves who they are.
//!
//! Knows: how an API key is made, written, recognized and checked; what a signed token of an issuer has to be, and where
//! the issuer's keys come from; what a client's certificate says; how tokens of our own are sealed and opened, and how
//! their keys turn; how secrets are kept at rest.
//! Does not know: what a holder may do (casemate-policy), where keys are kept (casemate-store; its [`KeyRecord`]
//! is the form in which both speak of one), how a credential reached us, or what time it is: that is an argument.

pub mod certificate;
pub mod issuers;
mod key;
pub mod seal;
pub mod session;
mod table;
pub mod token;
mod vault;

pub use casemate_store::KeyRecord;
pub use key::{EntropyFault, KeyHash, KeySecret, NewKey, issue};
pub use table::{KeyFault, KeyTable};
pub use vault::{
    Kept, Kind, NewProtection, Protection, SECRET_BYTES_MAX, SecretName, SecretNameFault, Secrets, Vault,
    VaultFault,
};
