//! Logging in at remote servers: OAuth 2.1 as the protocol has it, from the client's side.
//!
//! A server that wants a login says so with a *challenge*; its *metadata* names an authorization server (the
//! *issuer*), whose own metadata says where to go. We are known there by a *registration*. A person's browser brings
//! an *authorization code* back, which becomes *tokens*; those are kept sealed, for one subject and one server.
//!
//! What comes from outside is distrusted: an issuer has to be the one whose metadata was asked for, to the letter; a
//! code has to come from the issuer that was asked; no registration and no token is shown to another issuer or server
//! than the one it is from; and everything is fetched by [`casemate_net::fetch`], which goes to public addresses only,
//! unless the server itself was configured on this machine.

mod assertion;
mod authorization;
mod challenge;
mod client;
mod discovery;
mod form;
mod registration;
#[cfg(test)]
mod tests;
mod tokens;

use casemate_net::fetch::{FetchFault, Reachable, Terms, Url, UrlFault};
use secrecy::SecretString;
use thiserror::Error;

use crate::key::EntropyFault;
use crate::vault::VaultFault;
pub use authorization::{Answer, Pending, may_be_opened};
pub use challenge::Challenge;
pub use client::{At, Begun, OAuthClient, Obtained, Whose};
pub use tokens::STEP_UPS_MAX;

/// A remote server as its entry describes it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its name.
    pub server: String,
    /// Where it is. Tokens are bound to it: another address is another server.
    pub url: Url,
    /// What the entry says of the login.
    pub settings: Settings,
}

/// What an entry says of the login.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What the authorization server knows us by.
    pub client_id: Option<String>,
    /// How we prove it.
    pub proof: Option<Proof>,
    /// The address of a document that describes us.
    pub client_metadata_url: Option<String>,
    /// Scopes to ask for besides those that the server asks for.
    pub scopes: Vec<String>,
    /// The authorization server, instead of the one that the server names.
    pub issuer: Option<String>,
    /// Whether it may be on a private network.
    pub network: Network,
}

/// Where an authorization server may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// On the public network; and on this machine, for a server that is there itself.
    #[default]
    Public,
    /// On a private network too.
    Private,
}

/// How a client proves that it is the one that was registered.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A shared secret.
    Secret(SecretString),
    /// A private key in PEM, which signs assertions.
    Key(SecretString),
}

/// Why there is no login, or no token. The texts are ours: nothing that another party wrote is in them, besides
/// addresses and codes of errors that were checked.
#[derive(Debug, Error)]
pub enum OAuthFault {
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchFault),
    /// The server's or issuer's address is none that can be fetched.
    #[error("{what} is not an address that can be used: {why}")]
    Address {
        /// Whose.
        what: &'static str,
        /// What is wrong with it.
        why: UrlFault,
    },
    /// Metadata, or another answer, is not what it has to be.
    #[error("{place}: {why}")]
    Answer {
        /// Where it came from.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The authorization server does not know us, and there is no way to make it.
    #[error(
        "{issuer} does not know this gateway and takes no registrations\nhint: register it there with the redirect \
         address http://127.0.0.1/callback, and write its client_id into [servers.NAME.oauth]"
    )]
    Unregistered {
        /// The authorization server.
        issuer: String,
    },
    /// A registration that a person made is bound to another issuer.
    #[error(
        "the server now names the authorization server {found}, and this gateway was registered at {known}\nhint: if \
         that is right, write issuer = {found:?} into [servers.NAME.oauth], and the client_id that belongs to it"
    )]
    IssuerChanged {
        /// The issuer that the registration belongs to.
        known: String,
        /// The one that the server names now.
        found: String,
    },
    /// The authorization server said no.
    #[error("{issuer} refused: {code}")]
    Refused {
        /// The authorization server.
        issuer: String,
        /// The code of the error, one of RFC 6749, or `unknown`.
        code: &'static str,
    },
    /// What came back to the redirect address does not belong to this login.
    #[error("the answer does not belong to this login: {0}")]
    Foreign(&'static str),
    /// The server asks for more scopes after it was given what it asked for.
    #[error("the server asked for further scopes {STEP_UPS_MAX} times and is still not content")]
    NeverContent,
    /// The private key cannot be used.
    #[error("the client's private key cannot be used: {0}")]
    Key(&'static str),
    /// The vault does not do its part.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFault),
}

impl Remote {
    /// What a request to the server itself may reach: the operator named it.
    pub(crate) fn own_terms(&self) -> Terms {
        let reachable = Reachable::public().and_private().and_loopback();
        Terms { reachable, content_types: &["application/json", "text/event-stream"], ..Terms::default() }
    }

    /// What a fetch for this server's login may reach. A server that the operator put on this machine may have its
    /// authorization server here, too; one elsewhere cannot send us to our own machine.
    pub(crate) fn terms(&self) -> Terms {
        let mut reachable = Reachable::public();
        if self.url.is_loopback() {
            reachable = reachable.and_loopback();
        }
        if self.settings.network == Network::Private {
            reachable = reachable.and_private();
        }
        Terms { reachable, ..Terms::default() }
    }
}

fn address(what: &'static str, text: &str) -> Result<Url, OAuthFault> {
    Url::parse(text).map_err(|why| OAuthFault::Address { what, why })
}
