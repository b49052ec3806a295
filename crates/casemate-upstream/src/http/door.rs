//! The way to one HTTP server: its address, its connections, and the headers that every request has.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use casemate_policy::SubjectId;
use casemate_transport::http::client::Switched;
use casemate_transport::http::head::PROTOCOL_VERSION;
use casemate_transport::http::{BodyFault, ClientFault, Duplex, Endpoint, Posted};
use casemate_transport::websocket;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};

use crate::entry::{HttpSource, ServerEntry, Source};
use crate::instance::Seed;
use crate::{AnswerSize, Credentials, Errand, Fault, Host, Masks, Rejection, Remedy};

/// The way to one HTTP server. All its instances share the connections.
pub(crate) struct Door {
    pub(super) endpoint: Endpoint,
    url: Uri,
    /// What the entry adds to every request. The values are secrets.
    headers: HeaderMap,
    answer_size: AnswerSize,
    /// Where tokens come from, and for whom; none for a server whose entry brings a credential of its own.
    pass: Option<Pass>,
}

/// Where the tokens of one instance come from.
#[derive(Clone)]
struct Pass {
    credentials: Arc<dyn Credentials>,
    masks: Arc<Masks>,
    entry: Arc<ServerEntry>,
    subject: Option<SubjectId>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({} headers, not shown)", self.headers.len())
    }
}

impl Door {
    /// The way to an entry's server, when it is an HTTP server; or why it cannot be gone.
    pub(crate) fn of(entry: &ServerEntry, host: &Host) -> Option<Result<Arc<Door>, String>> {
        let Source::Http(source) = &entry.source else { return None };
        let door = || {
            let endpoint = host.http.endpoint(&source.url).map_err(|fault| fault.to_string())?;
            let answer_size = host.answer_size.clone();
            let (url, headers) = (source.url.clone(), static_headers(source)?);
            Ok(Arc::new(Door { endpoint, url, headers, answer_size, pass: None }))
        };
        Some(door())
    }

    /// The same way for an instance, which is somebody's.
    pub(crate) fn of_instance(&self, seed: &Seed) -> Arc<Door> {
        let pass = (!self.headers.contains_key(AUTHORIZATION)).then(|| Pass {
            credentials: Arc::clone(&seed.host.credentials),
            masks: Arc::clone(&seed.host.masks),
            entry: Arc::clone(&seed.entry),
            subject: seed.subject.clone(),
        });
        let headers = self.headers.clone();
        let answer_size = self.answer_size.clone();
        let (endpoint, url) = (self.endpoint.clone(), self.url.clone());
        Arc::new(Door { endpoint, url, headers, answer_size, pass })
    }

    /// Posts a message, with a token where there is one. A server that refuses it for want of a login is asked again
    /// once, when there is another token.
    ///
    /// # Errors
    /// A [`Fault`]: there is no answer, or the server wants a login.
    pub(crate) async fn post(&self, headers: HeaderMap, text: Bytes) -> Result<Posted, Fault> {
        match self.knock(headers, Knock::Post(text)).await? {
            Switched::Refused(posted) => Ok(posted),
            Switched::Stream { .. } => Err(unasked()),
        }
    }

    /// Opens a WebSocket, with the same credentials.
    ///
    /// # Errors
    /// As [`Door::post`]; or the server opens none.
    pub(crate) async fn switch(&self) -> Result<Box<dyn Duplex>, Fault> {
        let mut headers = self.headers.clone();
        let refused = |why: &str| Fault::Start { why: why.to_owned() };
        let asking = websocket::ask(&mut headers).map_err(|fault| refused(&fault.to_string()))?;
        match self.knock(headers, Knock::Switch).await? {
            Switched::Stream { headers, stream } => match asking.is_answered_by(&headers) {
                Ok(()) => Ok(stream),
                Err(fault) => Err(refused(&format!("its WebSocket handshake is wrong: {fault}"))),
            },
            Switched::Refused(posted) => {
                let status = posted.status();
                Err(refused(&format!(
                    "it opens no WebSocket at this address and answers with status {status}"
                )))
            }
        }
    }

    async fn knock(&self, headers: HeaderMap, knock: Knock) -> Result<Switched, Fault> {
        let Some(pass) = &self.pass else { return self.once(headers, &knock).await };
        let mut token = pass.credentials.token(pass.errand()).await;
        for is_last in [false, true] {
            let answered = self.once(pass.with_token(headers.clone(), token.as_ref()), &knock).await?;
            let Switched::Refused(posted) = &answered else { return Ok(answered) };
            let Some(challenges) = wants_login(posted) else { return Ok(answered) };
            let rejection = Rejection { status: posted.status(), challenges, sent: token.as_ref() };
            token = match pass.credentials.refused(pass.errand(), rejection).await {
                Remedy::Token(token) if !is_last => Some(token),
                Remedy::Token(_) | Remedy::Login => return Err(Fault::Login),
                Remedy::Nothing(why) => {
                    tracing::warn!(server = %pass.entry.name, why, "the server refuses our requests");
                    return Ok(answered);
                }
            };
        }
        Err(Fault::Login)
    }

    async fn once(&self, headers: HeaderMap, knock: &Knock) -> Result<Switched, Fault> {
        let answered = match knock {
            Knock::Post(text) => self.endpoint.post(headers, text.clone()).await.map(Switched::Refused),
            Knock::Listen => self.endpoint.get_events(headers).await.map(Switched::Refused),
            Knock::Switch => self.endpoint.switch(headers).await,
        };
        answered.map_err(|fault| self.fault(&fault))
    }

    /// Asks for a stream of events, with the same credentials.
    ///
    /// # Errors
    /// As [`Door::post`].
    pub(crate) async fn listen(&self) -> Result<Posted, Fault> {
        match self.knock(self.headers.clone(), Knock::Listen).await? {
            Switched::Refused(posted) => Ok(posted),
            Switched::Stream { .. } => Err(unasked()),
        }
    }

    /// The way to another address of the same server, which it has named itself. Our credentials go there, so it has to be
    /// the same server.
    pub(crate) fn beside(&self, address: &str) -> Result<Arc<Door>, String> {
        let foreign = || format!("names an address of another server to post to: {address:.200}");
        let path = match address.split_once("://") {
            None => resolved(self.url.path(), address),
            Some(_) => {
                let url: Uri = address.parse().map_err(|_| format!("names no address: {address:.200}"))?;
                let same = url.scheme() == self.url.scheme()
                    && url.host().map(str::to_ascii_lowercase)
                        == self.url.host().map(str::to_ascii_lowercase)
                    && port(&url) == port(&self.url);
                let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
                if !same || has_user {
                    return Err(foreign());
                }
                url.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
            }
        };
        // `//elsewhere/path` is an address of another server, too.
        if path.starts_with("//") {
            return Err(foreign());
        }
        let endpoint = self.endpoint.at(&path).map_err(|fault| format!("names no path: {fault}"))?;
        Ok(Arc::new(Door {
            endpoint,
            url: self.url.clone(),
            headers: self.headers.clone(),
            answer_size: self.answer_size.clone(),
            pass: self.pass.clone(),
        }))
    }

    /// The headers of a request before any revision is agreed upon, or where none is named.
    pub(crate) fn plain_headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// The headers of a request that is no post, with a token where there is one.
    pub(super) async fn admitted(&self, headers: HeaderMap) -> HeaderMap {
        match &self.pass {
            None => headers,
            Some(pass) => pass.with_token(headers, pass.credentials.token(pass.errand()).await.as_ref()),
        }
    }

    /// The headers of a request in a revision, with room for those of its method.
    pub(super) fn headers(&self, revision: &'static str) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(revision));
        headers
    }

    /// Puts what happened to an exchange into words, and says whether the server may have seen the request.
    pub(super) fn fault(&self, fault: &ClientFault) -> Fault {
        let too_big = Fault::TooBig { limit: self.answer_size.get() };
        match fault {
            ClientFault::Body { source: BodyFault::TooLarge { .. } } | ClientFault::Event { .. } => too_big,
            _ => Fault::Gone { sent: !fault.never_sent(), why: chain(fault) },
        }
    }

    /// Largest answer that is taken, in bytes.
    pub(super) fn result_bytes_max(&self) -> usize {
        self.answer_size.get()
    }
}

/// What is asked for at the door.
enum Knock {
    /// That a message is taken.
    Post(Bytes),
    /// A stream of events.
    Listen,
    /// The connection, for another protocol.
    Switch,
}

/// A reference of a path, against the path that it stands in.
fn resolved(base: &str, reference: &str) -> String {
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    if reference.starts_with('?') {
        return format!("{base}{reference}");
    }
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{reference}")
}

fn port(url: &Uri) -> Option<u16> {
    url.port_u16().or_else(|| url.scheme_str().map(|scheme| if scheme == "https" { 443 } else { 80 }))
}

fn unasked() -> Fault {
    Fault::Protocol { why: "it gave the connection to a protocol that nobody had asked for".to_owned() }
}

/// A fault with its causes.
fn chain(fault: &ClientFault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        text.push_str(": ");
        text.push_str(&fault.to_string());
        cause = fault.source();
    }
    text
}

impl Pass {
    fn errand(&self) -> Errand<'_> {
        Errand { entry: &self.entry, subject: self.subject.as_ref() }
    }

    /// Headers with a token where there is one. From before it is sent, whoever repeats it is not heard.
    fn with_token(&self, mut headers: HeaderMap, token: Option<&SecretString>) -> HeaderMap {
        let Some(token) = token else { return headers };
        self.masks.lend(token);
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }
}

/// The challenges of a server that wants a login, or more rights than the token gives.
fn wants_login(posted: &Posted) -> Option<Vec<String>> {
    let values = posted.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenges: Vec<String> = values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    // A server that forbids without a word about scopes means it.
    let wants_more = || challenges.iter().any(|challenge| challenge.contains("insufficient_scope"));
    match posted.status() {
        StatusCode::UNAUTHORIZED => Some(challenges),
        StatusCode::FORBIDDEN if wants_more() => Some(challenges),
        _ => None,
    }
}

fn static_headers(source: &HttpSource) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(source.headers.len() + 6);
    for (name, value) in &source.headers {
        let wrong = |what| format!("the {what} of the header {name:?} is not one that HTTP can carry");
        let key = HeaderName::try_from(name).map_err(|_| wrong("name"))?;
        let mut value = HeaderValue::try_from(value.expose_secret()).map_err(|_| wrong("value"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use casemate_transport::http::{Client, ClientOptions};

    use super::*;

    #[test]
    fn credentials_are_posted_to_the_same_server_alone() {
        let url: Uri = "https://a.example/v1/sse".parse().unwrap();
        let endpoint = Client::new(ClientOptions::default()).endpoint(&url).unwrap();
        let door =
            Door { endpoint, url, headers: HeaderMap::new(), answer_size: AnswerSize::new(1), pass: None };
        for address in [
            "/messages?session=1",
            "messages?session=1",
            "?session=1",
            "https://a.example/messages",
            "https://A.example:443/messages",
        ] {
            assert!(door.beside(address).is_ok(), "{address}");
        }
        for address in [
            "https://b.example/messages",
            "http://a.example/messages",
            "https://a.example:8443/messages",
            "https://a.example@b.example/",
            "https://user@a.example/",
            "//b.example/messages",
            "ftp://a.example/",
            "/a b",
        ] {
            assert!(door.beside(address).is_err(), "{address}");
        }
        assert_eq!(resolved("/v1/sse", "messages"), "/v1/messages");
        assert_eq!(resolved("/v1/sse", "?a=1"), "/v1/sse?a=1");
    }
}
