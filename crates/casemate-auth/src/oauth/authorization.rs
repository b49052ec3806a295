//! A login that is under way: what goes out with the person, and what may come back.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use casemate_net::fetch::Url;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::OAuthFault;
use super::discovery::Issuer;
use super::form;
use super::registration::Registration;
use crate::key::EntropyFault;

/// How long a person may take, in seconds.
pub(super) const TIME_MAX_S: u64 = 600;

/// A login that is under way. It is used up by its answer.
pub struct Pending {
    pub(super) issuer: Issuer,
    pub(super) registration: Registration,
    pub(super) redirect_uri: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) step_ups: u8,
    state: SecretString,
    pub(super) verifier: SecretString,
    begun: u64,
}

/// What belongs to one login.
pub(super) struct Draft {
    pub(super) issuer: Issuer,
    pub(super) registration: Registration,
    pub(super) redirect_uri: String,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) step_ups: u8,
}

/// Whether an answer ends a login.
#[derive(Debug)]
pub enum Answer {
    /// It is not of this login: anybody on this machine can send such. The login goes on.
    Stranger,
    /// It is, and this is what it comes to.
    Ours(Result<SecretString, OAuthFault>),
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending(at {}, for {})", self.issuer.metadata.issuer, self.resource)
    }
}

impl Pending {
    pub(super) fn new(draft: Draft, now_unix_s: u64) -> Result<Pending, EntropyFault> {
        let Draft { issuer, registration, redirect_uri, resource, scopes, step_ups } = draft;
        let (state, verifier) = (random()?, random()?);
        Ok(Pending {
            issuer,
            registration,
            redirect_uri,
            resource,
            scopes,
            step_ups,
            state,
            verifier,
            begun: now_unix_s,
        })
    }

    /// Who the person will be asked by.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer.metadata.issuer
    }

    /// What is asked for.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Where the person has to go.
    ///
    /// # Errors
    /// The issuer's metadata does not allow a login.
    pub fn url(&self) -> Result<String, OAuthFault> {
        let endpoint = self.issuer.authorization_endpoint()?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose_secret()));
        let scope = self.scopes.join(" ");
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", self.registration.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("state", self.state.expose_secret()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("resource", self.resource.as_str()),
        ];
        if !scope.is_empty() {
            fields.push(("scope", scope.as_str()));
        }
        // Without a person in front of it, no authorization server gives a refresh token for this scope.
        if self.scopes.iter().any(|scope| scope == "offline_access") {
            fields.push(("prompt", "consent"));
        }
        Ok(form::with_query(&endpoint, &fields))
    }

    /// Judges what came to the redirect address: its query. The code is good once.
    #[must_use]
    pub fn judge(&self, query: &str, now_unix_s: u64) -> Answer {
        let Some(found) = Found::read(query) else { return Answer::Stranger };
        let state = self.state.expose_secret().as_bytes();
        // First of all: without the state nothing else of it is even looked at.
        if !bool::from(found.state.as_bytes().ct_eq(state)) {
            return Answer::Stranger;
        }
        Answer::Ours(self.accept(found, now_unix_s))
    }

    fn accept(&self, found: Found, now_unix_s: u64) -> Result<SecretString, OAuthFault> {
        if now_unix_s.saturating_sub(self.begun) > TIME_MAX_S {
            return Err(OAuthFault::Foreign("it came too late"));
        }
        // RFC 9207. Who sends a code of another issuer wants it shown to this one, or the other way round; and what such
        // an answer says besides is not shown to anybody.
        match (self.issuer.names_itself(), found.iss) {
            (_, Some(iss)) if iss != self.issuer.metadata.issuer => {
                return Err(OAuthFault::Foreign("it is from another issuer than was asked"));
            }
            (true, None) => {
                return Err(OAuthFault::Foreign("it does not name its issuer, who says that it does"));
            }
            _ => {}
        }
        match (found.error, found.code) {
            (None, Some(code)) if !code.is_empty() => Ok(SecretString::from(code)),
            (Some(error), None) => {
                Err(OAuthFault::Refused { issuer: self.issuer().to_owned(), code: known_error(&error) })
            }
            _ => Err(OAuthFault::Foreign("it has no code")),
        }
    }
}

/// The members of an answer that mean something. One that comes twice makes all of it meaningless.
#[derive(Default)]
struct Found {
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

impl Found {
    fn read(query: &str) -> Option<Found> {
        let mut found = Found::default();
        let mut seen = Vec::new();
        for (name, value) in form::pairs(query)? {
            if seen.contains(&name) {
                return None;
            }
            match name.as_str() {
                "state" => found.state = value,
                "code" => found.code = Some(value),
                "iss" => found.iss = Some(value),
                "error" => found.error = Some(value),
                _ => {}
            }
            seen.push(name);
        }
        Some(found)
    }
}

/// The codes of RFC 6749, RFC 8707 and OpenID Connect. Others could say anything.
pub(super) fn known_error(code: &str) -> &'static str {
    const KNOWN: [&str; 17] = [
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "invalid_client",
        "invalid_grant",
        "unsupported_grant_type",
        "invalid_target",
        "interaction_required",
        "login_required",
        "consent_required",
        "account_selection_required",
        "invalid_redirect_uri",
        "invalid_client_metadata",
    ];
    KNOWN.into_iter().find(|known| *known == code).unwrap_or("unknown")
}

/// 256 random bits, as text.
fn random() -> Result<SecretString, EntropyFault> {
    let mut bytes = secrecy::zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(EntropyFault)?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// Whether an address may be opened in a browser.
#[must_use]
pub fn may_be_opened(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.is_secure() || url.is_loopback())
}
