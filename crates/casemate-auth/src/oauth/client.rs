//! Logins and tokens, from the first challenge to the last renewal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use casemate_net::fetch::{Fetcher, Request, Url};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::authorization::{Draft, Pending};
use super::challenge::Challenge;
use super::discovery::{self, Discovered, Issuer, add, discover};
use super::registration::{self, ClientProof, Registration, register};
use super::tokens::{Asked, STEP_UPS_MAX, Tokens};
use super::{OAuthFault, Remote};
use crate::vault::{Kind, Vault};

/// A token that was refused that soon after it was issued, in seconds, is not replaced: the next one would be, too.
const FRESH_S: u64 = 10;

/// Gets tokens, keeps them sealed, and renews them. One for an installation; clones of the `Arc` around it share it.
#[derive(Debug)]
pub struct OAuthClient {
    fetcher: Arc<Fetcher>,
    vault: Arc<Vault>,
    /// A refresh token that is rotated is good once, so a renewal is made by one and waited for by the others.
    renewals: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// For whom a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// For one subject, by its id.
    Subject(&'a str),
    /// For everybody who shares the server.
    Everyone,
    /// For this gateway itself.
    Ourselves,
}

/// Where, for whom and when: what every step of a login is about.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The server.
    pub remote: &'a Remote,
    /// For whom.
    pub whose: Whose<'a>,
    /// The time, in seconds since 1970.
    pub now_unix_s: u64,
}

/// What comes of a token that was refused.
#[derive(Debug)]
pub enum Obtained {
    /// There is another one.
    Token(SecretString),
    /// A person has to log in.
    Login,
}

/// A login whose authorization server is known. What is missing is where its answer is awaited.
#[derive(Debug)]
pub struct Begun {
    discovered: Discovered,
    challenge: Challenge,
    /// The port of the redirect address that we are registered with, when there is one.
    pub port: Option<u16>,
}

/// Where a client that a person registered belongs.
#[derive(Serialize, Deserialize)]
struct Pin {
    issuer: String,
    client_id: String,
}

impl OAuthClient {
    /// One that fetches with that fetcher and keeps its tokens in that vault.
    #[must_use]
    pub fn new(fetcher: Arc<Fetcher>, vault: Arc<Vault>) -> OAuthClient {
        OAuthClient { fetcher, vault, renewals: Mutex::default() }
    }

    /// All tokens that are kept of a login, ended ones too: what nobody may repeat.
    ///
    /// # Errors
    /// [`OAuthFault`]: the vault cannot be read.
    pub async fn held(&self, at: At<'_>) -> Result<Vec<SecretString>, OAuthFault> {
        Ok(self.kept(at).await?.map(|tokens| tokens.all()).unwrap_or_default())
    }

    /// The token to send to a server, renewed if it has ended; none before the first login.
    ///
    /// # Errors
    /// The vault does not open. A renewal that fails is as good as no token.
    pub async fn token(&self, at: At<'_>) -> Result<Option<SecretString>, OAuthFault> {
        let Some(tokens) = self.kept(at).await? else { return Ok(None) };
        if let Some(token) = tokens.access(at.now_unix_s) {
            return Ok(Some(token.clone()));
        }
        self.renew(at).await
    }

    /// Says that a server refused a request, with the token that was sent, if any. Gives another token where there is
    /// one to be had without a person.
    ///
    /// # Errors
    /// [`OAuthFault::NeverContent`], or the vault does not open.
    pub async fn refused(
        &self,
        at: At<'_>,
        (sent, challenge): (Option<&SecretString>, &Challenge),
    ) -> Result<Obtained, OAuthFault> {
        let Some(mut tokens) = self.kept(at).await? else { return Ok(Obtained::Login) };
        if let Some(token) = tokens.access(at.now_unix_s)
            && sent.is_none_or(|sent| !tokens.is_access(sent))
        {
            // Somebody else got a new one meanwhile.
            return Ok(Obtained::Token(token.clone()));
        }
        if challenge.wants_more() {
            if tokens.step_ups >= STEP_UPS_MAX {
                return Err(OAuthFault::NeverContent);
            }
            add(&mut tokens.wanted, challenge.scopes.iter().flatten());
            self.keep(at, &tokens).await?;
            return Ok(Obtained::Login);
        }
        let is_fresh = at.now_unix_s.saturating_sub(tokens.obtained) < FRESH_S;
        self.keep(at, &tokens.ended()).await?;
        if is_fresh {
            return Ok(Obtained::Login);
        }
        Ok(self.renew(at).await?.map_or(Obtained::Login, Obtained::Token))
    }

    /// What a server says when it is asked without a token.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn challenge(&self, remote: &Remote) -> Result<Challenge, OAuthFault> {
        let fetched = match self.fetcher.fetch(probe(&remote.url), &remote.own_terms()).await {
            // An answer that we would not read is one, and none that wants a login.
            Err(fault) if fault.never_sent() => return Err(fault.into()),
            Err(_) => return Ok(Challenge::default()),
            Ok(fetched) => fetched,
        };
        let challenges = fetched.headers.get_all(WWW_AUTHENTICATE).iter();
        Ok(Challenge::find(challenges.filter_map(|value| value.to_str().ok())).unwrap_or_default())
    }

    /// Begins a login: finds out who to ask.
    ///
    /// # Errors
    /// [`OAuthFault`]: the server or its issuer cannot be trusted, reached or used.
    pub async fn begin(&self, remote: &Remote, challenge: Challenge) -> Result<Begun, OAuthFault> {
        let discovered = discover(&self.fetcher, remote, &challenge).await?;
        // Whether there can be a login at all is known before anybody is registered anywhere.
        discovered.issuer.authorization_endpoint()?;
        let kept = self.registration(&discovered.issuer.metadata.issuer).await?;
        let port = kept.and_then(|kept| Url::parse(kept.redirect_uri()).ok()).map(|url| url.port());
        Ok(Begun { discovered, challenge, port })
    }

    /// Goes on with a login whose answer will come to that address.
    ///
    /// # Errors
    /// [`OAuthFault`]: the issuer does not know us and takes no registration, for example.
    pub async fn go_on(
        &self,
        at: At<'_>,
        (begun, redirect_uri): (Begun, &str),
    ) -> Result<Pending, OAuthFault> {
        let Begun { discovered, challenge, .. } = begun;
        let registration = self.client(at.remote, &discovered.issuer, Some(redirect_uri)).await?;
        let mut scopes = Vec::new();
        let mut step_ups = 0;
        // What was given or wanted before is asked for again, so that a further scope costs none of the others.
        if let Some(old) = self.kept(at).await?
            && old.issuer == discovered.issuer.metadata.issuer
        {
            step_ups = if old.wanted.is_empty() { 0 } else { old.step_ups.saturating_add(1) };
            add(&mut scopes, old.scopes.iter().chain(&old.wanted));
        }
        add(&mut scopes, &discovered.scopes(at.remote, &challenge));
        let draft = Draft {
            issuer: discovered.issuer,
            registration,
            redirect_uri: redirect_uri.to_owned(),
            resource: discovered.resource,
            scopes,
            step_ups,
        };
        Ok(Pending::new(draft, at.now_unix_s)?)
    }

    /// Ends a login with the code that came back: it becomes tokens, which are kept.
    ///
    /// # Errors
    /// [`OAuthFault`].
    pub async fn finish(
        &self,
        at: At<'_>,
        (pending, code): (Pending, SecretString),
    ) -> Result<(), OAuthFault> {
        let fields = vec![
            ("grant_type", text("authorization_code")),
            ("code", text(code.expose_secret())),
            ("redirect_uri", text(&pending.redirect_uri)),
            ("code_verifier", text(pending.verifier.expose_secret())),
            ("resource", text(&pending.resource)),
        ];
        let asked = Asked {
            at,
            issuer: &pending.issuer.metadata.issuer,
            client_id: &pending.registration.client_id,
            resource: &pending.resource,
            scopes: &pending.scopes,
            step_ups: pending.step_ups,
        };
        let who = (&pending.issuer, &pending.registration);
        let tokens = self.ask(who, &asked, fields).await?;
        self.keep(at, &tokens).await
    }

    /// Gets a token for this gateway itself, with the grant `client_credentials`.
    ///
    /// # Errors
    /// [`OAuthFault`].
    pub async fn own_token(
        &self,
        remote: &Remote,
        challenge: &Challenge,
        now_unix_s: u64,
    ) -> Result<SecretString, OAuthFault> {
        let fields = vec![("grant_type", text("client_credentials"))];
        let at = At { remote, whose: Whose::Ourselves, now_unix_s };
        self.without_person(at, challenge, fields).await
    }

    /// Exchanges a caller's token for one that the server takes (RFC 8693). The caller's is shown to the authorization
    /// server that the entry or the server names, and to nobody else; it is not kept.
    ///
    /// # Errors
    /// [`OAuthFault`].
    pub async fn exchanged(
        &self,
        remote: &Remote,
        (subject, token, challenge): (&str, &SecretString, &Challenge),
        now_unix_s: u64,
    ) -> Result<SecretString, OAuthFault> {
        const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
        let fields = vec![
            ("grant_type", text("urn:ietf:params:oauth:grant-type:token-exchange")),
            ("subject_token", text(token.expose_secret())),
            ("subject_token_type", text(ACCESS)),
            ("requested_token_type", text(ACCESS)),
        ];
        let at = At { remote, whose: Whose::Subject(subject), now_unix_s };
        self.without_person(at, challenge, fields).await
    }

    /// Forgets the tokens of a login. False when there were none.
    ///
    /// # Errors
    /// What the store refuses.
    pub async fn forget(&self, remote: &Remote, whose: Whose<'_>) -> Result<bool, OAuthFault> {
        Ok(self.vault.remove(Kind::Token, &name(remote, whose)).await?)
    }

    async fn without_person(
        &self,
        at: At<'_>,
        challenge: &Challenge,
        mut fields: Vec<(&'static str, Zeroizing<String>)>,
    ) -> Result<SecretString, OAuthFault> {
        let discovered = discover(&self.fetcher, at.remote, challenge).await?;
        let issuer = &discovered.issuer;
        let registration = self.client(at.remote, issuer, None).await?;
        let old = self.kept(at).await?.filter(|old| old.issuer == issuer.metadata.issuer);
        let mut scopes = Vec::new();
        add(&mut scopes, old.iter().flat_map(|old| old.scopes.iter().chain(&old.wanted)));
        // A refresh token is for people who would have to log in again.
        let asked = discovered.scopes(at.remote, challenge);
        add(&mut scopes, asked.iter().filter(|scope| *scope != "offline_access"));
        let scope = scopes.join(" ");
        if !scope.is_empty() {
            fields.push(("scope", text(&scope)));
        }
        fields.push(("resource", text(&discovered.resource)));
        let wanted = old.as_ref().is_some_and(|old| !old.wanted.is_empty());
        let step_ups = old.filter(|_| wanted).map_or(0, |old| old.step_ups.saturating_add(1));
        let asked = Asked {
            at,
            issuer: &issuer.metadata.issuer,
            client_id: &registration.client_id,
            resource: &discovered.resource,
            scopes: &scopes,
            step_ups,
        };
        let tokens = self.ask((issuer, &registration), &asked, fields).await?;
        self.keep(at, &tokens).await?;
        Ok(tokens.latest().clone())
    }

    /// Renews a token that has ended, where that is possible. The first who comes does it.
    async fn renew(&self, at: At<'_>) -> Result<Option<SecretString>, OAuthFault> {
        let turn = {
            let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody waits for are forgotten.
            renewals.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(renewals.entry(name(at.remote, at.whose)).or_default())
        };
        let _turn = turn.lock().await;
        let Some(old) = self.kept(at).await? else { return Ok(None) };
        if let Some(token) = old.access(at.now_unix_s) {
            return Ok(Some(token.clone()));
        }
        let Some(refresh) = old.refresh() else { return Ok(None) };
        match self.renewed(at, (&old, refresh)).await {
            Ok(tokens) => {
                self.keep(at, &tokens).await?;
                Ok(Some(tokens.latest().clone()))
            }
            Err(OAuthFault::Refused { code: "invalid_grant", .. }) => {
                // It will not get better: a person has to log in again.
                self.keep(at, &old.clone().without_refresh()).await?;
                Ok(None)
            }
            Err(fault) => {
                tracing::warn!(server = at.remote.server, %fault, "a token could not be renewed");
                Ok(None)
            }
        }
    }

    async fn renewed(
        &self,
        at: At<'_>,
        (old, refresh): (&Tokens, &SecretString),
    ) -> Result<Tokens, OAuthFault> {
        let issuer = discovery::issuer(&self.fetcher, at.remote, &old.issuer).await?;
        let registration = self.client(at.remote, &issuer, None).await?;
        if registration.client_id != old.client_id {
            return Err(OAuthFault::Foreign("the tokens were issued to another client id"));
        }
        let fields = vec![
            ("grant_type", text("refresh_token")),
            ("refresh_token", text(refresh.expose_secret())),
            ("resource", text(&old.resource)),
        ];
        let asked = Asked {
            at,
            issuer: &old.issuer,
            client_id: &old.client_id,
            resource: &old.resource,
            scopes: &old.scopes,
            step_ups: old.step_ups,
        };
        Ok(self.ask((&issuer, &registration), &asked, fields).await?.renewing(old))
    }

    async fn ask(
        &self,
        (issuer, registration): (&Issuer, &Registration),
        asked: &Asked<'_>,
        fields: Vec<(&'static str, Zeroizing<String>)>,
    ) -> Result<Tokens, OAuthFault> {
        let request = registration.sign(issuer, fields, asked.at.now_unix_s)?;
        let fetched = self.fetcher.fetch(request, &asked.at.remote.terms()).await?;
        Tokens::read(&fetched, asked)
    }

    /// What an issuer knows us by: as a person registered us, by our document, as we are registered, or anew.
    async fn client(
        &self,
        remote: &Remote,
        issuer: &Issuer,
        redirect_uri: Option<&str>,
    ) -> Result<Registration, OAuthFault> {
        let name = &issuer.metadata.issuer;
        if let Some(given) = Registration::given(remote, issuer) {
            self.hold_to_issuer(remote, &given, name).await?;
            return Ok(given);
        }
        let kept = self.registration(name).await?;
        if let Some(known) = kept.and_then(|kept| kept.for_issuer(name, redirect_uri)) {
            return Ok(known);
        }
        let Some(redirect_uri) = redirect_uri else {
            return Err(OAuthFault::Unregistered { issuer: name.clone() });
        };
        let made = register(&self.fetcher, remote, (issuer, redirect_uri)).await?;
        let kept = serde_json::to_string(&made).map(SecretString::from).unwrap_or_default();
        self.vault.set(Kind::Registration, &at_issuer(name), &kept).await?;
        let unknown = || OAuthFault::Unregistered { issuer: name.clone() };
        made.for_issuer(name, Some(redirect_uri)).ok_or_else(unknown)
    }

    /// A secret that a person wrote down is for the issuer that it was first used at, unless the entry names another:
    /// a server that names a new issuer would otherwise be handed it.
    async fn hold_to_issuer(
        &self,
        remote: &Remote,
        given: &Registration,
        issuer: &str,
    ) -> Result<(), OAuthFault> {
        let has_secret = matches!(given.proof, ClientProof::Basic(_) | ClientProof::Post(_));
        if !has_secret || remote.settings.issuer.is_some() {
            return Ok(());
        }
        let name = format!("server {} {}", remote.server, remote.url);
        let kept = self.vault.get(Kind::Registration, &name).await?;
        let pin = kept.and_then(|text| serde_json::from_str::<Pin>(text.expose_secret()).ok());
        match pin.filter(|pin| pin.client_id == given.client_id) {
            Some(pin) if pin.issuer == issuer => Ok(()),
            Some(pin) => Err(OAuthFault::IssuerChanged { known: pin.issuer, found: issuer.to_owned() }),
            None => {
                let pin = Pin { issuer: issuer.to_owned(), client_id: given.client_id.clone() };
                let text = serde_json::to_string(&pin).map(SecretString::from).unwrap_or_default();
                Ok(self.vault.set(Kind::Registration, &name, &text).await?)
            }
        }
    }

    async fn registration(&self, issuer: &str) -> Result<Option<registration::Kept>, OAuthFault> {
        let kept = self.vault.get(Kind::Registration, &at_issuer(issuer)).await?;
        Ok(kept.and_then(|text| serde_json::from_str(text.expose_secret()).ok()))
    }

    async fn kept(&self, at: At<'_>) -> Result<Option<Tokens>, OAuthFault> {
        let kept = self.vault.get(Kind::Token, &name(at.remote, at.whose)).await?;
        Ok(kept.and_then(|text| Tokens::parse(&text, at.remote)))
    }

    async fn keep(&self, at: At<'_>, tokens: &Tokens) -> Result<(), OAuthFault> {
        Ok(self.vault.set(Kind::Token, &name(at.remote, at.whose), &tokens.to_text()?).await?)
    }
}

/// Where the tokens of a server and subject are kept. Names of servers have no slash.
fn name(remote: &Remote, whose: Whose<'_>) -> String {
    let whose = match whose {
        Whose::Subject(subject) => format!("subject {subject}"),
        Whose::Everyone => "everyone".to_owned(),
        Whose::Ourselves => "ourselves".to_owned(),
    };
    format!("{}/{whose}", remote.server)
}

/// The question of the modern dialect that every server has an answer to, if only that it wants a login.
fn probe(url: &Url) -> Request {
    const REVISION: &str = "2026-07-28";
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } });
    Request::post_json(url.clone(), Bytes::from(body.to_string()))
        .with_header(HeaderName::from_static("mcp-protocol-version"), HeaderValue::from_static(REVISION))
        .with_header(HeaderName::from_static("mcp-method"), HeaderValue::from_static("server/discover"))
}

fn at_issuer(issuer: &str) -> String {
    format!("issuer {issuer}")
}

fn text(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}
