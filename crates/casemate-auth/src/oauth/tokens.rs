//! What an issuer gave us for one subject and one server.

use casemate_net::fetch::Fetched;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::authorization::known_error;
use super::client::At;
use super::discovery::add;
use super::{OAuthFault, Remote};

/// How often a server may ask for further scopes until it is taken for one that is never content.
pub const STEP_UPS_MAX: u8 = 2;

/// A token is renewed that many seconds before its end, so that it does not end on its way.
const EARLY_S: u64 = 30;
/// The longest life that is believed, in seconds: a year.
const LIFE_MAX_S: u64 = 366 * 86_400;
/// Longest token, in bytes. It has to fit into a header.
const BYTES_MAX: usize = 16 << 10;

/// What an issuer gave us, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    /// Where the server was; at another address it is another server.
    url: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) resource: String,
    #[serde(with = "hidden")]
    access_token: SecretString,
    #[serde(default, with = "hidden_option", skip_serializing_if = "Option::is_none")]
    refresh_token: Option<SecretString>,
    /// In seconds since 1970, as is the next.
    expires: Option<u64>,
    #[serde(default)]
    pub(super) obtained: u64,
    /// What was asked for or given.
    pub(super) scopes: Vec<String>,
    /// What the server wants besides.
    #[serde(default)]
    pub(super) wanted: Vec<String>,
    #[serde(default)]
    pub(super) step_ups: u8,
}

/// What a token is asked for.
pub(super) struct Asked<'a> {
    pub(super) at: At<'a>,
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) resource: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) step_ups: u8,
}

/// What the token endpoint answers, as far as it concerns us.
#[derive(Deserialize)]
struct Granted {
    #[serde(with = "hidden")]
    access_token: SecretString,
    token_type: String,
    expires_in: Option<u64>,
    #[serde(default, with = "hidden_option")]
    refresh_token: Option<SecretString>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Tokens {
    /// Reads the answer of a token endpoint.
    pub(super) fn read(fetched: &Fetched, asked: &Asked<'_>) -> Result<Tokens, OAuthFault> {
        if !fetched.status.is_success() {
            let refusal = serde_json::from_slice::<Refusal>(&fetched.body).ok();
            let code = refusal.map_or("unknown", |refusal| known_error(&refusal.error));
            return Err(OAuthFault::Refused { issuer: asked.issuer.to_owned(), code });
        }
        let wrong = |why| OAuthFault::Answer { place: fetched.url.to_string(), why };
        let granted: Granted = serde_json::from_slice(&fetched.body)
            .map_err(|_| wrong("the answer of the token endpoint is not the JSON that it has to be"))?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(wrong("the token is not a bearer token"));
        }
        let sendable = |token: &str| {
            (1..=BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !sendable(granted.access_token.expose_secret()) {
            return Err(wrong("the token is none that a header can carry"));
        }
        let mut scopes = asked.scopes.to_vec();
        let given: Vec<String> = granted.scope.iter().flat_map(|s| s.split(' ')).map(str::to_owned).collect();
        add(&mut scopes, &given);
        let now_unix_s = asked.at.now_unix_s;
        let life = granted.expires_in.map(|life| life.min(LIFE_MAX_S));
        Ok(Tokens {
            url: asked.at.remote.url.to_string(),
            issuer: asked.issuer.to_owned(),
            client_id: asked.client_id.to_owned(),
            resource: asked.resource.to_owned(),
            access_token: granted.access_token,
            refresh_token: granted.refresh_token.filter(|token| !token.expose_secret().is_empty()),
            expires: life.map(|life| now_unix_s.saturating_add(life)),
            obtained: now_unix_s,
            scopes,
            wanted: Vec::new(),
            step_ups: asked.step_ups,
        })
    }

    /// Those of a server, when they are; others are left alone.
    pub(super) fn parse(text: &SecretString, remote: &Remote) -> Option<Tokens> {
        let tokens: Tokens = serde_json::from_str(text.expose_secret()).ok()?;
        let issuer_fits = remote.settings.issuer.as_ref().is_none_or(|issuer| *issuer == tokens.issuer);
        (tokens.url == remote.url.to_string() && issuer_fits).then_some(tokens)
    }

    /// As they are kept.
    pub(super) fn to_text(&self) -> Result<SecretString, OAuthFault> {
        let wrong = || OAuthFault::Answer { place: self.issuer.clone(), why: "its tokens cannot be kept" };
        serde_json::to_string(self).map(SecretString::from).map_err(|_| wrong())
    }

    /// The token to send, unless it has ended.
    pub(super) fn access(&self, now_unix_s: u64) -> Option<&SecretString> {
        let good = self.expires.is_none_or(|end| now_unix_s.saturating_add(EARLY_S) < end);
        good.then_some(&self.access_token)
    }

    /// The token as it is, good or not, to compare with one that was refused.
    pub(super) fn is_access(&self, sent: &SecretString) -> bool {
        self.access_token.expose_secret() == sent.expose_secret()
    }

    /// The token that was just issued.
    pub(super) fn latest(&self) -> &SecretString {
        &self.access_token
    }

    /// Both of them.
    pub(super) fn all(&self) -> Vec<SecretString> {
        std::iter::once(&self.access_token).chain(&self.refresh_token).cloned().collect()
    }

    /// They cannot be renewed any more.
    pub(super) fn without_refresh(mut self) -> Tokens {
        self.refresh_token = None;
        self
    }

    pub(super) fn refresh(&self) -> Option<&SecretString> {
        self.refresh_token.as_ref()
    }

    /// Takes over what a renewal did not replace. A rotated refresh token replaces the old one.
    pub(super) fn renewing(mut self, old: &Tokens) -> Tokens {
        self.refresh_token = self.refresh_token.or_else(|| old.refresh_token.clone());
        self.wanted.clone_from(&old.wanted);
        self
    }

    /// The token was refused, so it is not sent again.
    pub(super) fn ended(mut self) -> Tokens {
        self.expires = Some(0);
        self
    }
}

mod hidden {
    use secrecy::{ExposeSecret, SecretString};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &SecretString, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text.expose_secret())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
        String::deserialize(from).map(SecretString::from)
    }
}

mod hidden_option {
    use secrecy::{ExposeSecret, SecretString};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
        match text {
            Some(text) => to.serialize_some(text.expose_secret()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(SecretString::from))
    }
}
