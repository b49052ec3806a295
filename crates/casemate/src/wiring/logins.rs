//! Tokens for remote servers: the vault and the OAuth client behind the gateway's port.

mod callback;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use casemate_auth::Vault;
use casemate_auth::oauth::{
    At, Challenge, Network, OAuthClient, Obtained, Pending, Proof, Remote, Settings, Whose,
};
use casemate_gateway::snapshot::{ClientSecret, Grant, LoginNetwork, ServerEntry, Sharing, Snapshot, Source};
use casemate_gateway::upstream::{Credentials, Errand, Fetching, Invitation, Masks, Rejection, Remedy};
use casemate_net::SystemResolver;
use casemate_net::fetch::{Fetcher, Trust, Url};
use casemate_policy::SubjectId;
use http::Uri;
use secrecy::SecretString;
use tokio_util::task::TaskTracker;

use crate::clock;
pub use callback::Callback;

/// A token is looked up in the vault that often, in seconds. It is renewed earlier than that before its end.
const LOOK_EVERY_S: u64 = 25;
/// A server that refuses tokens that were just issued is not given another one for so long, in seconds.
const PAUSE_S: u64 = 5;
/// Things that are remembered of subjects and servers at a time. Beyond it all is forgotten, and found out again.
const REMEMBERED_MAX: usize = 10_000;
/// Logins that wait for a person at a time.
const OPEN_MAX: usize = 32;

/// Tokens for remote servers.
#[derive(Debug)]
pub struct Logins {
    client: Arc<OAuthClient>,
    tracker: TaskTracker,
    /// What nobody may repeat.
    masks: Arc<Masks>,
    memory: Arc<Mutex<Memory>>,
    /// Whether any entry has callers' tokens exchanged.
    exchanges: AtomicBool,
}

/// What is remembered for a while.
#[derive(Default)]
struct Memory {
    tokens: HashMap<Key, Known>,
    challenges: HashMap<Key, Challenge>,
    /// When a token was last got without a person.
    got: HashMap<Key, u64>,
    open: HashMap<Key, Invitation>,
    presented: HashMap<SubjectId, SecretString>,
}

/// A server at its address, and for whom.
type Key = (String, String);

struct Known {
    token: Option<SecretString>,
    looked: u64,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} tokens, not shown)", self.tokens.len())
    }
}

/// The OAuth client of an installation.
pub fn client(vault: Arc<Vault>) -> OAuthClient {
    OAuthClient::new(Arc::new(Fetcher::new(Arc::new(SystemResolver::new()), Trust::system())), vault)
}

/// An entry as the OAuth client sees it; `None` when it is no remote server, or one with an address that cannot be.
pub fn remote(entry: &ServerEntry) -> Option<Remote> {
    let Source::Http(source) = &entry.source else { return None };
    let oauth = &source.oauth;
    let settings = Settings {
        client_id: oauth.client_id.clone(),
        proof: oauth.client_secret.as_ref().map(|secret| match secret {
            ClientSecret::Text(text) => Proof::Secret(text.clone()),
            ClientSecret::Key(key) => Proof::Key(key.clone()),
        }),
        client_metadata_url: oauth.client_metadata_url.clone(),
        scopes: oauth.scopes.clone(),
        issuer: oauth.issuer.clone(),
        network: match oauth.network {
            LoginNetwork::Public => Network::Public,
            LoginNetwork::Private => Network::Private,
        },
    };
    Some(Remote { server: entry.name.to_string(), url: Url::parse(&source.url.to_string()).ok()?, settings })
}

/// Whose login a server has.
pub fn whose<'a>(entry: &ServerEntry, subject: Option<&'a str>) -> Whose<'a> {
    match (grant(entry), subject) {
        (Grant::ClientCredentials, _) => Whose::Ourselves,
        (_, Some(subject)) if entry.sharing != Sharing::Shared => Whose::Subject(subject),
        _ => Whose::Everyone,
    }
}

fn grant(entry: &ServerEntry) -> Grant {
    match &entry.source {
        Source::Http(source) => source.oauth.grant,
        _ => Grant::default(),
    }
}

/// Begins a login: what to open, and where the answer is awaited.
pub async fn begin(
    client: &OAuthClient,
    (entry, remote): (&ServerEntry, &Remote),
    (whose, challenge): (Whose<'_>, Challenge),
) -> anyhow::Result<(Pending, Callback)> {
    let begun = client.begin(remote, challenge).await?;
    let chosen = match &entry.source {
        Source::Http(source) => source.oauth.redirect_port,
        _ => None,
    };
    let callback = Callback::bind(chosen, begun.port).await?;
    let pending = client
        .go_on(At { remote, whose, now_unix_s: clock::unix_seconds() }, (begun, callback.uri()))
        .await?;
    Ok((pending, callback))
}

impl Logins {
    /// With the secrets of that vault; what it begins ends with the tracker's tasks.
    pub fn new(vault: Arc<Vault>, tracker: TaskTracker, masks: Arc<Masks>) -> Logins {
        let client = Arc::new(client(vault));
        Logins { client, tracker, masks, memory: Arc::default(), exchanges: AtomicBool::new(false) }
    }

    /// A configuration comes into force, or somebody logged in or out elsewhere: what was remembered is looked up again.
    pub fn follow(&self, snapshot: &Snapshot) {
        let exchanges = snapshot.servers.values().any(|entry| grant(entry) == Grant::TokenExchange);
        self.exchanges.store(exchanges, Ordering::Relaxed);
        let mut memory = guard(&self.memory);
        memory.tokens.clear();
        memory.got.clear();
        if !exchanges {
            memory.presented.clear();
        }
    }

    /// What was looked up a moment ago. Every call to a remote server asks.
    fn remembered(&self, errand: Errand<'_>) -> Option<Option<SecretString>> {
        let memory = guard(&self.memory);
        let known = memory.tokens.get(&key(errand))?;
        let age = clock::unix_seconds().saturating_sub(known.looked);
        (age < LOOK_EVERY_S).then(|| known.token.clone())
    }

    async fn look_up(&self, errand: Errand<'_>) -> Option<SecretString> {
        let remote = remote(errand.entry)?;
        let subject = errand.subject.map(ToString::to_string);
        let (key, now) = (key(errand), clock::unix_seconds());
        let whose = whose(errand.entry, subject.as_deref());
        let token = match self.client.token(At { remote: &remote, whose, now_unix_s: now }).await {
            Ok(token) => token,
            Err(fault) => {
                tracing::warn!(server = remote.server, %fault, "the tokens of a server cannot be read");
                None
            }
        };
        self.cover(At { remote: &remote, whose, now_unix_s: now }).await;
        self.remember(key, token.clone());
        token
    }

    /// Whatever is kept of a login is kept out of results, errors and logs: the refresh token, which no server ever gets,
    /// as well.
    async fn cover(&self, at: At<'_>) {
        let held = self.client.held(at).await.unwrap_or_default();
        held.iter().for_each(|token| self.masks.lend(token));
    }

    fn remember(&self, key: Key, token: Option<SecretString>) {
        let mut memory = guard(&self.memory);
        if memory.tokens.len() >= REMEMBERED_MAX {
            memory.tokens.clear();
        }
        memory.tokens.insert(key, Known { token, looked: clock::unix_seconds() });
    }

    async fn remedy(&self, errand: Errand<'_>, rejection: Rejection<'_>) -> Remedy {
        let Some(remote) = remote(errand.entry) else {
            return Remedy::Nothing("it is not remote".to_owned());
        };
        let subject = errand.subject.map(ToString::to_string);
        let key = key(errand);
        let challenges = rejection.challenges.iter().map(String::as_str);
        let challenge = Challenge::find(challenges).unwrap_or_default();
        let now = clock::unix_seconds();
        {
            let mut memory = guard(&self.memory);
            if memory.challenges.len() >= REMEMBERED_MAX {
                memory.challenges.clear();
            }
            memory.challenges.insert(key.clone(), challenge.clone());
            memory.tokens.remove(&key);
        }
        let whose = whose(errand.entry, subject.as_deref());
        let obtained = self
            .client
            .refused(At { remote: &remote, whose, now_unix_s: now }, (rejection.sent, &challenge))
            .await;
        let fetched = match (obtained, grant(errand.entry)) {
            (Err(fault), _) => Err(fault),
            (Ok(Obtained::Token(token)), _) => Ok(token),
            (Ok(Obtained::Login), Grant::AuthorizationCode) => return Remedy::Login,
            (Ok(Obtained::Login), _) if self.is_too_soon(&key, now) => {
                return Remedy::Nothing("it refuses the token that was just issued for it".to_owned());
            }
            (Ok(Obtained::Login), Grant::ClientCredentials) => {
                self.client.own_token(&remote, &challenge, now).await
            }
            (Ok(Obtained::Login), Grant::TokenExchange) => {
                let presented = errand.subject.and_then(|id| guard(&self.memory).presented.get(id).cloned());
                let (Some(token), Some(subject)) = (presented, &subject) else {
                    return Remedy::Nothing("the caller has no token of an issuer to exchange".to_owned());
                };
                self.client.exchanged(&remote, (subject, &token, &challenge), now).await
            }
        };
        self.cover(At { remote: &remote, whose, now_unix_s: now }).await;
        match fetched {
            Ok(token) => {
                self.masks.lend(&token);
                self.remember(key, Some(token.clone()));
                Remedy::Token(token)
            }
            Err(fault) => Remedy::Nothing(fault.to_string()),
        }
    }

    /// Whether a token was got for it a moment ago; otherwise one is, now.
    fn is_too_soon(&self, key: &Key, now: u64) -> bool {
        let mut memory = guard(&self.memory);
        if memory.got.len() >= REMEMBERED_MAX {
            memory.got.clear();
        }
        let last = memory.got.insert(key.clone(), now);
        last.is_some_and(|last| now.saturating_sub(last) < PAUSE_S)
    }

    async fn begin(&self, errand: Errand<'_>) -> Option<Invitation> {
        let remote = remote(errand.entry).filter(|_| grant(errand.entry) == Grant::AuthorizationCode)?;
        let subject = errand.subject.map(ToString::to_string);
        let key = key(errand);
        let challenge = {
            let memory = guard(&self.memory);
            if let Some(open) = memory.open.get(&key) {
                return Some(open.clone());
            }
            if memory.open.len() >= OPEN_MAX {
                return None;
            }
            memory.challenges.get(&key).cloned().unwrap_or_default()
        };
        let whose = whose(errand.entry, subject.as_deref());
        let begun = begin(&self.client, (errand.entry, &remote), (whose, challenge)).await;
        let invitation = begun.and_then(|(pending, callback)| {
            let url = pending.url()?;
            let issuer = pending.issuer().to_owned();
            Ok((Invitation { id: callback.id()?, url, issuer }, pending, callback))
        });
        match invitation {
            Ok((invitation, pending, callback)) => {
                guard(&self.memory).open.insert(key.clone(), invitation.clone());
                let login = Open {
                    client: Arc::clone(&self.client),
                    memory: Arc::clone(&self.memory),
                    remote,
                    entry: errand.entry.clone(),
                    subject,
                    key,
                };
                self.tracker.spawn(login.run(pending, callback));
                Some(invitation)
            }
            Err(error) => {
                tracing::warn!(server = remote.server, error = format!("{error:#}"), "no login can be begun");
                None
            }
        }
    }
}

/// A login that waits for a person, in the background.
struct Open {
    client: Arc<OAuthClient>,
    memory: Arc<Mutex<Memory>>,
    remote: Remote,
    entry: ServerEntry,
    subject: Option<String>,
    key: Key,
}

impl Open {
    async fn run(self, pending: Pending, callback: Callback) {
        let whose = whose(&self.entry, self.subject.as_deref());
        let forget = || {
            let mut memory = guard(&self.memory);
            memory.open.remove(&self.key);
            memory.tokens.remove(&self.key);
        };
        let outcome = match callback.code(&pending).await {
            Ok(landing) => {
                let at = At { remote: &self.remote, whose, now_unix_s: clock::unix_seconds() };
                let finished = self.client.finish(at, (pending, landing.code.clone())).await;
                // Before the page says so: whoever reads it may call at once.
                forget();
                landing.tell(&finished).await;
                finished.map_err(anyhow::Error::from)
            }
            Err(error) => {
                forget();
                Err(error)
            }
        };
        match outcome {
            Ok(()) => tracing::info!(server = self.remote.server, "somebody logged in"),
            Err(error) => {
                tracing::warn!(server = self.remote.server, error = format!("{error:#}"), "a login failed");
            }
        }
    }
}

impl Credentials for Logins {
    fn token<'a>(&'a self, errand: Errand<'a>) -> Fetching<'a, Option<SecretString>> {
        match self.remembered(errand) {
            Some(token) => Box::pin(std::future::ready(token)),
            None => Box::pin(self.look_up(errand)),
        }
    }

    fn refused<'a>(&'a self, errand: Errand<'a>, rejection: Rejection<'a>) -> Fetching<'a, Remedy> {
        Box::pin(self.remedy(errand, rejection))
    }

    fn invite<'a>(&'a self, errand: Errand<'a>) -> Fetching<'a, Option<Invitation>> {
        Box::pin(self.begin(errand))
    }

    fn present(&self, subject: &SubjectId, credential: &str) {
        if !self.exchanges.load(Ordering::Relaxed) {
            return;
        }
        let mut memory = guard(&self.memory);
        if memory.presented.len() >= REMEMBERED_MAX {
            memory.presented.clear();
        }
        memory.presented.insert(subject.clone(), SecretString::from(credential.to_owned()));
    }
}

fn key(errand: Errand<'_>) -> Key {
    let url = match &errand.entry.source {
        Source::Http(source) => Some(&source.url),
        _ => None,
    };
    let place = [
        errand.entry.name.as_str(),
        " ",
        url.and_then(Uri::scheme_str).unwrap_or_default(),
        "://",
        url.and_then(Uri::authority).map_or("", |authority| authority.as_str()),
        url.and_then(Uri::path_and_query).map_or("", |path| path.as_str()),
    ];
    (place.concat(), errand.subject.map_or("", SubjectId::as_str).to_owned())
}

fn guard(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}
